"""The optimizer's step, and the memory of gradients."""

from mmcv.runner import HOOKS, OptimizerHook


@HOOKS.register_module()
class ReleasingOptimizerHook(OptimizerHook):
    """mmcv's ``OptimizerHook``, which lets go of the gradients after the step instead of before the next backward pass.

    Same arguments, same steps. The forward pass, in which a step's memory peaks, has the room of the gradients: as
    much as the weights take.
    """

    def after_train_iter(self, runner) -> None:
        """Backward, clip, step."""
        super().after_train_iter(runner)
        runner.optimizer.zero_grad()
