"""The end of a training view."""

from typing import Any

import numpy as np
from mmcv.parallel import DataContainer
from mmdet.datasets.builder import PIPELINES
from mmdet.datasets.pipelines import DefaultFormatBundle, Pad


@PIPELINES.register_module()
class NormalizeOnDevice(Pad):
    """Leave the image as it is, uint8, and record how to pad and normalize it once the batch is on its device.

    Stands for mmdet's ``Pad(size_divisor=...)``, ``Normalize`` and ``DefaultFormatBundle``, in this order, and gives
    the same batch: ``ssod.data.collate_views`` stacks such images, the model normalizes them.
    It is a quarter of the bytes to write, to send between processes and to copy to a GPU. ``Collect`` has to take the
    meta keys ``pad_shape`` and ``img_norm_cfg``, as it does by default.

    Args:
        mean: of each channel, in the order after the swap that ``to_rgb`` asks for.
        std: likewise.
        to_rgb: whether to swap BGR to RGB.
        size_divisor: height and width are padded with zeros, before they are normalized, to multiples of this.
        seg_stride: semantic maps are reduced to every n-th pixel of the padded view, the stride of the feature map that
            a semantic head predicts on: mmdet's ``SegRescale(1 / n)``, which has to follow the padding.

    Raises:
        ValueError: a ``seg_stride`` that does not divide ``size_divisor``: maps and features would part.
    """

    def __init__(
        self, mean: list[float], std: list[float], to_rgb: bool = True, size_divisor: int = 1, seg_stride: int = 1
    ) -> None:
        if size_divisor % seg_stride:
            raise ValueError(f'seg_stride={seg_stride} has to divide size_divisor={size_divisor}')
        super().__init__(size_divisor=size_divisor)
        self.seg_stride = seg_stride
        self.img_norm_cfg = dict(mean=np.array(mean, np.float32), std=np.array(std, np.float32), to_rgb=to_rgb)
        self.format = DefaultFormatBundle()

    def _pad_img(self, results: dict[str, Any]) -> None:
        """Record the shape after padding, by which MMDetection pads masks and segmentation maps."""
        img, divisor = results['img'], self.size_divisor
        if img.dtype != np.uint8 or img.ndim != 3 or img.shape[2] != 3:
            raise ValueError(f'{type(self).__name__} wants a (H, W, 3) uint8 image, got {img.shape} {img.dtype}')
        height, width = (-(-side // divisor) * divisor for side in img.shape[:2])
        results.update(pad_shape=(height, width, 3), pad_fixed_size=None, pad_size_divisor=divisor)

    def _pad_seg(self, results: dict[str, Any]) -> None:
        """Pad semantic maps with the label that losses ignore, and reduce them."""
        super()._pad_seg(results)
        for key in results.get('seg_fields', []):
            results[key] = np.ascontiguousarray(results[key][:: self.seg_stride, :: self.seg_stride])

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """``img`` in a container, as the (H, W, 3) uint8 array that it is; boxes, labels and maps as in MMDetection.

        Raises:
            ValueError: if ``img`` is not (H, W, 3) uint8.
        """
        results = super().__call__(results)
        results['img_norm_cfg'] = self.img_norm_cfg
        results.setdefault('scale_factor', 1.0)
        img = results.pop('img')
        results = self.format(results)
        results['img'] = DataContainer(img, cpu_only=True)  # mmcv cannot move an array to a GPU
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.img_norm_cfg}, size_divisor={self.size_divisor})'
