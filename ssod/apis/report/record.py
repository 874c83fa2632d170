"""What a training keeps for its report: what its best model found, and how good its pseudo labels were."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmcv import Config
from mmcv.parallel import is_module_wrapper
from mmcv.runner import IterBasedRunner
from torch.utils.data import Dataset

from ssod.core.examination import Curve, Examination, Examiner
from ssod.core.files import replacing, write_whole
from ssod.core.task import Task
from ssod.hooks import Best

from ..inference import detect_batch
from ..labels.thresholds import DEFAULT
from ..labels.thresholds import FILE as THRESHOLDS

FOLDER, EXAMINATION, HISTORY = 'evaluation', 'examination.json', 'history.json'
WIDTH = 480  # of a picture, in pixels
Predict = Callable[[int], Any]


class Recorder:
    """What :class:`ssod.hooks.SemiEvalHook` calls after an evaluation, on rank 0.

    ``WORK_DIR/evaluation/`` gets ``examination.json`` and pictures of the worst and the best images when there is a new
    best checkpoint (after each evaluation where none is kept), and a line in ``history.json`` on the pseudo labels that
    the teacher would give the validation images. A training does not fail by it: what goes wrong is a warning.

    Args:
        cfg: of the run.
        task: of the config.
    """

    def __init__(self, cfg: Config, task: Task) -> None:
        self.cfg, self.task, self.examiner = cfg, task, task.examiner_of(cfg)

    def __call__(
        self, runner: IterBasedRunner, dataset: Dataset, results: dict[str | None, list], is_best: bool
    ) -> None:
        """Write the files.

        Args:
            runner: after iteration ``runner.iter + 1``.
            dataset: the validation set.
            results: of each model that was evaluated.
            is_best: whether a new best checkpoint has just been kept, or none ever is.
        """
        if self.examiner is None:
            return
        try:
            self.add_to_history(self.examiner, Path(runner.work_dir), runner.iter + 1, dataset, results)
            if is_best:
                self.examine(self.examiner, runner, dataset, results)
        except Exception as error:  # a training of days does not end for a picture
            runner.logger.warning(f'nothing is recorded for the report: {type(error).__name__}: {error}')

    def add_to_history(
        self, examiner: Examiner, work_dir: Path, iteration: int, dataset: Dataset, results: dict[str | None, list]
    ) -> None:
        """A line on the teacher's pseudo labels."""
        if self.cfg.data.train.get('type') != 'SemiDataset':
            return
        measures = self.task.measures_of(self.cfg)
        if measures is None:
            return
        name = 'teacher' if 'teacher' in results else next(iter(results))
        quality = examiner.label_quality(dataset, results[name], measures.threshold(self.cfg))
        if quality is None:
            return
        line = dict(iteration=iteration, model=name, **asdict(quality))
        write_whole(work_dir / FOLDER / HISTORY, json.dumps(add_line(read_history(work_dir), line)))

    def examine(
        self, examiner: Examiner, runner: IterBasedRunner, dataset: Dataset, results: dict[str | None, list]
    ) -> None:
        """What the best model found."""
        best = Best.read(runner.work_dir)
        name = best.model if best and best.model in results else next(iter(results))
        model = runner.model.module if is_module_wrapper(runner.model) else runner.model
        of_model = dict(iteration=runner.iter + 1, model=name, checkpoint=best and best.checkpoint)

        def predict(place: int) -> Any:
            # Of label maps the evaluation has kept counts alone.
            return results[name][place] if self.task.keep is None else predict_with(model, name, dataset, place)

        write_examination(Path(runner.work_dir), examiner, dataset, results[name], predict, of_model)


def add_line(lines: Sequence[dict[str, Any]], line: dict[str, Any]) -> list[dict[str, Any]]:
    """A history with one more line; those that are not before it are of a run that was taken back."""
    return [*(old for old in lines if old['iteration'] < line['iteration']), line]


def predict_with(model: Any, name: str | None, dataset: Dataset, place: int) -> Any:
    """What a bare model, its student or its teacher, gives for an image of a test set."""
    before = getattr(model, 'predict_on', None)
    if name is not None:
        model.predict_on = name
    try:
        return detect_batch(model, [dataset[place]])[0]
    finally:
        if name is not None:
            model.predict_on = before


def write_examination(
    work_dir: Path,
    examiner: Examiner,
    dataset: Dataset,
    results: Sequence[Any],
    predict: Predict,
    of_model: dict[str, Any],
) -> None:
    """Write ``examination.json``, its pictures, and ``thresholds.json``, the best one for each class.

    Args:
        predict: gives the model's result for an image by its place in the set.
        of_model: what else the file says: iteration, model, checkpoint.
    """
    folder = work_dir / FOLDER
    found = examiner.examine(dataset, results)
    pictures = []
    for number, place in enumerate(found.extremes()):
        threshold = 0.3 if found.confusion_thr is None else found.confusion_thr
        name = f'image_{number}.jpg'
        write_picture(examiner.draw(dataset, place, predict(place), threshold), folder / name)
        pictures.append(dict(file=name, image=found.images[place], score=found.image_scores[place]))
    content = dict(of_model, pictures=pictures, **asdict(found))
    if found.curves:
        write_whole(work_dir / THRESHOLDS, json.dumps(best_thresholds(found), indent=1) + '\n')
    write_whole(folder / EXAMINATION, json.dumps(content))


def best_thresholds(found: Examination) -> dict[str, float]:
    """Of each class the score of the highest F1; where nothing is ever right, what counts without any report."""
    best = [curve.best() for curve in found.curves]
    return {name: one[0] if one else DEFAULT for name, one in zip(found.classes, best, strict=True)}


def write_picture(picture: np.ndarray, path: Path) -> None:
    """Write a BGR picture as a small JPEG."""
    height, width = picture.shape[:2]
    panels = max(round(width / height), 1) if width > height else 1
    scale = min(WIDTH * min(panels, 3) / width, 1.0)
    small = mmcv.imrescale(picture, scale) if scale < 1 else picture
    with replacing(path) as temporary:
        mmcv.imwrite(small, str(temporary), [1, 80])  # IMWRITE_JPEG_QUALITY


def read_history(work_dir: Path) -> list[dict[str, Any]]:
    """The lines of ``history.json``, by iteration; none without it."""
    path = work_dir / FOLDER / HISTORY
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else []


def read_examination(work_dir: Path) -> tuple[Examination, dict[str, Any]] | None:
    """What was examined, and of which model, with its pictures; None if nothing was."""
    path = work_dir / FOLDER / EXAMINATION
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding='utf-8'))
    of_model = {key: content.pop(key) for key in ('iteration', 'model', 'checkpoint', 'pictures')}
    content['curves'] = [Curve(**curve) for curve in content['curves']]
    return Examination(**content), of_model
