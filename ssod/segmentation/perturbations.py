"""What CCT does to the features of an unlabeled image, and how far a prediction from them is from the main one.

Ouali et al., Semi-Supervised Semantic Segmentation with Cross-Consistency Training, CVPR 2020; CCT@65d4e5b. Features z
are (N, C, h, w), main predictions logits (N, K, H, W). What a perturbation draws can be given.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Decoder = Callable[[Tensor], Tensor]


def drop_active(z: Tensor, gamma: Tensor | float | None = None) -> Tensor:
    """F-Drop: positions whose channel mean reaches ``gamma``, of U(0.7, 0.9), times the image's highest become 0."""
    gamma = np.random.uniform(0.7, 0.9) if gamma is None else gamma
    mean = z.mean(dim=1, keepdim=True)
    return z * (mean < gamma * mean.amax(dim=(1, 2, 3), keepdim=True))


def add_noise(z: Tensor, noise: Tensor | None = None) -> Tensor:
    """F-Noise: z (1 + n), n of U(-0.3, 0.3) and shape (C, h, w), one for the batch."""
    noise = torch.empty_like(z[0]).uniform_(-0.3, 0.3) if noise is None else noise
    return z * (1 + noise)


def foreground(main: Tensor, size: tuple[int, int], background: int = 0) -> Tensor:
    """(N, 1, h, w) mask, 1 where the main prediction is another class than ``background``."""
    mask = (main.argmax(dim=1, keepdim=True) != background).to(main.dtype)
    return F.interpolate(mask, size, mode='nearest')


def mask_context(z: Tensor, main: Tensor, background: int = 0) -> Tensor:
    """Con-Msk: features of the foreground alone."""
    return z * foreground(main, z.shape[2:], background).to(z.dtype)


def mask_objects(z: Tensor, main: Tensor, background: int = 0) -> Tensor:
    """Obj-Msk: features of the background alone."""
    return z * (1 - foreground(main, z.shape[2:], background)).to(z.dtype)


def guided_cutout(z: Tensor, main: Tensor, background: int = 0, erase: float = 0.4) -> Tensor:
    """G-Cutout: of each object a box of ``erase`` times the sides of its bounding box, somewhere in it, becomes 0.

    An object is an outer contour of the predicted foreground with more than 50 points, as OpenCV simplifies it.
    """
    masks = (main.argmax(dim=1) != background).to(torch.uint8).cpu().numpy()
    kept = np.ones(masks.shape, np.float32)
    for mask, keep in zip(masks, kept, strict=True):
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for points in [contour[:, 0] for contour in contours if len(contour) > 50]:
            left, top = points.min(axis=0)
            width, height = points.max(axis=0) - (left, top)
            x = left + np.random.randint(0, int(width * (1 - erase)) + 1)
            y = top + np.random.randint(0, int(height * (1 - erase)) + 1)
            keep[y : y + int(height * erase), x : x + int(width * erase)] = 0
    kept = F.interpolate(torch.from_numpy(kept)[:, None], z.shape[2:], mode='nearest')
    return z * kept.to(z)


def unit(d: Tensor, added: float = 0.0) -> Tensor:
    """Each image's direction at length 1, 0 stays 0; ``added`` to the length, as the authors do (1e-8)."""
    return d / (d.flatten(1).norm(dim=1)[:, None, None, None] + added).clamp(min=torch.finfo(d.dtype).tiny)


def adversarial(
    z: Tensor, decoder: Decoder, xi: float = 0.1, eps: float = 2.0, d: Tensor | None = None, added: float = 0.0
) -> Tensor:
    """I-VAT: what added to z changes the decoder's prediction most, of length ``eps`` for each image.

    One power iteration. The authors' ``xi`` of 1e-6 does nothing in float32: the gradient drowns in rounding.
    Only the direction is differentiated: no gradient reaches the decoder or z.

    Args:
        z: features.
        decoder: z to logits.
        xi: length of the trial step.
        eps: length of the result.
        d: the first direction, of z's shape; None: of U(-0.5, 0.5).
        added: to lengths; see :func:`unit`.
    """
    z = z.detach()
    with torch.no_grad():
        target = decoder(z).softmax(dim=1)
    d = unit(torch.rand_like(z) - 0.5 if d is None else d, added).requires_grad_()
    with torch.enable_grad():
        distance = F.kl_div(decoder(z + xi * d).log_softmax(dim=1), target, reduction='batchmean')
        (gradient,) = torch.autograd.grad(distance, d)
    return eps * unit(gradient, added)


def softmax_mse(logits: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of probabilities, over N, C, H and W; no gradient through ``target``, logits as well."""
    return F.mse_loss(logits.softmax(dim=1), target.detach().softmax(dim=1))


def softmax_kl(logits: Tensor, target: Tensor) -> Tensor:
    """KL divergence of the target's probabilities from the prediction's, a mean over N, C, H and W as the authors'."""
    return F.kl_div(logits.log_softmax(dim=1), target.detach().softmax(dim=1), reduction='mean')


CONSISTENCY = dict(mse=softmax_mse, kl=softmax_kl)


def ramp_up(step: int, length: int) -> float:
    """exp(-5 (1 - t)^2) over the first ``length`` steps, then 1 (Laine and Aila, ICLR 2017)."""
    return float(np.exp(-5 * (1 - min(step / length, 1)) ** 2)) if length else 1.0
