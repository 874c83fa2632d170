"""How detectors are exported, and compared with PyTorch."""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d, RoIAlign
from mmdet.models import CascadeRoIHead, SingleStageDetector, StandardRoIHead, TwoStageDetector
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from torch import Tensor, nn

from ssod.core.errors import InputError
from ssod.core.exporting import Difference, Exporter, Outputs, meta_of

from .heads import make_exportable

TOLERANCE = 0.1  # pixels that the side of a box may move
SCORE_TOLERANCE = 0.01
MASK_TOLERANCE = 0.01  # share of the pixels of all masks
# Boxes that may have no counterpart: a rounding error decides about a box that overlaps another just enough.
ALLOWED = 0.02


class BoxGraph(nn.Module):
    """A detector from image to boxes: (1, 3, H, W) to ``dets`` (K, 5), ``labels`` (K,), and ``masks`` (K, h, w)."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Boxes as xyxy, in pixels of the input, and scores, best first; masks are probabilities within each box."""
        if not has_masks(self.detector):
            dets, labels = self.detector.onnx_export(image, [{}])
            return dets[0], labels[0]
        metas = [dict(img_shape_for_onnx=torch._shape_as_tensor(image)[2:])]
        features = self.detector.extract_feat(image)
        proposals = self.detector.rpn_head.onnx_export(features, metas)
        head = self.detector.roi_head
        dets, labels = head.bbox_onnx_export(features, metas, proposals, head.test_cfg)
        rois = torch.cat([torch.zeros_like(dets[0, :, :1]), dets[0, :, :4]], dim=1)
        masks = head._mask_forward(features, rois)['mask_pred'].sigmoid()
        own = torch.zeros_like(labels[0]) if head.mask_head.class_agnostic else labels[0]
        return dets[0], labels[0], masks[torch.arange(masks.shape[0]), own]


class Boxes(NamedTuple):
    """Detections of one class on one image: dets (K, 5), and whole masks (K, H, W) bool, or None."""

    dets: np.ndarray
    masks: np.ndarray | None


class BoxExporter(Exporter):
    """Detectors of one and of two stages, and Mask R-CNN."""

    def graph(self, model: nn.Module, script: bool) -> BoxGraph:
        """See :class:`BoxGraph`."""
        check_kind(model)
        model = copy.deepcopy(model)
        for module in model.modules():
            if isinstance(module, RoIAlign):  # mmcv's own becomes an operator that makes small RoIs one pixel large
                module.use_torchvision = True
            elif isinstance(module, (DeformConv2d, ModulatedDeformConv2d)):
                raise InputError(
                    f'{type(model).__name__} has deformable convolutions, for which ONNX and TorchScript have no '
                    'operator that runs everywhere: it cannot be exported'
                )
        make_exportable(model, script)
        return BoxGraph(model).eval()

    def outputs(self, model: nn.Module) -> dict[str, tuple[str, ...]]:
        """Boxes, labels, and masks of a detector that has them."""
        masks = dict(masks=('count', '', '')) if has_masks(model) else {}
        return dict(dets=('count', ''), labels=('count',), **masks)

    def expected(self, model: nn.Module, image: Tensor) -> list[Boxes]:
        """Detections of each class by the detector's own test."""
        result = model.simple_test(image, [meta_of(image)], rescale=False)[0]
        boxes, masks = result if isinstance(result, tuple) else (result, [None] * len(result))
        return [Boxes(*one) for one in zip(boxes, masks, strict=True)]

    def metadata(self, model: nn.Module) -> dict[str, Any]:
        """The lowest score of a detection, and from which probability on a mask is one."""
        cfg = model.test_cfg.get('rcnn', model.test_cfg)
        masks = dict(mask_thr=cfg.mask_thr_binary) if has_masks(model) else {}
        return dict(score_thr=cfg.score_thr, **masks)

    def difference(
        self, model: nn.Module, expected: Sequence[list[Boxes]], found: Sequence[Outputs], tolerance: float | None
    ) -> Difference:
        """Boxes that agree: of one class, sides within ``tolerance`` pixels, scores within 0.01."""
        limit = TOLERANCE if tolerance is None else tolerance
        count = sum(len(one.dets) for image in expected for one in image)
        if count == 0:
            raise InputError(
                f'{type(model).__name__} finds nothing on the {len(expected)} images, so that nothing can be compared: '
                'give images with objects (--images), or a checkpoint that finds some'
            )
        agreed = list(agreeing(expected, found, limit))
        pairs = [distance(one.det, one.found) for one in agreed]
        pixels = np.zeros(2)
        if has_masks(model):
            thr = model.test_cfg.rcnn.mask_thr_binary
            pixels += np.sum([other_pixels(a.mask, a.found_mask, a.found, thr) for a in agreed] or [pixels], axis=0)
        more = sum(len(dets) for dets, *_ in found) - len(pairs)
        too_large = max(count - len(pairs), more) > math.ceil(ALLOWED * count) or not pairs
        said = f'{len(pairs)} of {count} boxes on {len(expected)} images agree'
        if pairs:
            sides, scores = np.max(pairs, axis=0)
            said += f': sides within {sides:.2g} px, scores within {scores:.2g}'
        if pixels[1]:
            share = pixels[0] / pixels[1]
            said += f'; {100 * share:.2g} % of the pixels of their masks are in one alone'
            too_large |= share > MASK_TOLERANCE
        if more:
            said += f'; the file finds {more} that PyTorch does not'
        return Difference(said, bool(too_large))


