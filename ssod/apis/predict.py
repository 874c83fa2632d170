"""Let a model look at image files: pictures of each, and all predictions in one JSON file."""

import glob
import os.path as osp
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmcv import Config
from pycocotools import mask as rle
from torch import nn

from ssod.core.errors import InputError
from ssod.core.files import replacing
from ssod.core.screen import working
from ssod.core.task import task_of
from ssod.data.images import SUFFIXES, is_image, walk
from ssod.hooks import Best

from .inference import detect_batch, init_detector, read_image, test_pipeline
from .runs import read_log

FILE = 'predictions.json'


def predict_images(
    cfg: Config,
    checkpoint: str,
    patterns: Sequence[str],
    out: Path,
    score_thr: float = 0.3,
    predict_on: str | None = None,
    batch_size: int | None = None,
    device: str | None = None,
) -> str:
    """Draw a model's predictions on images, and write them to ``out/predictions.json``.

    The file is a list in COCO's result format, boxes of an image best first: ``image_id`` (1 for the first image),
    ``file_name``, ``category_id`` (1 for the first class), ``category``, ``bbox`` (x, y, width, height in pixels of the
    image) and ``score``; of a detector with masks also ``segmentation``, run lengths on the image.

    Args:
        cfg: from :func:`ssod.apis.load_config`.
        checkpoint: of the config's model.
        patterns: images, folders (with those below) and globs.
        out: folder for the pictures, which keep the folders below the one that all images share, and the file.
        score_thr: lowest score drawn and written.
        predict_on: 'student' or 'teacher'; None: see :func:`recommended`.
        batch_size: images at a time; None: ``data.test_samples_per_gpu``.
        device: 'cpu', 'cuda:0' ...; None is the GPU if there is one.

    Returns:
        A sentence on what was written, and one that names the images that cannot be read.

    Raises:
        InputError: no image, none that can be read, or what `init_detector` refuses.
    """
    images = find_images(patterns)
    pictures = outputs(images, out)
    model = init_detector(cfg, checkpoint, device, predict_on=predict_on)
    if predict_on is None and hasattr(model, 'predict_on'):
        model.predict_on, why = recommended(checkpoint, model.predict_on)
        print(f'The {model.predict_on} predicts: {why}', flush=True)
    records: list[dict] = []
    skipped: list[str] = []
    size = batch_size or cfg.data.get('test_samples_per_gpu', 1)
    write, what = task_of(cfg).write_prediction, 'detections'
    if write is not None:  # label maps, image by image: MMSegmentation wants those of a batch to be of one size
        size, what = 1, 'classes'
    with working('predicting', len(images)) as work:
        for number, result in detections(model, images, size, skipped):
            if write is not None:
                found = write(model, images[number], pictures[number], result, number + 1)
            else:
                found = to_records(result, model.CLASSES, score_thr, number + 1, images[number])
                draw(model, images[number], pictures[number], result, score_thr)
            if work.screen is None:
                print(f'[{number + 1}/{len(images)}] {images[number]}: {len(found)} {what}', flush=True)
            work.advance()
            records += found
    if len(skipped) == len(images):
        raise InputError(f'none of the {len(images)} images can be read: {skipped[0]} is the first')
    with replacing(out / FILE) as temporary:
        mmcv.dump(records, str(temporary), ensure_ascii=False)
    said = f'{out / FILE}: {len(records)} {what} on {len(images) - len(skipped)} images, pictures beside it'
    if skipped:
        said += f'\n{len(skipped)} of {len(images)} images cannot be read and were skipped: {", ".join(skipped)}'
    return said


def detections(
    model: nn.Module, images: Sequence[Path], batch_size: int, skipped: list[str]
) -> Iterator[tuple[int, Any]]:
    """The place and the detections of each image that can be read; ``skipped`` gets the names of the others."""
    pipeline = test_pipeline(model)
    for start in range(0, len(images), batch_size):
        samples = {}
        for number in range(start, min(start + batch_size, len(images))):
            try:
                samples[number] = read_image(pipeline, str(images[number]))
            except InputError:
                skipped.append(str(images[number]))
        if samples:
            yield from zip(samples, detect_batch(model, list(samples.values())), strict=True)


