"""Several iterations a step, each counting by its images."""

from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, Hook

from ssod.data import MultiSourceSampler


@HOOKS.register_module()
class StepSharesHook(Hook):
    """Weighs the iterations of a step so that each image of a source counts alike, whichever batch it is in.

    An iteration with n of a source's N images in K iterations has the factor ``K * n / N``; the optimizer's hook takes
    the mean over the K. So K batches have the loss of one batch of all their images, wherever that is a mean over
    images. Every training with ``optimizer_config.cumulative_iters`` > 1 and unlabeled images has this hook.

    Args:
        sampler: of the training loader, sources labeled and unlabeled.
        cumulative_iters: iterations a step.
    """

    def __init__(self, sampler: MultiSourceSampler, cumulative_iters: int) -> None:
        self.sampler = sampler
        self.cumulative_iters = cumulative_iters

    def before_run(self, runner) -> None:
        """Note where the training starts: a step that was resumed within has the rest of its iterations alone."""
        self.start = runner.iter

    def before_train_iter(self, runner) -> None:
        """Set this iteration's shares."""
        first = runner.iter - runner.iter % self.cumulative_iters
        end = min(first + self.cumulative_iters, runner.max_iters)
        first = max(first, self.start)
        if runner.iter == first:
            counts = self.sampler.counts(first, end)
            self.shares = counts * len(counts) / counts.sum(axis=0).clip(min=1)
        labeled, unlabeled = self.shares[runner.iter - first]
        model = runner.model.module if is_module_wrapper(runner.model) else runner.model
        model.sup_share, model.unsup_share = float(labeled), float(unlabeled)
