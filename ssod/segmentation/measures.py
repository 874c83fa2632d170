"""Label maps, for comparisons of trainings: mIoU of samples of the images, and how good pseudo-labeled pixels are."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import Config, ConfigDict
from mmseg.datasets import CustomDataset
from torch import nn

from ssod.core.errors import InputError
from ssod.core.measures import ClassScores, LabelQuality, Measures
from ssod.data.files import read_json

from .base import ScoredMap, TeacherStudentSegmentor
from .labeling import NOTE, read_map
from .maps import IGNORE

METRICS = ('mIoU', 'mDice')
FILES = 'data_root img_dir img_suffix ann_dir seg_map_suffix split every_nth ignore_values all_classes'.split()
Counts = dict[str, np.ndarray]


class MapMeasures(Measures):
    """mIoU over the images' summed pixels, and pseudo-labeled pixels that have the true class.

    Pixels without a true label (255) count neither way; in the share of pseudo-labeled pixels they do.

    Args:
        metric: 'mIoU' or 'mDice'.
    """

    unit = 'pixels'
    count = 'confident_share'
    count_scale = 0.01
    per_image = 'share of labeled pixels'
    pseudo_per_image = 'share of pseudo-labeled pixels'
    supervised = 'SupervisedSegmentor'
    self_training = 'SelfTrainingSegmentor'
    labels_name = 'pseudo_maps'
    labels_key = 'ann_dir'
    labeled_by = 'baseline'  # a method of two networks does not read the baseline's weights
    labeling_options = ('--scales', '1', '--no-flip')
    files = (*FILES, 'reduce_zero_label')

    def __init__(self, metric: str = 'mIoU') -> None:
        self.metric = self.label = metric

    def check(self, cfg: Config) -> None:
        """Refuse another metric, labels from disk, and labeled images of several sets.

        Raises:
            InputError: there is such.
        """
        train = cfg.data.train
        if self.metric not in METRICS:
            raise InputError(f'label maps are compared by {" or ".join(METRICS)}: set evaluation.metric')
        if train.unlabeled.type != 'UnlabeledDataset':
            raise InputError(
                f'{cfg.model.type} learns from label maps on disk, as label-once does: compare a method that labels '
                'while it trains, and run rounds with tools/train_rounds.sh'
            )
        if train.labeled.type != 'LabelMapDataset':
            raise InputError(f'labeled images of a comparison are a LabelMapDataset, not a {train.labeled.type}')

    def amount(self, value: float) -> str:
        """A share of the pixels in words."""
        return f'{100 * value:.0f} % of the pixels'

    def prepare(self, model: nn.Module) -> None:
        """Let it say how sure it is of each pixel."""
        if not isinstance(model, TeacherStudentSegmentor):
            raise TypeError(f'a comparison is of models with a student and a teacher, not of a {type(model).__name__}')
        model.with_scores = True

    def kept(self, dataset: CustomDataset, place: int, result: ScoredMap, thresholds: Sequence[float]) -> Counts:
        """Pixels of an image, counted: what a large set can keep of it.

        Returns:
            ``confusion`` (C, C), pixels of a true class (row) that were given a class (column); ``right`` and ``found``
            (T, C), labeled pixels given a class with a score above each threshold, and those of them that are right;
            ``above`` (T,), all pixels above it; ``pixels`` (), all.
        """
        truth, num_classes = dataset.get_gt_seg_map_by_idx(place).astype(np.int64), len(dataset.CLASSES)
        labeled = truth != IGNORE
        # How many thresholds lie below a pixel's score.
        level = np.searchsorted(thresholds, result.scores.astype(np.float64), side='left')
        true, given, passed = truth[labeled], result.labels[labeled], level[labeled]
        confusion = np.bincount(true * num_classes + given, minlength=num_classes**2)
        is_right = true == given
        shape = len(thresholds) + 1, num_classes
        return dict(
            confusion=confusion.reshape(num_classes, num_classes),
            found=reached(counted(passed, given, shape)),
            right=reached(counted(passed[is_right], given[is_right], shape)),
            above=reached(np.bincount(level.reshape(-1), minlength=shape[0])),
            pixels=np.array(truth.size),
        )

    def class_scores(self, dataset: CustomDataset, results: list[Counts]) -> ClassScores:
        """IoU, or Dice, of each class over the sampled images; nan for a class that no pixel has or was given."""
        confusion = np.stack([one['confusion'] for one in results])
        right = np.diagonal(confusion, axis1=1, axis2=2)
        true, given = confusion.sum(axis=2), confusion.sum(axis=1)

        def scores(counts: np.ndarray) -> np.ndarray:
            inside, both = counts @ right, counts @ (true + given)
            numerator, divisor = (inside, both - inside) if self.metric == 'mIoU' else (2 * inside, both)
            return np.divide(numerator, divisor, out=np.full(len(inside), np.nan), where=divisor > 0)

        return scores

    def label_quality(
        self, dataset: CustomDataset, results: list[Counts], thresholds: Sequence[float]
    ) -> list[LabelQuality]:
        """Precision and recall over all labeled pixels and for each class, at the thresholds of :meth:`kept`.

        Raises:
            ValueError: another number of thresholds.
        """
        total = {key: np.sum([one[key] for one in results], axis=0) for key in results[0]}
        if len(thresholds) != len(total['above']):
            raise ValueError(f'{len(total["above"])} thresholds were counted, {len(thresholds)} are asked about')
        true, rows = total['confusion'].sum(axis=1), []
        for i, threshold in enumerate(thresholds):
            found, right = total['found'][i], total['right'][i]
            each = zip(dataset.CLASSES, right, found, true, strict=True)
            rows.append(
                LabelQuality(
                    threshold,
                    float(total['above'][i] / total['pixels']),
                    precision=ratio(right.sum(), found.sum()),
                    recall=ratio(right.sum(), true.sum()),
                    by_class={name: dict(precision=ratio(r, f), recall=ratio(r, t)) for name, r, f, t in each},
                )
            )
        return rows

    def labels_per_image(self, dataset: CustomDataset) -> float:
        """Mean share of an image's pixels that have a label."""
        shares = [np.mean(dataset.get_gt_seg_map_by_idx(i) != IGNORE) for i in range(len(dataset))]
        return float(np.mean(shares))

    def threshold(self, cfg: Config) -> float:
        """FixMatch's and UniMatch's; else ``pseudo_score_thr``, or 0: such methods learn from every pixel."""
        if cfg.model.type in ('FixMatch', 'UniMatch'):
            return (cfg.model.get('semi_train_cfg') or {}).get('threshold', 0.95)
        return cfg.get('pseudo_score_thr', 0.0)

    def with_labels(self, cfg: Config, labels: Path, threshold: float) -> ConfigDict:
        """The method's own unlabeled images and strong view, with label maps that move along.

        The maps have no scores: what is not above the threshold is 255 in them.

        Raises:
            InputError: the pipeline has no view ``unsup_student`` that ends in ``Collect``.
        """
        own = copy.deepcopy(cfg.data.train.unlabeled)
        pipeline: list[Any] = []
        for op in own.pipeline:
            if op.type == 'MultiBranch':
                view = op.get('unsup_student') or [{}]
                if view[-1].get('type') != 'Collect':
                    raise InputError(
                        f'{cfg.filename}: the view unsup_student of the unlabeled images ends in no Collect'
                    )
                view[-1]['keys'] = [*view[-1]['keys'], 'gt_semantic_seg']
                op = dict(type='MultiBranch', unsup_student=view)
            pipeline.append(op)
            if op['type'] == 'LoadImageFromFile':
                pipeline.append(dict(type='LoadAnnotations'))
        return ConfigDict({**own, 'type': 'PseudoMapDataset', 'ann_dir': str(labels.resolve()), 'pipeline': pipeline})

    def is_labeled(self, labels: Path) -> bool:
        """The note beside the maps says so."""
        return (labels / NOTE).is_file() and read_json(labels / NOTE).get('finished', False)

    def count_labels(self, labels: Path, threshold: float) -> int:
        """Pixels with a label in a folder of maps, of which what is below the threshold was left out."""
        return sum(int((read_map(path) != IGNORE).sum()) for path in labels.rglob('*.png'))


def counted(levels: np.ndarray, classes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """How often each pair of a level and a class is there."""
    return np.bincount(levels * shape[1] + classes, minlength=shape[0] * shape[1]).reshape(shape)


def reached(at: np.ndarray) -> np.ndarray:
    """(T + 1, ...) numbers at each level to (T, ...) numbers at level 1 or more, 2 or more ..."""
    return np.cumsum(at[::-1], axis=0)[::-1][1:]


def ratio(part: Any, whole: Any) -> float | None:
    """A share; None of nothing."""
    return float(part / whole) if whole else None
