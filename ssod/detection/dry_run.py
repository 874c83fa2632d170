"""What a detector calls its losses: asked of it, for every head has names of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssod.core import Batch

SIZE = 128  # pixels: every level of a pyramid up to stride 128 has a place


@torch.no_grad()
def loss_names_of(detector: nn.Module) -> tuple[str, ...]:
    """Names of the losses and measures that a detector's ``forward_train`` gives for an image with a box.

    Leaves no trace in the detector's averages nor in the random numbers. Where several processes train, all of them
    have to ask at the same time, for a head's loss may exchange counts.
    """
    device = next(detector.parameters()).device
    with training_without_averages(detector), torch.random.fork_rng([device] if device.type == 'cuda' else []):
        return tuple(detector.forward_train(**dry_batch(device)) or ())


@contextmanager
def training_without_averages(detector: nn.Module) -> Iterator[None]:
    """A detector in training mode, in which some heads have other outputs, but for its BatchNorms."""
    modes = {module: module.training for module in detector.modules()}
    detector.train()
    for module in modes:
        if isinstance(module, _BatchNorm):
            module.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def dry_batch(device: torch.device) -> Batch:
    """A black image with a box of class 0 in its middle."""
    shape, quarter = (SIZE, SIZE, 3), SIZE / 4
    meta = dict(filename='', ori_filename='', ori_shape=shape, img_shape=shape, pad_shape=shape, scale_factor=1.0)
    return dict(
        img=torch.zeros(1, *shape[2:], SIZE, SIZE, device=device),
        img_metas=[dict(meta, flip=False)],
        gt_bboxes=[torch.tensor([[quarter, quarter, 3 * quarter, 3 * quarter]], device=device)],
        gt_labels=[torch.zeros(1, dtype=torch.long, device=device)],
    )
