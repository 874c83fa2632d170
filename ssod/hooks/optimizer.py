"""The optimizer's step: gradients over one or several iterations, clipped, and released after it."""

import inspect
import math
from typing import Any

from mmcv.runner import HOOKS, OptimizerHook
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, get_total_norm

from .nonfinite import Skips, nonfinite


@HOOKS.register_module()
class ReleasingOptimizerHook(OptimizerHook):
    """Backward pass, clipping and step; the gradients are released after the step, not before the next backward pass.

    The steps are those of mmcv's ``OptimizerHook``, and of its ``GradientCumulativeOptimizerHook`` for
    ``cumulative_iters`` > 1: iterations are counted, and a step comes after several of them. The forward pass, in
    which a step's memory peaks, has the room of the gradients: as much as the weights take.

    A checkpoint holds no gradients. Who resumes in the middle of an accumulation loses the gradients of its first
    iterations: that one step is the mean over the iterations which are left, and a warning says so.

    Args:
        grad_clip: arguments of ``clip_grad_norm_``, for the gradients that a step uses; None: no clipping.
        detect_anomalous_params: log an error for each trained parameter on which the loss does not depend; slow.
        cumulative_iters: iterations per step, whose losses are averaged. The last step of a training may have fewer.
        max_skips: how many steps in a row may be skipped because a loss or a gradient is not finite; one more ends the
            run. Of several iterations per step, those alone are left out whose loss is not finite.

    Raises:
        ValueError: an argument that would fail in the first step.

    Examples:
        >>> ReleasingOptimizerHook(grad_clip=dict(max_norm=10), cumulative_iters=4).cumulative_iters
        4
    """

    def __init__(
        self,
        grad_clip: dict | None = None,
        detect_anomalous_params: bool = False,
        cumulative_iters: int = 1,
        max_skips: int = 10,
    ) -> None:
        super().__init__(grad_clip, detect_anomalous_params)
        if not isinstance(cumulative_iters, int) or cumulative_iters < 1:
            raise ValueError(f'optimizer_config.cumulative_iters must be a whole number >= 1, got {cumulative_iters!r}')
        if grad_clip is not None:
            check_grad_clip(grad_clip)
        if not isinstance(max_skips, int) or max_skips < 0:
            raise ValueError(f'optimizer_config.max_skips must be a whole number >= 0, got {max_skips!r}')
        self.cumulative_iters = cumulative_iters
        self.skips = Skips(max_skips)
        self.first_iter = 0
        self.has_gradients = False

    def before_run(self, runner: Any) -> None:
        """Note where the training starts."""
        self.first_iter = runner.iter
        done = runner.iter % self.cumulative_iters
        if done:
            runner.logger.warning(
                f'resumed {done} iterations into an accumulation of {self.cumulative_iters}: the gradients of these '
                f'{done} are lost, the first step is the mean over the others'
            )

    def after_train_iter(self, runner: Any) -> None:
        """Backward pass; after the last iteration of an accumulation the step."""
        loss = runner.outputs['loss']
        if self.detect_anomalous_params:
            self.detect_anomalous_parameters(loss, runner)
        first = runner.iter - runner.iter % self.cumulative_iters
        end = min(first + self.cumulative_iters, runner.max_iters)
        if names := nonfinite(runner.outputs.get('log_vars', {})):
            self.skips.add(runner, names)
        else:
            self.backward(loss / (end - max(first, self.first_iter)))
            self.has_gradients = True
        if runner.iter + 1 == end:
            if self.has_gradients:
                self.step(runner)
            self.has_gradients = False
            runner.optimizer.zero_grad()

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients to the parameters'."""
        loss.backward()

    def step(self, runner: Any) -> None:
        """Clip the gradients and move the weights, unless a gradient is not finite."""
        if math.isfinite(self.clip_and_log(runner)):
            runner.optimizer.step()
            self.skips.reset()
        else:
            self.skips.add(runner, 'a gradient')

    def clip_and_log(self, runner: Any) -> float:
        """Clip the gradients, if asked for; log their norm before that as ``grad_norm`` and return it."""
        gradients = [p.grad for p in runner.model.parameters() if p.grad is not None]
        if self.grad_clip is None:
            norm = float(get_total_norm(gradients))
        else:
            norm = float(self.clip_grads(runner.model.parameters()) or 0)
        if gradients:
            runner.log_buffer.update(dict(grad_norm=norm), runner.outputs['num_samples'])
        return norm


def iters_per_step(runner: Any) -> int:
    """Iterations between two steps of the runner's optimizer: ``cumulative_iters`` of its hook, 1 without one."""
    return next((hook.cumulative_iters for hook in runner.hooks if isinstance(hook, ReleasingOptimizerHook)), 1)


def check_grad_clip(grad_clip: dict) -> None:
    """Refuse arguments that torch's ``clip_grad_norm_`` would refuse in the first step."""
    try:
        inspect.signature(clip_grad_norm_).bind([], **grad_clip)
    except TypeError as error:
        raise ValueError(f'optimizer_config.grad_clip={grad_clip!r}: {error}; write dict(max_norm=...)') from error
