"""Deterministic inputs of the semantic-segmentation golden figures.

Every tensor is drawn from its own ``torch.Generator('cpu')`` (mt19937, the same on every machine) in float64 and is
then cast, so figures are reproducible to the last digits of the dtype. ``segmentation.json`` holds the outputs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

NUM_CLASSES = 5
IGNORE = 255  # in our labels; the authors of SimpleBaseline use -1, the golden run maps 255 to it


def generator(seed: int) -> torch.Generator:
    """A fresh CPU generator."""
    return torch.Generator('cpu').manual_seed(seed)


def logits(
    seed: int,
    batch: int,
    height: int = 6,
    width: int = 7,
    classes: int = NUM_CLASSES,
    scale: float = 3.0,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """(batch, classes, height, width) normal logits times ``scale``: confidences from about 0.3 to 1."""
    shape = (batch, classes, height, width)
    return (torch.randn(shape, generator=generator(seed), dtype=torch.float64) * scale).to(dtype)


def labels(
    seed: int, batch: int, height: int = 6, width: int = 7, classes: int = NUM_CLASSES, ignored: float = 0.0
) -> Tensor:
    """(batch, height, width) uniform labels; about ``ignored`` of the pixels are ``IGNORE``."""
    g = generator(seed)
    target = torch.randint(0, classes, (batch, height, width), generator=g)
    drop = torch.rand((batch, height, width), generator=g, dtype=torch.float64) < ignored
    return torch.where(drop, torch.full_like(target, IGNORE), target)


def features(
    seed: int, batch: int = 2, channels: int = 8, height: int = 5, width: int = 6, dtype: torch.dtype = torch.float64
) -> Tensor:
    """(batch, channels, height, width) normal features."""
    return torch.randn((batch, channels, height, width), generator=generator(seed), dtype=torch.float64).to(dtype)


def fill(module: nn.Module, seed: int) -> nn.Module:
    """Set every parameter and floating buffer from one generator, in the order of ``state_dict()``.

    ``running_var`` gets 0.5 + u, u uniform in [0, 1); every other entry 0.5 * n, n normal. Integer buffers stay.
    """
    g = generator(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if not value.is_floating_point():
                continue
            if name.endswith('running_var'):
                new = 0.5 + torch.rand(value.shape, generator=g, dtype=torch.float64)
            else:
                new = 0.5 * torch.randn(value.shape, generator=g, dtype=torch.float64)
            value.copy_(new)
    return module


def plain_net() -> nn.Sequential:
    """Two convolutions with BatchNorm, before any conversion to DSBN; fill it with ``fill(net, 40)``."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4, eps=1e-3, momentum=0.1),
        nn.ReLU(),
        nn.Conv2d(4, 2, 1),
        nn.BatchNorm2d(2),
    ).double()


# Self-correction loss: name -> arguments. `noisy` says which images carry pseudo labels.
SELF_CORRECTION = {
    'one_noisy': dict(logits=1, labels=2, batch=1, ignored=0.0, noisy=[True], alpha=1.0, beta=1.0, weighted=True),
    'one_noisy_ignored': dict(
        logits=3, labels=4, batch=1, ignored=0.3, noisy=[True], alpha=1.0, beta=1.0, weighted=True
    ),
    'one_noisy_default_beta': dict(
        logits=1, labels=2, batch=1, ignored=0.0, noisy=[True], alpha=1.0, beta=0.5, weighted=True
    ),
    'one_noisy_unweighted': dict(
        logits=1, labels=2, batch=1, ignored=0.0, noisy=[True], alpha=1.0, beta=1.0, weighted=False
    ),
    'two_noisy': dict(logits=5, labels=6, batch=2, ignored=0.0, noisy=[True, True], alpha=1.0, beta=1.0, weighted=True),
    'two_clean_ignored': dict(
        logits=7, labels=8, batch=2, ignored=0.3, noisy=[False, False], alpha=1.0, beta=1.0, weighted=True
    ),
    'mixed_four': dict(
        logits=9, labels=10, batch=4, ignored=0.2, noisy=[False, True, True, False], alpha=1.0, beta=1.0, weighted=True
    ),
    'confident': dict(
        logits=11, labels=12, batch=1, ignored=0.0, noisy=[True], alpha=1.0, beta=1.0, weighted=True, scale=30.0
    ),
}


def self_correction_inputs(name: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, list[bool]]:
    """Logits, labels (ignored: 255) and the noisy flags of a case."""
    case = SELF_CORRECTION[name]
    pred = logits(case['logits'], case['batch'], scale=case.get('scale', 3.0), dtype=dtype)
    return pred, labels(case['labels'], case['batch'], ignored=case['ignored']), case['noisy']


