"""Let a model look at files: pictures of each image, a video of each video, all predictions in one JSON file."""

import glob
import os.path as osp
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import tee
from pathlib import Path
from typing import Any

import mmcv
from mmcv import Config

from ssod.core.errors import InputError
from ssod.core.files import replacing
from ssod.core.prediction import Prediction
from ssod.core.screen import working
from ssod.core.tiles import OVERLAP
from ssod.data.images import SUFFIXES, walk
from ssod.data.videos import VIDEOS, Video, frames_of, is_video, open_video, writing_video

from .predictor import SCORE_THR, Predictor, check_options, load_model

FILE = 'predictions.json'


@dataclass
class Looked:
    """What was looked at so far.

    Attributes:
        records: of all predictions.
        images: how many files.
        frames: how many, of videos.
        seconds: that reading them and the model took.
        skipped: names of images that cannot be read.
        cut: names of videos that end before their last frame.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    images: int = 0
    frames: int = 0
    seconds: float = 0.0
    skipped: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)

    @property
    def next_id(self) -> int:
        """``image_id`` of the next image or frame."""
        return self.images + self.frames + len(self.skipped) + 1

    def add(self, found: Prediction, file_name: Path, more: dict[str, Any], frame: int | None = None) -> str:
        """One more image, or frame of a video; returns what is on it, in words."""
        number = dict(image_id=self.next_id, file_name=str(file_name))
        self.images, self.frames = self.images + (frame is None), self.frames + (frame is not None)
        self.seconds += found.seconds
        own = found.records()
        of_frame = {} if frame is None else dict(frame=frame)
        self.records += [{**number, **of_frame, **record, **more} for record in own]
        return said(len(own), found.label_map is not None)

    def summary(self, file: Path, maps: bool) -> str:
        """Sentences on what was written, how fast, and what cannot be read."""
        counts = [f'{self.images} images'] * bool(self.images) + [f'{self.frames} frames'] * bool(self.frames)
        lines = [
            f'{file}: {said(len(self.records), maps)} on {" and ".join(counts)}, pictures beside it; '
            f'{(self.images + self.frames) / self.seconds:.2f} images per second, without drawing'
        ]
        if self.skipped:
            total = self.images + len(self.skipped)
            names = ', '.join(self.skipped)
            lines.append(f'{len(self.skipped)} of {total} images cannot be read and were skipped: {names}')
        if self.cut:
            lines.append(f'the end of these videos cannot be read: {", ".join(self.cut)}')
        return '\n'.join(lines)


def said(number: int, maps: bool) -> str:
    """'3 detections', or '3 classes' of label maps."""
    return f'{number} {"classes" if maps else "detections"}'


def predict_images(
    cfg: Config,
    checkpoint: str,
    patterns: Sequence[str],
    out: Path,
    score_thr: float = SCORE_THR,
    predict_on: str | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    tile: int | None = None,
    overlap: float = OVERLAP,
    every: int = 1,
) -> str:
    """Draw a model's predictions on images and videos, and write them to ``out/predictions.json``.

    The file is a list in COCO's result format, boxes of an image best first: ``image_id`` (1 for the first image),
    ``file_name``, ``category_id`` (1 for the first class), ``category``, ``bbox`` (x, y, width, height in pixels of the
    image) and ``score``; of a detector with masks also ``segmentation``, run lengths on the image. Each frame of a
    video is an image, after those of the files, and has its number in the video, ``frame``, from 0.

    Args:
        cfg: from :func:`ssod.apis.load_config`.
        checkpoint: of the config's model.
        patterns: images, videos, folders (with those below) and globs.
        out: folder for the pictures, which keep the folders below the one that all files share, and the file.
        score_thr: lowest score drawn and written.
        predict_on: 'student' or 'teacher'; None: see :func:`ssod.apis.predictor.recommended`.
        batch_size: images at a time; None: ``data.test_samples_per_gpu``.
        device: 'cpu', 'cuda:0' ...; None is the GPU if there is one.
        tile: side of tiles in pixels, None for whole images; see :meth:`ssod.apis.Predictor.stream`.
        overlap: share of its side that a tile has in common with the next.
        every: look at the first of every so many frames of a video.

    Returns:
        Sentences on what was written, how fast, and which files cannot be read.

    Raises:
        InputError: no image, none that can be read, a video that cannot, or what `load_model` refuses.
    """
    check_options(score_thr, tile, overlap, batch_size)
    if every < 1:
        raise InputError(f'--every is a number of frames, got {every}')
    files = find_files(patterns, SUFFIXES + VIDEOS, 'image or video')
    pictures = dict(zip(files, outputs(files, out), strict=True))
    images = [path for path in files if not is_video(path)]
    videos = [open_video(path) for path in files if is_video(path)]
    if every > 1 and not videos:
        raise InputError('--every is for videos, and none is given')
    model = load_model(checkpoint, cfg, device, predict_on)
    if model.why is not None:
        print(f'The {model.model.predict_on} predicts: {model.why}', flush=True)
    options = dict(score_thr=score_thr, tile=tile, overlap=overlap, batch_size=batch_size)
    looked = Looked()
    if images:
        look_at_images(model, images, pictures, looked, options)
    for video in videos:
        look_at_video(model, video, pictures[video.path], every, looked, options)
    with replacing(out / FILE) as temporary:
        mmcv.dump(looked.records, str(temporary), ensure_ascii=False)
    return looked.summary(out / FILE, model.task.one_size)


def look_at_images(
    model: Predictor, images: Sequence[Path], pictures: dict[Path, Path], looked: Looked, options: dict[str, Any]
) -> None:
    """Write a picture of each image that can be read, and note what is on it.

    Raises:
        InputError: none can be read.
    """
    with working('predicting', len(images)) as work:
        for found in model.stream(images, skip_broken=True, **options):
            skip(images[looked.next_id - 1 : found.place], looked)
            path = images[found.place]
            picture = pictures[path]
            mmcv.imwrite(model.task.draw(model.model, mmcv.imread(str(path)), found), str(picture))
            more = model.task.write_beside(model.model, found, picture.with_suffix(''))
            words = looked.add(found, path, more)
            if work.screen is None:
                print(f'[{found.place + 1}/{len(images)}] {path}: {words}', flush=True)
            work.advance()
    skip(images[looked.next_id - 1 :], looked)
    if not looked.images:
        raise InputError(f'none of the {len(images)} images can be read: {images[0]} is the first')


def skip(images: Sequence[Path], looked: Looked) -> None:
    """Note images that cannot be read."""
    looked.skipped += map(str, images)


def look_at_video(
    model: Predictor, video: Video, picture: Path, every: int, looked: Looked, options: dict[str, Any]
) -> None:
    """Write a video with what is on each frame, or on each of every so many, as fast as the original."""
    numbered, images = tee(frames_of(video, every))
    found = model.stream((frame for _, frame in images), **options)
    total = video.frames and -(-video.frames // every)
    beside = picture.with_suffix('')
    before, end = len(looked.records), 0
    with working(video.path.name, total) as work, writing_video(picture, video.fps / every) as add:
        for (number, frame), one in zip(numbered, found, strict=True):
            add(model.task.draw(model.model, frame, one))
            looked.add(one, video.path, model.task.write_beside(model.model, one, beside / f'{number:06d}'), number)
            work.advance()
            end = number + every
    print(f'{video.path}: {said(len(looked.records) - before, model.task.one_size)}', flush=True)
    if video.frames and end < 0.95 * video.frames:
        looked.cut.append(str(video.path))


def find_images(patterns: Iterable[str]) -> list[Path]:
    """The images that files, folders and globs mean, each once.

    Raises:
        InputError: one of them means none.
    """
    return find_files(patterns, SUFFIXES, 'image')


def find_files(patterns: Iterable[str], suffixes: Sequence[str], what: str) -> list[Path]:
    """The files with certain endings, in lower or upper case, that files, folders and globs mean, each once.

    Raises:
        InputError: one of them means none.
    """
    paths: list[Path] = []
    for pattern in patterns:
        names = [pattern] if osp.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
        files = [path for name in map(Path, names) for path in (walk(name) if name.is_dir() else [name])]
        found = [path for path in files if path.suffix.lower() in suffixes]
        if not found:
            raise InputError(f'no {what} matches {pattern}: give files ({", ".join(suffixes)}), a folder, or a glob')
        paths += found
    return list(dict.fromkeys(paths))


def outputs(files: Sequence[Path], folder: Path) -> list[Path]:
    """Where the picture of each image or video goes: under ``folder``, by its path below the folder that all share.

    A video becomes an MP4, whatever it was.

    Raises:
        InputError: that is where a file is, or where that of another goes.
    """
    parents = [path.absolute().parent for path in files]
    shared = osp.commonpath(parents)
    pictures = [folder / parent.relative_to(shared) / path.name for parent, path in zip(parents, files, strict=True)]
    pictures = [path.with_suffix('.mp4') if is_video(path) else path for path in pictures]
    for picture, file in zip(pictures, files, strict=True):
        if picture.resolve() == file.resolve():
            raise InputError(f'the picture would overwrite {file}: choose another folder for the output')
    if len(set(pictures)) < len(pictures):
        twice = next(path for path in pictures if pictures.count(path) > 1)
        raise InputError(f'two videos would become {twice}: predict on them one by one, each with its own --out')
    return pictures