def find_images(patterns: Iterable[str]) -> list[Path]:
    """The images that files, folders and globs mean, each once.

    Raises:
        InputError: one of them means none.
    """
    paths: list[Path] = []
    for pattern in patterns:
        names = [pattern] if osp.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
        files = [path for name in map(Path, names) for path in (walk(name) if name.is_dir() else [name])]
        images = [path for path in files if is_image(path)]
        if not images:
            raise InputError(f'no image matches {pattern}: give images ({", ".join(SUFFIXES)}), a folder, or a glob')
        paths += images
    return list(dict.fromkeys(paths))


def outputs(images: Sequence[Path], folder: Path) -> list[Path]:
    """Where each image's picture goes: under ``folder``, by its path below the folder that all share.

    Raises:
        InputError: that is where an image is.
    """
    parents = [path.absolute().parent for path in images]
    shared = osp.commonpath(parents)
    pictures = [folder / parent.relative_to(shared) / path.name for parent, path in zip(parents, images, strict=True)]
    for picture, image in zip(pictures, images, strict=True):
        if picture.resolve() == image.resolve():
            raise InputError(f'the picture would overwrite {image}: choose another folder for the output')
    return pictures


def recommended(checkpoint: str, otherwise: str) -> tuple[str, str]:
    """Which of student and teacher to predict with, and why.

    The one that ``best.json`` names, for the checkpoint that it names. Else the one that was better when the training
    that wrote the checkpoint evaluated both, as its log beside the checkpoint says; without such a log ``otherwise``,
    what the config says.
    """
    path = Path(checkpoint).resolve()  # latest.pth is a link
    best = Best.read(path.parent)
    if best and best.model and best.checkpoint == path.name:
        return best.model, f'best.json names it, with {best.metric} {best.value:.3f} at iteration {best.iteration}'
    iteration = re.search(r'iter_(\d+)\.pth$', path.name)
    entries = [e for e in read_log(path.parent)['val'] if not iteration or e['iter'] <= int(iteration[1])]
    last = entries[-1] if entries else {}
    metric = next((key.removeprefix('student_') for key in last if key.startswith('student_')), None)
    scores = {name: last.get(f'{name}_{metric}') for name in ('student', 'teacher')}
    if None in scores.values():
        return otherwise, 'the config says so (predict_on)'
    better = max(scores, key=lambda name: (scores[name], name == otherwise))
    figures = ', '.join(f'{name} {score:.3f}' for name, score in scores.items())
    return better, f'{metric} at iteration {last["iter"]} of its training was {figures}'


def to_records(
    result: Any, classes: Sequence[str], score_thr: float, image_id: int, image: Path
) -> list[dict[str, Any]]:
    """A detector's result, for each class an (n, 5) array, or these and masks, in COCO's format; best first."""
    boxes, masks = result if isinstance(result, tuple) else (result, None)
    masks = masks[0] if isinstance(masks, tuple) else masks  # Mask Scoring R-CNN's come with their scores
    records = [
        dict(
            image_id=image_id,
            file_name=str(image),
            category_id=number,
            category=name,
            bbox=[round(float(value), 2) for value in (x1, y1, x2 - x1, y2 - y1)],
            score=round(float(score), 4),
            **({} if masks is None else dict(segmentation=run_lengths(masks[number - 1][i]))),
        )
        for number, (name, rows) in enumerate(zip(classes, boxes, strict=True), 1)
        for i, (x1, y1, x2, y2, score) in enumerate(rows)
        if score >= score_thr
    ]
    return sorted(records, key=lambda record: -record['score'])


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """An (H, W) bool mask as COCO's compressed run lengths, as JSON takes them."""
    code = rle.encode(np.asfortranarray(mask, np.uint8))
    return dict(size=code['size'], counts=code['counts'].decode())


def draw(model: nn.Module, image: Path, picture: Path, result: Any, score_thr: float) -> None:
    """Write the image with the detections in it, their masks, class names and scores."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    model.show_result(str(image), result, score_thr=score_thr, font_size=10, thickness=2, out_file=str(picture))
