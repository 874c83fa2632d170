"""Pipeline ops in MMSegmentation's registry: views, formatting, and strong augmentation of colors."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.parallel import DataContainer
from mmseg.datasets.builder import PIPELINES
from mmseg.datasets.pipelines import Compose
from PIL import ImageFilter
from torchvision.transforms import ColorJitter
from torchvision.transforms import functional as TF

from ssod.core.errors import InputError
from ssod.data.views import DrawThenApply, MultiBranch, NormalizeOnDevice
from ssod.segmentation.strong_ops import OPS

IGNORE = 255
# Ops that move pixels, of MMSegmentation and of mmcv.
GEOMETRIC = frozenset('Resize RandomFlip RandomCrop RandomRotate ResizeToMultiple RandomMosaic Transpose'.split())


@PIPELINES.register_module(name='MultiBranch')
class MapBranches(MultiBranch):
    """:class:`ssod.data.views.MultiBranch` of MMSegmentation's ops.

    The views of an unlabeled image have to show the same pixels: what moves pixels comes before the branches.

    Args:
        independent: the views are crops of their own, as ``same_image`` of Cross Pseudo Supervision mixes them.
        pipelines: as of :class:`ssod.data.views.MultiBranch`.

    Raises:
        InputError: a branch moves pixels, and it is not the only one, and they are not called independent.
    """

    compose = Compose

    def __init__(self, independent: bool = False, **pipelines: list[Any]) -> None:
        for name, ops in pipelines.items():
            moving = [op['type'] for op in ops if isinstance(op, dict) and op.get('type') in GEOMETRIC]
            if moving and len(pipelines) > 1 and not independent:
                raise InputError(
                    f'MultiBranch: {moving[0]} in the branch {name} moves pixels away from the other views: put it '
                    'before MultiBranch'
                )
        super().__init__(**pipelines)


@PIPELINES.register_module(name='NormalizeOnDevice')
class NormalizeMapOnDevice(NormalizeOnDevice):
    """:class:`ssod.data.views.NormalizeOnDevice`; label maps become int64 and are padded with 255, in a batch too."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """``gt_semantic_seg`` as a (1, H, W) int64 tensor in a container."""
        results = super().__call__(results)
        for key in results.get('seg_fields', []):
            results[key] = DataContainer(results[key].data.long(), stack=True, padding_value=IGNORE)
        return results


@PIPELINES.register_module()
class StrongColors(DrawThenApply):
    """Simple Baseline's strong augmentation: ``num`` of 17 operations, drawn without replacement, in the table's order.

    It comes before scaling and cropping, on the whole BGR image. See :mod:`ssod.segmentation.strong_ops`.

    Args:
        num: operations for an image.
        magnitude: 0 to 39; the authors take 20.
        ops: names to draw from; None: all.
        prob: that an image is changed; 0 switches it off, for an ablation.

    Raises:
        InputError: a name that is none of the 17, or fewer names than ``num``.
    """

    def __init__(self, num: int = 3, magnitude: int = 20, ops: Sequence[str] | None = None, prob: float = 1.0) -> None:
        self.num, self.magnitude, self.prob = num, magnitude, prob
        self.ops = [name for name in OPS if ops is None or name in ops]
        if unknown := set(ops or ()) - set(OPS):
            raise InputError(f'StrongColors has no operation {sorted(unknown)[0]!r}: it has {", ".join(OPS)}')
        if not 1 <= num <= len(self.ops):
            raise InputError(f'StrongColors: num={num} of {len(self.ops)} operations')
        if magnitude not in range(40):
            raise InputError(f'StrongColors: magnitude is a whole number from 0 to 39, got {magnitude}')
        if not 0 <= prob <= 1:
            raise InputError(f'StrongColors: prob is in [0, 1], got {prob}')

    def draw(self, results: dict[str, Any]) -> dict[str, Any]:
        """``names``, in the table's order; none, with probability 1 - ``prob``."""
        if random.random() >= self.prob:
            return dict(names=[])
        chosen = random.sample(range(len(self.ops)), self.num)
        return dict(names=[self.ops[place] for place in sorted(chosen)])

    def apply(self, results: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
        """Apply them, with what they draw themselves."""
        for name in names:
            results['img'] = OPS[name](results['img'], self.magnitude)
        return results


@PIPELINES.register_module()
class JitterGrayBlur(DrawThenApply):
    """The strong view of FixMatch and UniMatch: color jitter, gray, Gaussian blur, each with its probability.

    Source: UniMatch@0324f3d, dataset/semi.py; torchvision's and Pillow's ops on the RGB image.

    Args:
        jitter: brightness, contrast, saturation and hue of torchvision's ``ColorJitter``.
        jitter_prob, gray_prob, blur_prob: of the three.
        sigma: of the blur, in pixels: from and to.
    """

    def __init__(
        self,
        jitter: Sequence[float] = (0.5, 0.5, 0.5, 0.25),
        jitter_prob: float = 0.8,
        gray_prob: float = 0.2,
        blur_prob: float = 0.5,
        sigma: Sequence[float] = (0.1, 2.0),
    ) -> None:
        self.jitter = ColorJitter(*jitter)
        self.jitter_prob, self.gray_prob, self.blur_prob, self.sigma = jitter_prob, gray_prob, blur_prob, tuple(sigma)

    def draw(self, results: dict[str, Any]) -> dict[str, Any]:
        """``jitter``, whether and how; ``gray``, whether; ``sigma`` of the blur, or None."""
        jitter, gray, blur = np.random.random(3) < (self.jitter_prob, self.gray_prob, self.blur_prob)
        sides = (self.jitter.brightness, self.jitter.contrast, self.jitter.saturation, self.jitter.hue)
        drawn = self.jitter.get_params(*sides) if jitter else None
        return dict(jitter=drawn, gray=bool(gray), sigma=np.random.uniform(*self.sigma) if blur else None)

    def apply(self, results: dict[str, Any], jitter: tuple | None, gray: bool, sigma: float | None) -> dict[str, Any]:
        """Apply them in this order."""
        image = TF.to_pil_image(np.ascontiguousarray(results['img'][..., ::-1]))
        if jitter is not None:
            order, *factors = jitter
            adjust = (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue)
            for place in order.tolist():
                image = adjust[place](image, factors[place])
        if gray:
            image = TF.to_grayscale(image, num_output_channels=3)
        if sigma is not None:
            image = image.filter(ImageFilter.GaussianBlur(sigma))
        results['img'] = np.ascontiguousarray(np.asarray(image)[..., ::-1])
        return results
