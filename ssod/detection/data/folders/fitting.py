"""The numbers of the small-data recipe, fitted to a data set and a device."""

import math
from dataclasses import dataclass

from mmcv import Config

from ssod.apis.presets import Preset
from ssod.apis.scaling import lr_factor, round_to

from .summary import LARGEST_SCALE, QUANTILES, VANISHING, DataSummary

# Looks at each labeled image, at least: as many as MMDetection's schedule `2x` has of COCO's.
PASSES = 24
# The teacher averages over this share of the steps at most, or it is a student of long ago.
LONGEST_EMA = 0.1


@dataclass(frozen=True)
class Schedule:
    """Numbers of a training, scaled from those of the recipe's config.

    Attributes:
        labeled, unlabeled: images of an iteration, on average.
        cumulative: iterations of a step of the optimizer.
        lr: learning rate.
        iterations: of the whole training.
        burn_in: iterations before unlabeled images count.
        steps: iterations at which the learning rate falls; none if the recipe's falls otherwise.
        evaluations, checkpoints: iterations from one to the next, whole steps.
        momentum: of the teacher's average, which counts steps.
    """

    labeled: float
    unlabeled: float
    cumulative: int
    lr: float
    iterations: int
    burn_in: int
    steps: list[int]
    evaluations: int
    checkpoints: int
    momentum: float

    @property
    def samples(self) -> int:
        """Images of an iteration."""
        return round(self.labeled + self.unlabeled)


def fit_schedule(base: Config, preset: Preset, labeled: int) -> Schedule:
    """The recipe's numbers for another batch and another number of labeled images.

    The learning rate follows the images of a step as in ``auto_scale``. The number of images looked at stays, unless
    labeled images would be seen less than `PASSES` times. Shares of the training stay.

    Args:
        base: the recipe's config.
        preset: the batch that the device has room for.
        labeled: number of labeled images.
    """
    samples, steps = preset.samples_per_gpu, preset.cumulative_iters
    of_labeled = samples * preset.ratio[0] / sum(preset.ratio)
    base_steps = base.optimizer_config.get('cumulative_iters', 1)
    larger = samples * steps / (base.data.samples_per_gpu * base_steps)
    total = base.runner.max_iters
    wanted = max(total * base.data.samples_per_gpu / samples, PASSES * labeled / of_labeled)
    rounds = max(round(total / base.evaluation.interval), 1)
    unit = math.lcm(10, steps)
    evaluations = math.ceil(wanted / rounds / unit) * unit  # the last one ends the training
    iterations = rounds * evaluations
    average = base_steps / (1 - base.model.semi_train_cfg.ema.momentum) / total  # as a share of the training
    average = min(average, LONGEST_EMA) * iterations / steps
    return Schedule(
        labeled=of_labeled,
        unlabeled=samples - of_labeled,
        cumulative=steps,
        lr=round_to(base.optimizer.lr * lr_factor(base.optimizer.type, larger), digits=3),
        iterations=iterations,
        burn_in=round(base.burn_in * iterations / total),
        steps=[round(step * iterations / total) for step in base.lr_config.get('step', [])],
        evaluations=evaluations,
        checkpoints=evaluations * max(round(base.checkpoint_config.interval / base.evaluation.interval), 1),
        momentum=round(1 - 1 / average, 4),
    )


def fit_scale(summary: DataSummary, most: tuple[int, int]) -> tuple[tuple[int, int], str]:
    """(long, short) side in pixels to resize to, and why.

    Args:
        summary: of the data.
        most: the largest that the device should be given; exceeded where many boxes would vanish.
    """
    long, short = summary.scale
    factor = min(1, most[0] / long, most[1] / short)
    if factor == 1:
        full = f'{LARGEST_SCALE[0]} x {LARGEST_SCALE[1]}'
        return (long, short), f'the median of your images, {full} at most: no detail is lost'
    shares = summary.splits['labeled'].box_share
    needed = VANISHING / shares[0] / long if shares else 0
    scale = round(long * factor), round(short * factor)
    if needed <= factor:
        return scale, f'what this machine trains in reasonable time; the median of your images is {long} x {short}'
    raised = min(needed, 1)
    return (round(long * raised), round(short * raised)), (
        f'more than the {scale[0]} x {scale[1]} that suit this machine: at those {100 * QUANTILES[0]:.0f} % of '
        f'your boxes or more are under {VANISHING} pixels'
    )
