"""What can be wrong with the input of a segmentor's training or test, said before it starts."""

from collections.abc import Sequence

from mmcv import Config
from torch import nn

from ssod.core.errors import InputError
from ssod.core.task import inner_model

METRICS = ('mIoU', 'mDice', 'mFscore')


def check_metrics(metrics: str | Sequence[str]) -> None:
    """Refuse, before there is anything to evaluate, a metric that MMSegmentation's data sets do not know."""
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if unknown := [metric for metric in metrics if metric not in METRICS]:
        raise InputError(f'no metric {unknown[0]!r}: a segmentation data set has {", ".join(METRICS)}')


def check_config(cfg: Config, splits: Sequence[str]) -> None:
    """Refuse settings that cannot work together.

    Raises:
        InputError: a metric that is not known, images of a test in batches, or crops of single images.
    """
    if 'val' in splits and 'evaluation' in cfg:
        check_metrics(cfg.evaluation.get('metric', 'mIoU'))
    if 'backend' in (cfg.get('evaluation') or {}):
        raise InputError('evaluation.backend is for boxes and masks, and label maps have none: leave it out')
    if cfg.data.get('test_samples_per_gpu', 1) != 1:
        raise InputError('data.test_samples_per_gpu: MMSegmentation tests image by image, set 1')


def heads_of(model: dict) -> list[dict]:
    """Configs of the decode heads and auxiliary heads of a segmentor's config, or of the one that it wraps."""
    segmentor = inner_model(model) or model
    heads = []
    for key in ('decode_head', 'auxiliary_head'):
        found = segmentor.get(key) or []
        heads += found if isinstance(found, (list, tuple)) else [found]
    return heads


def num_classes_of(model: nn.Module) -> int | None:
    """Classes of a segmentor's decode head; None where there is no single number."""
    return getattr(getattr(model, 'student', model), 'num_classes', None)
