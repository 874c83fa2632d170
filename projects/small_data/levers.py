"""The levers of the small-data recipe: what each row of the table changes in the method's config."""

from dataclasses import dataclass, field
from typing import Any

SCORE_FILTER = 'ScoreFilter'


@dataclass(frozen=True)
class Lever:
    """A row of the table.

    Attributes:
        label: what it changes, in words.
        options: settings over those of the recipe, as ``--cfg-options`` takes them.
        supervised: whether the row trains the supervised baseline.
    """

    label: str
    options: dict[str, Any] = field(default_factory=dict)
    supervised: bool = False


def thresholds(value: float) -> dict[str, float]:
    """Score thresholds of the RPN's and the classification's pseudo boxes."""
    return {f'model.semi_train_cfg.{branch}_filter.thr': value for branch in ('rpn', 'cls')}


LEVERS = {
    'baseline': Lever('supervised baseline', supervised=True),
    'recipe': Lever('the recipe'),
    'score_05': Lever('score threshold 0.5', thresholds(0.5)),
    'score_09': Lever('score threshold 0.9', thresholds(0.9)),
    'no_regression': Lever('no box regression on unlabeled images', {'model.semi_train_cfg.reg_filter.thr': 1.0}),
    'weight_1': Lever('unsupervised weight 1', {'model.semi_train_cfg.unsup_weight': 1.0}),
    'weight_4': Lever('unsupervised weight 4', {'model.semi_train_cfg.unsup_weight': 4.0}),
}
