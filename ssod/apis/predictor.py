"""A trained model in three lines of Python: images in; boxes, scores, classes, masks or label maps out."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from mmcv import Config
from torch import nn

from ssod.core.errors import InputError
from ssod.core.prediction import Prediction
from ssod.core.task import task_of
from ssod.core.tiles import OVERLAP, Window, check_tiles, windows
from ssod.data.loader import test_batch
from ssod.data.reading import BrokenImage, ImageLike, as_array
from ssod.hooks import Best

from .config import load_config
from .inference import init_detector, read_image, test_pipeline
from .publishing import config_in
from .report.start import read_start
from .runner import LATEST
from .runs import read_log

SCORE_THR = 0.3


class Source(NamedTuple):
    """An image: its place among those that were given, its height and width, and its tiles."""

    place: int
    size: tuple[int, int]
    windows: tuple[Window, ...]


class Predictor:
    """A trained model to be called with images; :func:`load_model` makes one.

    Attributes:
        model: the detector or segmentor, in eval mode.
        classes: the names of its classes, by number.
        why: of a student and a teacher, why ``model.predict_on`` is the one that predicts.
    """

    def __init__(self, model: nn.Module, why: str | None = None) -> None:
        self.model: Any = model
        self.why = why
        self.classes: tuple[str, ...] = tuple(self.model.CLASSES)
        self.task = task_of(self.model.cfg)
        self.pipeline = test_pipeline(model)

    def __call__(
        self, images: ImageLike | Sequence[ImageLike], score_thr: float = SCORE_THR, **options: Any
    ) -> Prediction | list[Prediction]:
        """What is on an image, or on each of a list.

        Args:
            images: a path; an array (H, W, 3) uint8 BGR, as OpenCV reads it, or gray (H, W); an image of Pillow; or a
                list of these.
            score_thr: lowest score of a box; a label map has a class for every pixel whatever its score.
            options: ``tile``, ``overlap`` and ``batch_size`` of :meth:`stream`.

        Raises:
            InputError: an image cannot be read, or an option does not make sense.
        """
        if isinstance(images, ImageLike):
            return next(self.stream([images], score_thr, **options))
        return list(self.stream(images, score_thr, **options))

    def stream(
        self,
        images: Iterable[ImageLike],
        score_thr: float = SCORE_THR,
        tile: int | None = None,
        overlap: float = OVERLAP,
        batch_size: int | None = None,
        skip_broken: bool = False,
    ) -> Iterator[Prediction]:
        """What is on each of any number of images, one after another: frames of a camera, a folder of thousands.

        Images are taken as they are needed. ``len(found) / sum(one.seconds for one in found)`` are images per second.

        Args:
            images: as in a call.
            score_thr: as in a call.
            tile: look at tiles of so many pixels, each as large for the model as an image; None: at whole images.
            overlap: of tiles, a share of their side. It should be as large as the objects, so that one tile has all of
                each.
            batch_size: images, or tiles, at a time; None: ``data.test_samples_per_gpu`` of the config. With 1 no image
                is taken before the last one's result is: a camera has none yet.
            skip_broken: leave files out that cannot be read; ``place`` says which are there.

        Raises:
            InputError: an option does not make sense; an image cannot be read.
        """
        check_options(score_thr, tile, overlap, batch_size)
        size = batch_size or self.model.cfg.data.get('test_samples_per_gpu', 1)
        views = self._views(images, tile, overlap, skip_broken)
        return timed(self._predictions(views, size, score_thr))

    def _views(
        self, images: Iterable[ImageLike], tile: int | None, overlap: float, skip_broken: bool
    ) -> Iterator[tuple[Source, dict]]:
        """Each image, or each of its tiles, as the model takes it."""
        for place, image in enumerate(images):
            try:
                if tile is None:
                    sample = read_image(self.pipeline, image)
                    size = sample['img_metas'][0].data['ori_shape'][:2]
                    yield Source(place, size, tuple(windows(size, None))), sample
                    continue
                picture = as_array(image, self.model.cfg.data.get('max_image_pixels'))
            except BrokenImage:
                if not skip_broken:
                    raise
                continue
            source = Source(place, picture.shape[:2], tuple(windows(picture.shape[:2], tile, overlap)))
            for x1, y1, x2, y2 in source.windows:
                yield source, read_image(self.pipeline, picture[y1:y2, x1:x2])

    def _predictions(
        self, views: Iterable[tuple[Source, dict]], batch_size: int, score_thr: float
    ) -> Iterator[Prediction]:
        """What the model gives for the tiles of each image, joined."""
        outputs = (pair for batch in self._batches(views, batch_size) for pair in self._look(batch))
        for source, first in outputs:
            rest = (output for _, output in islice(outputs, len(source.windows) - 1))
            found = self.task.join(self.model, chain([first], rest), source.windows, source.size, score_thr)
            found.place = source.place
            yield found

    def _batches(self, views: Iterable[tuple[Source, dict]], batch_size: int) -> Iterator[list[tuple[Source, dict]]]:
        """So many views at a time; if the task asks for that, of one size alone."""
        batch: list[tuple[Source, dict]] = []
        for view in views:
            if batch and self.task.one_size and shape_of(view) != shape_of(batch[0]):
                yield batch
                batch = []
            batch.append(view)
            if len(batch) == batch_size:  # at once: a camera has no next image yet
                yield batch
                batch = []
        if batch:
            yield batch

    def _look(self, batch: list[tuple[Source, dict]]) -> Iterator[tuple[Source, Any]]:
        """Each view's source, and what the model gives for it."""
        outputs = self.task.outputs(self.model, test_batch(self.model, [sample for _, sample in batch]))
        return zip((source for source, _ in batch), outputs, strict=True)