class Agreed(NamedTuple):
    """A box of PyTorch's test and that of the file.

    Attributes:
        det, found: (5,) xyxy in pixels of the input, and score.
        mask, found_mask: of a model with masks, else None.
    """

    det: np.ndarray
    mask: Any
    found: np.ndarray
    found_mask: Any


def agreeing(expected: Sequence[list[Boxes]], found: Sequence[Outputs], limit: float) -> Iterator[Agreed]:
    """The boxes of one class whose sides are within ``limit`` pixels, and whose scores are within 0.01."""
    for image, (dets, labels, *masks) in zip(expected, found, strict=True):
        for number, boxes in enumerate(image):
            own = labels == number
            for i, j in matched(boxes.dets, dets[own], limit):
                both = (boxes.masks[i], masks[0][own][j]) if masks else (None, None)
                yield Agreed(boxes.dets[i], both[0], dets[own][j], both[1])


def has_masks(model: nn.Module) -> bool:
    """Whether a detector has a mask head."""
    return bool(getattr(model, 'with_mask', False))


def check_kind(model: nn.Module) -> None:
    """Refuse a detector whose heads work together in a way that MMDetection cannot export.

    Raises:
        InputError: it is one.
    """
    name = type(model).__name__
    if not isinstance(model, (SingleStageDetector, TwoStageDetector)):
        raise InputError(f'{name} is neither a detector of one nor of two stages: it cannot be exported')
    head = getattr(model, 'roi_head', None)
    if head is None:
        if has_masks(model):
            raise InputError(f'{name} finds masks in one stage: it cannot be exported')
        return
    if type(head) not in (StandardRoIHead, CascadeRoIHead):
        raise InputError(f'the {type(head).__name__} of {name} cannot be exported')
    if type(head) is CascadeRoIHead and not all(stage.reg_class_agnostic for stage in head.bbox_head):
        raise InputError(f'{name} moves boxes by class from stage to stage (reg_class_agnostic): it cannot be exported')
    if has_masks(model) and type(head) is CascadeRoIHead:
        raise InputError(f'{name} takes the mean of the masks of several heads: it cannot be exported')


def distance(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """How far the sides of two boxes (5,) are apart at most, in pixels, and their scores."""
    return float(np.abs(one[:4] - other[:4]).max()), float(abs(one[4] - other[4]))


def matched(expected: np.ndarray, found: np.ndarray, tolerance: float) -> list[tuple[int, int]]:
    """Places of boxes (N, 5) and of their counterparts among (K, 5), each taken once."""
    pairs, left = [], list(range(len(found)))
    for i, box in enumerate(expected):
        near = [j for j in left if all(np.array(distance(box, found[j])) < (tolerance, SCORE_TOLERANCE))]
        if near:
            j = min(near, key=lambda j: distance(box, found[j]))
            left.remove(j)
            pairs.append((i, j))
    return pairs


def other_pixels(whole: np.ndarray, mask: np.ndarray, det: np.ndarray, mask_thr: float) -> tuple[int, int]:
    """Pixels that only one of two masks has, and those of both together.

    Args:
        whole: (H, W) bool.
        mask: (h, w) probabilities within the box ``det`` (5,).
    """
    pasted, place = _do_paste_mask(
        torch.from_numpy(mask[None, None]), torch.from_numpy(det[None, :4]), *whole.shape, skip_empty=True
    )
    other = np.zeros_like(whole)
    other[place] = pasted[0].numpy() >= mask_thr
    return int((whole ^ other).sum()), int((whole | other).sum())
