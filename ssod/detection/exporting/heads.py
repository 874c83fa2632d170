"""Heads of MMDetection whose ``onnx_export`` gives the detections of their test.

MMDetection's own lets proposals of different levels suppress each other, drops boxes by another score than its test,
and pads with boxes of zeros. On one of two trained detectors that moved every eighth box, by up to 6 px.
"""

from typing import Any

import torch
from mmdet.core.export import get_k_for_topk
from mmdet.models.dense_heads import GFLHead, RPNHead, YOLOXHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from torch import Tensor, nn

from ssod.core.errors import InputError

from .suppression import check_nms, keep_best

Detections = tuple[Tensor, Tensor]
ALL = 2**31 - 1  # boxes of an image: YOLOX has no limit


class Exported:
    """What the heads below have in common.

    Attributes:
        script: for TorchScript, else for ONNX.
    """

    script = False

    def detections(self, boxes: Tensor, scores: Tensor, labels: Tensor, nms: dict, limit: int) -> Detections:
        """Boxes and scores (1, K, 5) and labels (1, K) of candidates (N, 4), (N,), (N,); score 0 is none."""
        kept = keep_best(boxes, scores, labels, nms, limit, self.script)
        return torch.cat([boxes, scores[:, None]], dim=1)[kept][None], labels[kept][None]


class ExportedProposals(Exported):
    """An ``RPNHead``."""

    def onnx_export(self, x: tuple[Tensor, ...], img_metas: list[dict]) -> Tensor:
        """Proposals (1, K, 5) of feature maps, the levels suppressed one by one."""
        cls_scores, bbox_preds = self(x)
        sizes = [level.shape[-2:] for level in cls_scores]
        all_anchors = self.prior_generator.grid_priors(sizes, device=x[0].device)
        boxes, scores, levels = [], [], []
        for number, (score, delta, anchors) in enumerate(zip(cls_scores, bbox_preds, all_anchors, strict=True)):
            score = rows(score, self.cls_out_channels)
            score = score.sigmoid()[:, 0] if self.use_sigmoid_cls else score.softmax(-1)[:, 0]
            score, index = best(score, self.test_cfg.get('nms_pre', -1))
            boxes.append(decoded(self, anchors[index], rows(delta, 4)[index], img_metas))
            scores.append(score)
            levels.append(torch.full_like(score, number, dtype=torch.long))
        boxes, scores, levels = torch.cat(boxes), torch.cat(scores), torch.cat(levels)
        if self.test_cfg.min_bbox_size >= 0:
            large = (boxes[:, 2:] - boxes[:, :2]).amin(dim=1) > self.test_cfg.min_bbox_size
            scores = scores * large.to(scores)
        return self.detections(boxes, scores, levels, self.test_cfg.nms, self.test_cfg.max_per_img)[0]


class ExportedBoxes(Exported):
    """A ``BBoxHead``."""

    def onnx_export(
        self, rois: Tensor, cls_score: Tensor, bbox_pred: Tensor, img_shape: Tensor, cfg: Any
    ) -> Detections:
        """Detections of RoIs (1, R, 5) with scores (1, R, C + 1) and deltas (1, R, 4 C), or (1, R, 4)."""
        scores = self.loss_cls.get_activation(cls_score) if self.custom_cls_channels else cls_score.softmax(-1)
        scores = scores[0, :, : self.num_classes]
        boxes = self.bbox_coder.decode(rois[..., 1:], bbox_pred, max_shape=img_shape)
        boxes = boxes.reshape(-1, 1 if self.reg_class_agnostic else self.num_classes, 4)
        boxes = boxes.expand(-1, self.num_classes, 4).reshape(-1, 4)
        labels = torch.arange(self.num_classes).expand_as(scores).reshape(-1)
        return self.detections(boxes, above(scores.reshape(-1), cfg.score_thr), labels, cfg.nms, cfg.max_per_img)


class ExportedDense(Exported):
    """A dense head that tests as ``BaseDenseHead`` does: RetinaNet's, FCOS's, ATSS's."""

    def onnx_export(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        score_factors: list[Tensor] | None,
        img_metas: list[dict],
        with_nms: bool = True,
    ) -> Detections:
        """Detections of the head's outputs, lists of (1, ..., h, w) for the levels."""
        cfg = self.test_cfg
        sizes = [level.shape[-2:] for level in cls_scores]
        priors = self.prior_generator.grid_priors(sizes, device=cls_scores[0].device)
        boxes, scores, labels = [], [], []
        for level, cls_score in enumerate(cls_scores):
            of_classes = self.activated(rows(cls_score, self.cls_out_channels))
            score, index = best(above(of_classes.reshape(-1), cfg.score_thr), cfg.get('nms_pre', -1))
            place = index // of_classes.shape[1]
            if score_factors is not None:
                score = score * score_factors[level].permute(0, 2, 3, 1).reshape(-1).sigmoid()[place]
            boxes.append(self.boxes_of_level(bbox_preds[level], priors[level], level, img_metas)[place])
            labels.append(index % of_classes.shape[1])
            scores.append(score)
        return self.detections(torch.cat(boxes), torch.cat(scores), torch.cat(labels), cfg.nms, cfg.max_per_img)

    def activated(self, scores: Tensor) -> Tensor:
        """Scores (N, C) of outputs (N, C), or (N, C + 1)."""
        return scores.sigmoid() if self.use_sigmoid_cls else scores.softmax(-1)[:, :-1]

    def boxes_of_level(self, bbox_pred: Tensor, priors: Tensor, level: int, img_metas: list[dict]) -> Tensor:
        """Boxes (N, 4) of a level's outputs (1, 4 A, h, w)."""
        return decoded(self, priors, rows(bbox_pred, 4), img_metas)