def check_options(score_thr: float, tile: int | None, overlap: float, batch_size: int | None) -> None:
    """Refuse options of :meth:`Predictor.stream` that make no sense.

    Raises:
        InputError: one does not.
    """
    check_tiles(tile, overlap)
    if not 0 <= score_thr <= 1:
        raise InputError(f'score_thr is a score in [0, 1], got {score_thr}')
    if batch_size is not None and batch_size < 1:
        raise InputError(f'batch_size is 1 or more, got {batch_size}')


def shape_of(view: tuple[Source, dict]) -> tuple[int, int]:
    """Height and width of a view before it is scaled."""
    x1, y1, x2, y2 = view[0].windows[0]  # all are of one size
    return y2 - y1, x2 - x1


def timed(found: Iterator[Prediction]) -> Iterator[Prediction]:
    """The same, each with the seconds that it took since it was asked for."""
    while True:
        start = time.perf_counter()
        one = next(found, None)
        if one is None:
            return
        one.seconds = time.perf_counter() - start
        yield one


def load_model(
    checkpoint: str | Path,
    config: str | Path | Config | None = None,
    device: str | None = None,
    predict_on: str | None = None,
    cfg_options: dict | None = None,
) -> Predictor:
    """A trained model, ready to be called with images.

    Args:
        checkpoint: of a training or of ``ssod publish``; or the work dir of a training, whose best one it is.
        config: of the checkpoint: a file, or what :func:`ssod.apis.load_config` made of it; None: see
            :func:`config_of`.
        device: 'cpu', 'cuda:0' ...; None is the GPU if there is one.
        predict_on: 'student' or 'teacher'; None: see :func:`recommended`.
        cfg_options: settings to override, 'a.b' for nested ones.

    Raises:
        InputError: the checkpoint cannot be read, no config is found, or they do not fit.

    Examples:
        >>> from ssod.apis import load_model
        >>> model = load_model('work_dirs/cells/soft_teacher')  # doctest: +SKIP
        >>> found = model('photo.jpg', score_thr=0.5)  # doctest: +SKIP
        >>> found.boxes, found.names  # doctest: +SKIP
    """
    checkpoint = str(checkpoint_in(Path(checkpoint)) if Path(checkpoint).is_dir() else checkpoint)
    cfg = config_of(checkpoint) if config is None else config
    model: Any = init_detector(cfg, checkpoint, device, cfg_options, predict_on)
    if predict_on is not None or not hasattr(model, 'predict_on'):
        return Predictor(model)
    model.predict_on, why = recommended(checkpoint, model.predict_on)
    return Predictor(model, why)


def checkpoint_in(work_dir: Path) -> Path:
    """The best checkpoint of a training, as its ``best.json`` says; the newest of one that keeps no best.

    Raises:
        InputError: it is not there.
    """
    best = Best.read(work_dir)
    path = work_dir / (best.checkpoint if best else LATEST)
    if not path.is_file():
        raise InputError(f'no checkpoint {path}: give a file, or the work dir of a training')
    return path


def config_of(checkpoint: str) -> Config:
    """The config of a checkpoint.

    It is the file of the same name, ``NAME.py`` beside ``NAME.pth``, as ``ssod publish`` writes it; else the copy that
    the training left in its work dir; else what the checkpoint itself says, as far as that runs no code.

    Raises:
        InputError: there is none.
    """
    path = Path(checkpoint)
    of_run = Path(read_start(path.parent).get('config') or '').name
    for file in (path.with_suffix('.py'), path.parent / of_run):
        if file.is_file():
            return load_config(str(file))
    return config_in(checkpoint)


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