def dsbn_inputs() -> tuple[nn.Sequential, Tensor, Tensor]:
    """The filled plain net, a batch of 4 (first 2 weak, last 2 strong, of another mean and scale), output weights."""
    net = fill(plain_net(), 40)
    batch = features(41, batch=4, channels=3, height=4, width=5)
    batch = torch.cat([batch[:2], batch[2:] * 2.0 + 1.5])
    return net, batch, features(42, batch=4, channels=2, height=4, width=5)


def cps_inputs() -> dict[str, Tensor]:
    """Logits of two networks on labelled (2) and unlabelled (2) images, and the labels."""
    return dict(
        pred_sup_l=logits(20, 2),
        pred_unsup_l=logits(21, 2),
        pred_sup_r=logits(22, 2),
        pred_unsup_r=logits(23, 2),
        gts=labels(24, 2, ignored=0.3),
    )


def cutmix_inputs() -> dict[str, Tensor]:
    """Two unlabelled batches, logits of both networks on them and on the mixed images, and a (2, 1, H, W) 0/1 mask."""
    mask = torch.zeros(2, 1, 6, 7, dtype=torch.float64)
    mask[0, 0, 1:4, 2:6] = 1
    mask[1, 0, 0:5, 0:3] = 1
    return dict(
        unsup_imgs_0=features(30, 2, 3, 6, 7),
        unsup_imgs_1=features(31, 2, 3, 6, 7),
        batch_mix_masks=mask,
        logits_u0_tea_1=logits(32, 2),
        logits_u1_tea_1=logits(33, 2),
        logits_u0_tea_2=logits(34, 2),
        logits_u1_tea_2=logits(35, 2),
        logits_cons_stu_1=logits(36, 2),
        logits_cons_stu_2=logits(37, 2),
    )


# CCT: features (2, 8, 10, 12) of an encoder of stride 8, a decoder of 3 classes, main prediction (2, 3, 80, 96).
CCT_CLASSES, CCT_STRIDE = 3, 8


class SubPixelDecoder(nn.Module):
    """CCT's decoder: 1x1 convolution to classes, then three times (1x1 convolution to 4x, ReLU, pixel shuffle 2)."""

    def __init__(self, channels: int = 8, classes: int = CCT_CLASSES, stride: int = CCT_STRIDE) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, classes, 1, bias=False)
        self.up = nn.ModuleList(nn.Conv2d(classes, classes * 4, 1) for _ in range(stride.bit_length() - 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, classes, stride * H, stride * W), never negative."""
        x = self.first(x)
        for conv in self.up:
            x = nn.functional.pixel_shuffle(conv(x).relu(), 2)
        return x


def cct_decoder() -> SubPixelDecoder:
    """The decoder with weights from seed 50, in float64."""
    return fill(SubPixelDecoder().double(), 50)


def cct_inputs() -> dict[str, Tensor]:
    """Features, a main prediction whose foreground is a disc and some specks, and what the decoders would draw."""
    main = logits(52, 2, 80, 96, CCT_CLASSES, scale=1.0)
    rows, columns = torch.meshgrid(torch.arange(80), torch.arange(96), indexing='ij')
    for image, (row, column, radius) in enumerate([(40, 45, 34), (30, 60, 27)]):
        disc = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        main[image, 0] += torch.where(disc, -8.0, 8.0).double()
    return dict(
        x=features(51, 2, 8, 10, 12),
        main=main,
        noise=(torch.rand((8, 10, 12), generator=generator(53), dtype=torch.float64) - 0.5) * 0.6,  # uniform +-0.3
        d0=torch.rand((2, 8, 10, 12), generator=generator(54), dtype=torch.float64) - 0.5,  # VAT's first direction
        gamma=torch.tensor(0.8, dtype=torch.float64),  # F-Drop's factor, drawn from U(0.7, 0.9)
    )


def augmentation_image() -> np.ndarray:
    """(8, 8, 3) uint8: img[y, x] = (17y + 5x, 31x + 3y + 40, 7xy + 90) modulo 256."""
    y, x = np.mgrid[0:8, 0:8]
    return np.stack([(17 * y + 5 * x) % 256, (31 * x + 3 * y + 40) % 256, (7 * x * y + 90) % 256], -1).astype(np.uint8)


def summary(tensor: Tensor) -> dict:
    """What is stored of a tensor: shape, sum, sum of absolute values, weighted sum (order matters), first values."""
    flat = tensor.detach().double().reshape(-1)
    weights = torch.cos(torch.arange(flat.numel(), dtype=torch.float64))
    return dict(
        shape=list(tensor.shape),
        sum=float(flat.sum()),
        abs_sum=float(flat.abs().sum()),
        cos_sum=float((flat * weights).sum()),
        head=[float(v) for v in flat[:6]],
    )
