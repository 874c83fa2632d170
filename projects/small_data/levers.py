"""The levers of the small-data recipe: what each row of the table changes in the method's config."""

from dataclasses import dataclass, field
from typing import Any

SEMI = 'model.semi_train_cfg.'
VARIANCE = {'type': 'JitterVarianceFilter', 'thr': 0.05}
SOFT = {f'{SEMI}cls_targets': 'soft', f'{SEMI}background_weight': None}


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
    """Score thresholds of all pseudo boxes."""
    return {f'{SEMI}{branch}_filter.thr': value for branch in ('rpn', 'cls', 'reg')}


LEVERS = {
    'baseline': Lever('supervised baseline', supervised=True),
    'recipe': Lever('the recipe'),
    'score_05': Lever('score threshold 0.5', thresholds(0.5)),
    'score_09': Lever('score threshold 0.9', thresholds(0.9)),
    'variance': Lever('box regression: variance under 0.05', {f'{SEMI}reg_filter': VARIANCE}),
    'jitter_mean': Lever(
        'the same, boxes the mean of their jitters',
        {f'{SEMI}reg_filter': VARIANCE, f'{SEMI}pseudo_bbox': 'jitter_mean'},
    ),
    'no_regression': Lever('no box regression', {f'{SEMI}reg_filter': {'type': 'ScoreFilter', 'thr': 1.0}}),
    'no_soft_weights': Lever('no background weights', {f'{SEMI}background_weight': None}),
    'soft_targets': Lever('soft targets', SOFT),
    'soft_score_05': Lever('soft targets, score threshold 0.5', {**SOFT, **thresholds(0.5)}),
    'soft_jitter_mean': Lever(
        'soft targets, boxes the mean of their jitters, whatever their variance',
        {**SOFT, f'{SEMI}reg_filter': {**VARIANCE, 'thr': 1.0}, f'{SEMI}pseudo_bbox': 'jitter_mean'},
    ),
    'weight_1': Lever('unsupervised weight 1', {f'{SEMI}unsup_weight': 1.0}),
    'weight_4': Lever('unsupervised weight 4', {f'{SEMI}unsup_weight': 4.0}),
    'ema_0998': Lever('EMA 0.998', {f'{SEMI}ema.momentum': 0.998}),
    'narrow_scales': Lever('train_scale 320 to 448', {'train_scale': [(512, 320), (512, 448)]}),
}
