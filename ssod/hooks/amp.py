"""Mixed precision: matrix work in half precision, box, variance and loss arithmetic in float32."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, OptimizerHook
from torch import Tensor, nn

from ssod.core import SemiModel


@HOOKS.register_module()
class AmpOptimizerHook(OptimizerHook):
    """Runs the detector's networks under autocast, scales the loss, clips and steps.

    mmcv's own hook knows CUDA's float16 alone. On a CPU float16 is not used: training stays in float32, with a
    message; bfloat16 works on both.

    Args:
        dtype: 'float16' or 'bfloat16'.
        loss_scale: 'dynamic', or a number to keep; bfloat16 needs none.
        grad_clip: as mmcv's, on the unscaled gradients.
    """

    def __init__(
        self, dtype: str = 'float16', loss_scale: str | float = 'dynamic', grad_clip: dict | None = None
    ) -> None:
        super().__init__(grad_clip)
        if dtype not in ('float16', 'bfloat16'):
            raise ValueError(f"fp16: dtype must be 'float16' or 'bfloat16', got {dtype!r}")
        if loss_scale != 'dynamic' and not isinstance(loss_scale, (int, float)):
            raise ValueError(f"fp16: loss_scale must be 'dynamic' or a number, got {loss_scale!r}")
        self.dtype = getattr(torch, dtype)
        self.loss_scale = loss_scale

    def before_run(self, runner) -> None:
        """Put the networks under autocast and restore the loss scale of a resumed run."""
        model = runner.model.module if is_module_wrapper(runner.model) else runner.model
        device = next(model.parameters()).device.type
        half = self.dtype is torch.float16
        if half and device == 'cpu':
            runner.logger.info('fp16 needs a GPU: training in float32 (fp16.dtype="bfloat16" works on a CPU)')
        else:
            autocast_networks(model, device, self.dtype)
        growth = dict() if self.loss_scale == 'dynamic' else dict(init_scale=self.loss_scale, growth_interval=2**31 - 1)
        grad_scaler = getattr(torch.amp, 'GradScaler', None) or torch.cuda.amp.GradScaler  # the latter until torch 2.2
        self.scaler = grad_scaler(enabled=half and device == 'cuda', **growth)
        if 'fp16' in runner.meta:
            self.scaler.load_state_dict(runner.meta['fp16'])

    def after_train_iter(self, runner) -> None:
        """Backward, clip, step; an overflow skips the step and lowers the scale."""
        self.scaler.scale(runner.outputs['loss']).backward()
        self.scaler.unscale_(runner.optimizer)
        if self.grad_clip is not None:
            norm = self.clip_grads(runner.model.parameters())
            if norm is not None:
                runner.log_buffer.update(dict(grad_norm=float(norm)), runner.outputs['num_samples'])
        self.scaler.step(runner.optimizer)
        self.scaler.update()
        runner.optimizer.zero_grad()  # see ReleasingOptimizerHook
        if self.scaler.is_enabled():
            runner.meta['fp16'] = self.scaler.state_dict()


def autocast_networks(model: nn.Module, device: str, dtype: torch.dtype) -> None:
    """Run backbone with neck and the heads of a detector (of both, student and teacher) under autocast.

    What they return is float32 again, so that RoIAlign, decoding, assignment and losses are float32 arithmetic.
    """
    detectors = [model.student, model.teacher] if isinstance(model, SemiModel) else [model]
    for detector in detectors:
        detector.extract_feat = in_autocast(detector.extract_feat, device, dtype)
        # Two stages have an RPN and a RoI head's box head, one stage a box head of its own.
        for parent, name in ((detector, 'rpn_head'), (getattr(detector, 'roi_head', detector), 'bbox_head')):
            if hasattr(parent, name):
                head = getattr(parent, name)
                head.forward = in_autocast(head.forward, device, dtype)


def in_autocast(function: Callable, device: str, dtype: torch.dtype) -> Callable:
    """``function`` under autocast, with float32 results."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device, dtype):
            return to_float32(function(*args, **kwargs))

    return run


def to_float32(value: Any) -> Any:
    """Tensors, nested in tuples and lists, as float32."""
    if isinstance(value, (tuple, list)):
        return type(value)(to_float32(item) for item in value)
    return value.float() if isinstance(value, Tensor) else value