class ExportedGFL(ExportedDense):
    """GFL's head: sides are distributions."""

    def boxes_of_level(self, bbox_pred: Tensor, priors: Tensor, level: int, img_metas: list[dict]) -> Tensor:
        """Boxes (N, 4) of a level's outputs (1, 4 (bins + 1), h, w)."""
        sides = self.integral(bbox_pred.permute(0, 2, 3, 1)) * self.prior_generator.strides[level][0]
        return decoded(self, self.anchor_center(priors), sides, img_metas)


class ExportedYOLOX(Exported):
    """YOLOX's head: one class for each place."""

    def onnx_export(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        objectnesses: list[Tensor],
        img_metas: list[dict],
        with_nms: bool = True,
    ) -> Detections:
        """Detections of the head's outputs, lists of (1, ..., h, w) for the levels."""
        sizes = [level.shape[-2:] for level in cls_scores]
        priors = self.prior_generator.grid_priors(sizes, device=cls_scores[0].device, with_stride=True)
        boxes = self._bbox_decode(torch.cat(priors), torch.cat([rows(level, 4) for level in bbox_preds]))
        objects = torch.cat([rows(level, 1)[:, 0] for level in objectnesses]).sigmoid()
        scores = torch.cat([rows(level, self.cls_out_channels) for level in cls_scores]).sigmoid()
        scores, labels = scores.max(dim=1)
        scores = scores * objects
        scores = torch.where(scores >= self.test_cfg.score_thr, scores, torch.zeros_like(scores))
        return self.detections(boxes, scores, labels, self.test_cfg.nms, ALL)


def rows(level: Tensor, width: int) -> Tensor:
    """Outputs (1, A width, h, w) as (h w A, width)."""
    return level.permute(0, 2, 3, 1).reshape(-1, width)


def above(scores: Tensor, score_thr: float) -> Tensor:
    """Scores, 0 where they are not above the threshold."""
    return torch.where(scores > score_thr, scores, torch.zeros_like(scores))


def best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest of scores (N,), and their indices; all if there are no more than ``count``, or that is -1."""
    if count <= 0:
        return scores, torch.arange(scores.shape[0], device=scores.device)
    return scores.topk(get_k_for_topk(torch.tensor(count), scores.shape[0]))


def decoded(head: nn.Module, priors: Tensor, outputs: Tensor, img_metas: list[dict]) -> Tensor:
    """Boxes (N, 4) in the input image, clipped to it."""
    shape = img_metas[0]['img_shape_for_onnx']
    return head.bbox_coder.decode(priors[None], outputs[None], max_shape=shape)[0]


# The class that tests, and which of its methods says how; a head with another method cannot be exported.
KINDS: tuple[tuple[type[nn.Module], str, type[Exported]], ...] = (
    (RPNHead, '_get_bboxes_single', ExportedProposals),
    (BBoxHead, 'get_bboxes', ExportedBoxes),
    (YOLOXHead, 'get_bboxes', ExportedYOLOX),
    (GFLHead, '_get_bboxes_single', ExportedGFL),
    (BaseDenseHead, '_get_bboxes_single', ExportedDense),
)


def exported_class(module: nn.Module) -> type[Exported] | None:
    """How a head is exported; None: it is no head.

    Raises:
        InputError: it is one that tests in a way of its own.
    """
    if not isinstance(module, (BaseDenseHead, BBoxHead)):
        return None
    for base, method, exported in KINDS:
        own = type(module)
        same = isinstance(module, base) and getattr(own, method) is getattr(base, method)
        if same and own.get_bboxes is base.get_bboxes:
            return exported
    raise InputError(f'{type(module).__name__} finds boxes in a way of its own, which cannot be exported')


def make_exportable(model: nn.Module, script: bool) -> None:
    """Give the heads of a detector, in place, their exported classes.

    Raises:
        InputError: see :func:`exported_class`, or a head that suppresses boxes otherwise than by NMS.
    """
    for module in list(model.modules()):
        if 'nms' in (getattr(module, 'test_cfg', None) or {}):
            check_nms(module.test_cfg.nms, type(module).__name__)
        exported = exported_class(module)
        if exported is not None:
            module.__class__ = type(type(module).__name__, (exported, type(module)), {})
            module.script = script
