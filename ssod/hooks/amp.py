"""Mixed precision: matrix work in half precision; box, variance and loss arithmetic in float32."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, get_dist_info
from torch import Tensor, nn

from ssod.core.settings import check_choice, parse_settings

from .autocast import AutocastHandle, autocast_networks
from .optimizer import ReleasingOptimizerHook


@HOOKS.register_module()
class AmpOptimizerHook(ReleasingOptimizerHook):
    """Runs the model's networks under autocast, scales the loss, clips and steps; ``fp16`` of a config asks for it.

    mmcv's own hook knows CUDA's float16 alone. On a CPU float16 is not used: training stays in float32, with a
    message; bfloat16 works on both. Evaluations during the training run under the same autocast.

    Args:
        dtype: 'float16' or 'bfloat16'.
        loss_scale: 'dynamic', or a number to keep; bfloat16 needs none.
        settings: of :class:`ReleasingOptimizerHook`; gradients are clipped after they are unscaled.

    Raises:
        ValueError: another dtype or loss scale.
    """

    def __init__(self, dtype: str = 'float16', loss_scale: str | float = 'dynamic', **settings: Any) -> None:
        super().__init__(**settings)
        self.dtype = getattr(torch, Fp16Config(dtype, loss_scale).dtype)
        self.loss_scale = loss_scale

    def before_run(self, runner: Any) -> None:
        """Put the networks under autocast and restore the loss scale of a resumed run."""
        super().before_run(runner)
        self.handle = follow_fp16(runner.model, self.dtype, 'training and evaluating', runner.logger.info)
        growth = dict() if self.loss_scale == 'dynamic' else dict(init_scale=self.loss_scale, growth_interval=2**31 - 1)
        device = next(runner.model.parameters()).device.type
        scaled = self.dtype is torch.float16 and device != 'cpu'
        self.scaler = torch.amp.GradScaler(device, enabled=scaled, **growth)
        if 'fp16' in runner.meta:
            self.scaler.load_state_dict(runner.meta['fp16'])

    def after_run(self, runner: Any) -> None:
        """Leave the model as it was."""
        if self.handle is not None:
            self.handle.remove()

    def backward(self, loss: Tensor) -> None:
        """Add the scaled loss's gradients to the parameters'."""
        self.scaler.scale(loss).backward()

    def step(self, runner: Any) -> None:
        """Unscale, clip and step; an overflow of float16 skips the step and lowers the scale."""
        if not self.scaler.is_enabled():
            super().step(runner)
            return
        self.scaler.unscale_(runner.optimizer)
        self.clip_and_log(runner)
        self.scaler.step(runner.optimizer)
        self.scaler.update()
        self.skips.reset()
        runner.meta['fp16'] = self.scaler.state_dict()


@dataclass
class OptimizerConfig:
    """The keys of a config's ``optimizer_config``: see :class:`ReleasingOptimizerHook`.

    Attributes:
        type: mmcv's names of what that hook does are taken, too.
    """

    grad_clip: dict | None = None
    cumulative_iters: int = 1
    detect_anomalous_params: bool = False
    max_skips: int = 10
    type: str = 'OptimizerHook'

    def __post_init__(self) -> None:
        if self.type not in ('OptimizerHook', 'GradientCumulativeOptimizerHook', 'ReleasingOptimizerHook'):
            raise ValueError(
                f'optimizer_config.type {self.type!r} is not supported: leave it out, write cumulative_iters=N to '
                'accumulate gradients, and fp16=dict(...) at the top of the config for mixed precision'
            )


@dataclass
class Fp16Config:
    """The keys of a config's ``fp16``: see :class:`AmpOptimizerHook`."""

    dtype: str = 'float16'
    loss_scale: str | float = 'dynamic'

    def __post_init__(self) -> None:
        check_choice('fp16.dtype', self.dtype, ('float16', 'bfloat16'))
        if self.loss_scale != 'dynamic' and not isinstance(self.loss_scale, (int, float)):
            raise ValueError(f"fp16.loss_scale must be 'dynamic' or a number, got {self.loss_scale!r}")


# Settings of mmcv's hooks for float16, and what stands for them here.
FP16_HINTS = {'coalesce': 'nothing, DDP does it', 'bucket_size_mb': 'nothing, DDP chooses it', 'distributed': 'nothing'}


def build_optimizer_hook(optimizer_config: dict | None, fp16: dict | None) -> ReleasingOptimizerHook:
    """The hook that ``optimizer_config`` and ``fp16`` of a config describe together.

    Raises:
        ValueError: a hook, a key or a value that would not be honored.
    """
    settings = vars(parse_settings(OptimizerConfig, optimizer_config, 'optimizer_config', FP16_HINTS))
    del settings['type']
    if fp16 is None:
        return ReleasingOptimizerHook(**settings)
    return AmpOptimizerHook(**vars(parse_settings(Fp16Config, fp16, 'fp16', FP16_HINTS)), **settings)


def follow_fp16(model: nn.Module, dtype: torch.dtype, doing: str, say: Callable[[str], None]) -> AutocastHandle | None:
    """:func:`autocast_networks` on the device where the model is; None where that would not work.

    Args:
        model: bare or in mmcv's wrapper.
        dtype: half precision.
        doing: what the message says of it, 'evaluating' for instance.
        say: gets the message.
    """
    device = next(model.parameters()).device.type
    if dtype is torch.float16 and device == 'cpu':
        say(f'fp16 needs a GPU: {doing} in float32 (fp16.dtype="bfloat16" works on a CPU)')
        return None
    say(f'{doing} under autocast ({str(dtype).removeprefix("torch.")})')
    return autocast_networks(model.module if is_module_wrapper(model) else model, device, dtype)


def autocast_for_test(model: nn.Module, fp16: dict | None) -> AutocastHandle | None:
    """Let a model predict as in the evaluations of a training with ``fp16``, and say so; None changes nothing."""
    if fp16 is None:
        return None
    say = print if get_dist_info()[0] == 0 else lambda message: None
    return follow_fp16(
        model, getattr(torch, parse_settings(Fp16Config, fp16, 'fp16', FP16_HINTS).dtype), 'evaluating', say
    )
