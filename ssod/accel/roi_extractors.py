"""MMDetection's RoI feature extractor, without its copies and its wait on a CPU's single core."""

import torch
from mmcv.ops import RoIAlign as MmcvRoIAlign
from mmcv.runner import force_fp32
from mmdet.models import ROI_EXTRACTORS, SingleRoIExtractor
from torch import Tensor

from ssod.core.hardware import launch_bound

from .roi_align import multilevel_roi_align


@ROI_EXTRACTORS.register_module()
class MultilevelRoIExtractor(SingleRoIExtractor):
    """MMDetection's ``SingleRoIExtractor`` (FPN, section 4), same arguments and same features.

    That one adds a zero to all features for each level without a RoI, and waits for the device at every level. Here
    RoIs are sorted by level, so all levels take part in the graph, be it with no RoI, and the device is asked once.
    On a CPU RoIAlign runs on all cores: see :func:`multilevel_roi_align`.
    """

    @force_fp32(apply_to=('feats',), out_fp16=True)  # as MMDetection's: RoIAlign in half precision is coarse
    def forward(self, feats: tuple[Tensor, ...], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Features of the RoIs, each from the level that fits its size.

        Args:
            feats: a feature map (B, C, H, W) per level.
            rois: (n, 5): image index, then xyxy in pixels of the batch's images.
            roi_scale_factor: scale of the RoIs about their centers, before pooling.

        Returns:
            (n, C, h, w), h and w the RoI layer's output size. A RoI turned inside out fits no level and gets zeros.
        """
        levels = self.map_roi_levels(rois, len(feats))
        if roi_scale_factor is not None:
            rois = self.roi_rescale(rois, roi_scale_factor)
        if not launch_bound(feats[0].device) and all(map(is_aligned_mean, self.roi_layers)):
            layer = self.roi_layers[0]
            scales = [1 / stride for stride in self.featmap_strides]
            return multilevel_roi_align(
                feats, rois.detach(), levels.clamp(min=0), scales, layer.output_size, layer.sampling_ratio
            )
        levels = levels.where(levels >= 0, len(feats))
        order = levels.argsort(stable=True)
        places = torch.arange(len(feats) + 1, device=levels.device)
        counts = (levels[:, None] == places).sum(dim=0).tolist()  # a bincount would wait once more
        *per_level, unfit = rois[order].split(counts)
        pooled = [pool(*inputs) for inputs in zip(self.roi_layers, feats, per_level, strict=True)]
        pooled.append(feats[0].new_zeros(len(unfit), *pooled[0].shape[1:]))
        return torch.cat(pooled).index_select(0, order.argsort())


def pool(layer: torch.nn.Module, feat: Tensor, rois: Tensor) -> Tensor:
    """Features (n, C, h, w) of a level's RoIs (n, 5), in the graph even where there is none.

    mmcv's CUDA operators cannot start without any RoI, and they read a map as if it were contiguous.
    """
    if len(rois) == 0:
        return feat[:0, :, :1, :1].expand(-1, -1, *layer.output_size)
    return layer(feat.contiguous(), rois)


def is_aligned_mean(layer: torch.nn.Module) -> bool:
    """Whether a RoI layer is RoIAlign with the mean of samples and with cells' centers at halves (``aligned``)."""
    return isinstance(layer, MmcvRoIAlign) and layer.aligned and layer.pool_mode == 'avg'
