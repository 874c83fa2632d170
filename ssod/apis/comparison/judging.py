"""What the trained models detect, on the validation images and on the labeled ones, and what that says."""

import contextlib
import copy
import io
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from ssod.apis.runs import read_log
from ssod.apis.test import test_detector
from ssod.core.checkpoint_file import load_file
from ssod.core.files import replacing
from ssod.core.measures import ClassScores, LabelQuality
from ssod.core.task import task_of
from ssod.data.loader import test_dataset_config

from .bootstrap import mean_of_defined
from .choice import Choice, choose
from .reasons import Reasons
from .runs import Plan

THRESHOLDS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


class Detected(NamedTuple):
    """Results of a checkpoint's two models on a set of images.

    Attributes:
        classes: of the models, by label.
        results: of 'student' and 'teacher', an entry per image.
    """

    classes: tuple[str, ...]
    results: dict[str, list]


class Judge:
    """Looks at the finished runs of a plan, at each thing once; what a checkpoint has detected is kept beside it.

    Args:
        plan: of the runs.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.dataset = cache(self.build_dataset)
        self.detected = cache(self.detect)
        self.scores = cache(self.score)

    def choice(self, column: str, seed: int) -> Choice:
        """The checkpoint and model that count for a run."""
        return choose(self.plan.run_dir(column, seed), self.plan.configs[column], self.plan.measures.metric)

    def set_config(self, place: str) -> dict:
        """'val', 'test', or 'labeled': the labeled images as a test set, prepared as the validation images are."""
        data, files = self.plan.configs['method'].data, self.plan.measures.files
        if place in ('val', 'test'):
            return data[place]
        labeled = data.train.labeled
        prepared = {key: value for key, value in data.val.items() if key not in files}
        return type(data.val)({**prepared, **{key: labeled[key] for key in files if key in labeled}})

    def has_test_set(self) -> bool:
        """Whether ``data.test`` holds other images than those that the runs choose by."""
        data = self.plan.configs['method'].data
        files = self.plan.measures.files
        return 'test' in data and any(data.test.get(key) != data.val.get(key) for key in files)

    def build_dataset(self, place: str, classes: tuple[str, ...]) -> Dataset:
        """A set of :meth:`set_config`, its labels numbered as the classes."""
        cfg = self.plan.configs['method']
        task = task_of(cfg)
        with contextlib.redirect_stdout(io.StringIO()):
            built = task.build_dataset(test_dataset_config(self.set_config(place), cfg.data), test_mode=True)
        task.prepare_test_data(built, classes)
        return built

    def detect(self, column: str, checkpoint: Path, place: str) -> Detected:
        """What a checkpoint's student and teacher give for a set of :meth:`set_config`."""
        kept = checkpoint.parent / 'detections' / f'{checkpoint.stem}_{place}.pth'
        written = checkpoint.stat().st_mtime_ns
        if kept.is_file() and (content := load_file(kept)).get('written') == written:
            return Detected(content['classes'], content['results'])
        print(f'  {checkpoint}: detecting on {place}', flush=True)
        cfg = copy.deepcopy(self.plan.configs[column])
        cfg.data.test = self.set_config(place)
        measures = self.plan.measures
        keep = partial(measures.kept, thresholds=self.thresholds())
        with contextlib.redirect_stdout(io.StringIO()):
            _, results = test_detector(cfg, str(checkpoint), [], 'both', keep=keep, prepare=measures.prepare)
            meta = load_file(checkpoint)['meta']
        with replacing(kept) as temporary:
            torch.save(dict(written=written, classes=tuple(meta['CLASSES']), results=results), temporary)
        return Detected(tuple(meta['CLASSES']), results)

    def thresholds(self) -> list[float]:
        """Scores at which pseudo labels are judged, the method's own among them; rising."""
        return sorted({*THRESHOLDS, self.plan.measures.threshold(self.plan.configs['method'])})

    def score(self, column: str, checkpoint: Path, model: str, place: str = 'val') -> ClassScores:
        """The metric of each class on samples of a set's images."""
        found = self.detected(column, checkpoint, place)
        return self.plan.measures.class_scores(self.dataset(place, found.classes), found.results[model])

    def chosen_scores(self, column: str, seed: int, place: str) -> ClassScores:
        """Those of a run's choice."""
        choice = self.choice(column, seed)
        return self.scores(column, choice.checkpoint, choice.model, place)

    def num_images(self, column: str, checkpoint: Path, place: str) -> int:
        """Of a set of :meth:`set_config`."""
        return len(self.dataset(place, self.detected(column, checkpoint, place).classes))

    def metric(self, column: str, checkpoint: Path, model: str, place: str = 'val') -> float | None:
        """The metric on a whole set, in points; None if it has no label."""
        num_images = self.num_images(column, checkpoint, place)
        value = mean_of_defined(self.scores(column, checkpoint, model, place)(np.ones(num_images, dtype=int)))
        return None if np.isnan(value) else 100 * value

    def quality(self, checkpoint: Path) -> dict[float, LabelQuality]:
        """Pseudo labels of a method checkpoint's teacher above each threshold, against the validation labels."""
        found = self.detected('method', checkpoint, 'val')
        dataset = self.dataset('val', found.classes)
        rows = self.plan.measures.label_quality(dataset, found.results['teacher'], self.thresholds())
        return {row.threshold: row for row in rows}

    def reasons(self, seed: int) -> Reasons:
        """The figures that may explain a seed's outcome."""
        plan, method, baseline = self.plan, self.choice('method', seed), self.choice('baseline', seed)
        classes = self.detected('method', method.checkpoint, 'val').classes
        labeled = self.dataset('labeled', classes)
        found = Reasons(
            labeled_images=len(labeled),
            validation_images=len(self.dataset('val', classes)),
            labels_per_image=plan.measures.labels_per_image(labeled),
            threshold=plan.measures.threshold(plan.configs['method']),
            **self.logged(seed),
            student=self.metric('method', method.checkpoint, 'student'),
            teacher=self.metric('method', method.checkpoint, 'teacher'),
            train=self.metric('method', method.checkpoint, method.model, 'labeled'),
            validation=self.metric('method', method.checkpoint, method.model),
            baseline_train=self.metric('baseline', baseline.checkpoint, baseline.model, 'labeled'),
            baseline_validation=self.metric('baseline', baseline.checkpoint, baseline.model),
        )
        return self.with_quality(found, method.checkpoint)

    def logged(self, seed: int) -> dict[str, Any]:
        """How many pseudo labels the log tells of: at the start, at the end, and in which share of it."""
        entries = read_log(self.plan.run_dir('method', seed))['train']
        key, scale = self.plan.measures.count, self.plan.measures.count_scale
        taught = [entry for entry in entries if entry.get('unsup_weight', 1) > 0]
        counts = [scale * entry[key] for entry in taught if key in entry]
        few = max(len(counts) // 10, 1)
        return dict(
            unlabeled_share=len(taught) / max(len(entries), 1),
            pseudo_per_image_at_start=float(np.mean(counts[:few])) if counts else None,
            pseudo_per_image=float(np.mean(counts[-few:])) if counts else None,
        )

    def with_quality(self, found: Reasons, checkpoint: Path) -> Reasons:
        """The figures, and how good the teacher's pseudo labels are, now and in the oldest checkpoint that is kept."""
        rows = self.quality(checkpoint)
        own = rows[found.threshold]
        kept = sorted(checkpoint.parent.glob('iter_*.pth'), key=lambda path: int(path.stem.removeprefix('iter_')))
        before = self.quality(kept[0])[found.threshold] if kept and kept[0] != checkpoint else None
        return replace(
            found,
            precision=own.precision,
            recall=own.recall,
            by_class=own.by_class,
            by_threshold={
                f'{thr:g}': dict(precision=row.precision, recall=row.recall, per_image=row.per_image)
                for thr, row in rows.items()
            },
            precision_before=None if before is None else before.precision,
            recall_before=None if before is None else before.recall,
        )
