"""A burn-in without unlabeled images."""

from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, Hook


@HOOKS.register_module()
class UnsupWeightHook(Hook):
    """Sets the unsupervised loss's weight to 0 for ``burn_in`` iterations, then raises it linearly over ``ramp``.

    The weight is logged as ``unsup_weight``. While it is 0 unlabeled images cost no computation. For detectors trained
    from scratch, whose first pseudo boxes would mislead; the authors, who start from ImageNet weights, use none.

    Args:
        burn_in: iterations at weight 0.
        ramp: iterations from there to the full weight of ``semi_train_cfg``.

    Attributes:
        iteration_settings: the arguments that ``auto_scale`` scales.
    """

    iteration_settings = ('burn_in', 'ramp')
    needs_unlabeled = True  # a supervised baseline leaves it out

    def __init__(self, burn_in: int, ramp: int = 0) -> None:
        self.burn_in = burn_in
        self.ramp = ramp

    def before_run(self, runner) -> None:
        """Remember the full weight."""
        model = runner.model.module if is_module_wrapper(runner.model) else runner.model
        self.full_weight = model.unsup_weight

    def before_train_iter(self, runner) -> None:
        """Set this iteration's weight."""
        model = runner.model.module if is_module_wrapper(runner.model) else runner.model
        past = runner.iter + 1 - self.burn_in
        share = min(max(past / max(self.ramp, 1), 0), 1)
        model.unsup_weight = self.full_weight * share
        runner.log_buffer.update(dict(unsup_weight=model.unsup_weight))
