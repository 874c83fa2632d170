"""MMDetection's RPN head, with a handful of kernels for all images and levels where launches are what counts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torchvision
from mmcv import ConfigDict
from mmdet.models import CrossEntropyLoss, RPNHead
from torch import Tensor

from ssod.core.hardware import launch_bound

from .anchor_grid import Anchors, anchors_of, within_images
from .batched_assignment import Sampled, assign, assigns_at_once, padded, sample, samples_at_once


class BatchedRPNHead(RPNHead):
    """MMDetection's ``RPNHead``: its losses and proposals of a batch at once on a GPU, on a CPU its own.

    Proposals are the same. Losses are the same for the same samples; which anchors are sampled is another draw of the
    same distribution (:func:`ssod.accel.batched_assignment.sample`). Settings that would need a loop over images (an
    assigner or sampler of another kind, soft-NMS, anchors not allowed over the border) take MMDetection's way.
    """

    def forward_train(
        self,
        x: tuple[Tensor, ...],
        img_metas: list[dict],
        gt_bboxes: list[Tensor],
        gt_labels: list[Tensor] | None = None,
        gt_bboxes_ignore: list[Tensor] | None = None,
        proposal_cfg: ConfigDict | None = None,
        **kwargs: Any,
    ) -> dict[str, list[Tensor]] | tuple[dict[str, list[Tensor]], list[Tensor]]:
        """As MMDetection's; losses in lists of one, the sum over levels, where all levels are computed at once."""
        if not self._trains_at_once(x[0].device):
            return super().forward_train(x, img_metas, gt_bboxes, gt_labels, gt_bboxes_ignore, proposal_cfg, **kwargs)
        outputs = self(x)
        sizes = [tuple(level.shape[-2:]) for level in x]
        anchors = anchors_of(self.prior_generator, sizes, x[0].device)
        scores, deltas = self._flat(*outputs)
        own = within_images(self.prior_generator, anchors, sizes, img_metas)
        losses = self._losses_of_all(scores, deltas, anchors, own, gt_bboxes, gt_bboxes_ignore)
        if proposal_cfg is None:
            return losses
        if self._proposes_at_once(anchors.sizes, proposal_cfg):
            return losses, self._proposals(scores.detach(), deltas.detach(), anchors, img_metas, proposal_cfg)
        return losses, self.get_bboxes(*outputs, img_metas=img_metas, cfg=proposal_cfg)

    def get_bboxes(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        score_factors: None = None,
        img_metas: list[dict] | None = None,
        cfg: ConfigDict | None = None,
        rescale: bool = False,
        with_nms: bool = True,
        **kwargs: Any,
    ) -> list[Tensor]:
        """As MMDetection's: proposals (n, 5) of each image, xyxy and score, the best first."""
        cfg = self.test_cfg if cfg is None else cfg
        sizes = [tuple(level.shape[-2:]) for level in cls_scores]
        counts = [h * w * number for (h, w), number in zip(sizes, self.prior_generator.num_base_priors, strict=True)]
        if not launch_bound(cls_scores[0].device) or not with_nms or not self._proposes_at_once(counts, cfg):
            return super().get_bboxes(
                cls_scores, bbox_preds, score_factors, img_metas, cfg, rescale, with_nms, **kwargs
            )
        anchors = anchors_of(self.prior_generator, sizes, cls_scores[0].device)
        return self._proposals(*self._flat(cls_scores, bbox_preds), anchors, img_metas, cfg)

    def _trains_at_once(self, device: torch.device) -> bool:
        return (
            launch_bound(device)
            and self.sampling
            and assigns_at_once(self.assigner)
            and samples_at_once(self.sampler)
            and self.train_cfg.allowed_border < 0
        )

    def _proposes_at_once(self, counts: Sequence[int], cfg: ConfigDict) -> bool:
        """Whether NMS is plain, and not so large that mmcv would split it up."""
        kept = sum(min(count, cfg.nms_pre) if cfg.get('nms_pre', -1) > 0 else count for count in counts)
        return set(cfg.nms) == {'type', 'iou_threshold'} and cfg.nms.type == 'nms' and kept < 10000

    def _flat(self, cls_scores: list[Tensor], bbox_preds: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Scores (B, N, k) and deltas (B, N, 4) of all anchors, float32; see :class:`Anchors` for their order."""

        def rows(maps: list[Tensor], width: int) -> Tensor:
            flat = [level.permute(0, 2, 3, 1).reshape(len(level), -1, width) for level in maps]
            return torch.cat(flat, dim=1).float()

        return rows(cls_scores, self.cls_out_channels), rows(bbox_preds, 4)

    def _losses_of_all(
        self,
        scores: Tensor,
        deltas: Tensor,
        anchors: Anchors,
        own: Tensor | None,
        gt_bboxes: list[Tensor],
        gt_bboxes_ignore: list[Tensor] | None,
    ) -> dict[str, list[Tensor]]:
        """``loss_rpn_cls`` and ``loss_rpn_bbox`` of the anchors that are sampled."""
        objects = padded(gt_bboxes)
        boxes = anchors.boxes.expand(len(scores), -1, -1)
        assigned = assign(self.assigner, boxes, own, objects, gt_bboxes_ignore)
        samples = sample(self.sampler, assigned)
        index = samples.index[..., None]
        matched = (assigned.gather(1, samples.index) - 1).clamp(min=0)
        places = anchors.boxes[samples.index].flatten(0, 1)
        targets = objects.rows.gather(1, matched[..., None].expand(-1, -1, 4)).flatten(0, 1)
        scores = scores.gather(1, index.expand(-1, -1, scores.shape[-1])).flatten(0, 1)
        deltas = deltas.gather(1, index.expand(-1, -1, 4)).flatten(0, 1)
        if self.reg_decoded_bbox:
            deltas = self.bbox_coder.decode(places, deltas)
        else:
            targets = self.bbox_coder.encode(places, targets)
        positive = samples.positive.flatten()
        weights = positive[:, None].to(deltas).expand(-1, 4)
        targets = targets.where(positive[:, None], 0)  # NaN times a weight of 0 would be NaN
        number = count_samples(samples)
        loss_bbox = self.loss_bbox(deltas, targets, weights, avg_factor=number)
        return dict(loss_rpn_cls=[self._cls_loss(scores, samples, number)], loss_rpn_bbox=[loss_bbox])

    def _cls_loss(self, scores: Tensor, samples: Sampled, number: Tensor) -> Tensor:
        positive, weights = samples.positive.flatten(), samples.taken.flatten().to(scores)
        if self.train_cfg.pos_weight > 0:
            weights = torch.where(positive, self.train_cfg.pos_weight, weights)
        if isinstance(self.loss_cls, CrossEntropyLoss) and self.loss_cls.use_sigmoid:
            # As one-hot labels; MMDetection would look for them, and wait.
            return self.loss_cls(scores, positive[:, None].long(), weights[:, None], avg_factor=number)
        return self.loss_cls(scores, torch.where(positive, 0, self.num_classes), weights, avg_factor=number)

    @torch.no_grad()
    def _proposals(
        self, scores: Tensor, deltas: Tensor, anchors: Anchors, img_metas: list[dict], cfg: ConfigDict
    ) -> list[Tensor]:
        """Proposals (n, 5) of each image; all is done at once but the last step of NMS, which has its own length."""
        scores = scores[..., 0].sigmoid() if self.use_sigmoid_cls else scores.softmax(dim=-1)[..., 0]
        index = best_of_levels(scores, anchors.sizes, cfg.get('nms_pre', -1))
        scores = scores.gather(1, index)
        deltas = deltas.gather(1, index[..., None].expand(-1, -1, 4))
        table = anchors.table[index]
        boxes = self.bbox_coder.decode(table[..., :4].flatten(0, 1), deltas.flatten(0, 1)).view_as(deltas)
        if self.bbox_coder.clip_border:
            limits = [(meta['img_shape'][1], meta['img_shape'][0]) * 2 for meta in img_metas]
            boxes = torch.minimum(boxes.clamp(min=0), boxes.new_tensor(limits)[:, None])
        apart = boxes + table[..., 6:] * (boxes.amax(dim=(1, 2), keepdim=True) + 1)  # no level overlaps another's
        some = [True] * len(boxes)
        if cfg.min_bbox_size >= 0:
            fits = (boxes[..., 2:] - boxes[..., :2] > cfg.min_bbox_size).all(dim=-1)
            scores = scores.where(fits, -1)
            # What is too small takes the best box's place, and NMS drops it.
            first = apart.gather(1, scores.argmax(dim=1)[:, None, None].expand(-1, -1, 4))
            apart = torch.where(fits[..., None], apart, first)
            some = fits.any(dim=1).tolist()
        found = torch.cat([boxes, scores[..., None]], dim=-1)
        threshold = float(np.float32(cfg.nms.iou_threshold))  # as mmcv's operator holds it
        return [
            own[torchvision.ops.nms(places, own[:, 4], threshold)[: cfg.max_per_img]] if has else own[:0]
            for own, places, has in zip(found, apart, some, strict=True)
        ]


def count_samples(samples: Sampled) -> Tensor:
    """How many samples an average is over, as MMDetection counts them: of each image and kind 1 at least."""
    positive, taken = samples.positive.sum(dim=1), samples.taken.sum(dim=1)
    return positive.clamp(min=1).sum() + (taken - positive).clamp(min=1).sum()


def best_of_levels(scores: Tensor, sizes: Sequence[int], most: int) -> Tensor:
    """(B, K) int64: the ``most`` best of each level among the (B, N) scores of all; of a small level, or 0: all."""
    picked, start = [], 0
    for size in sizes:
        if 0 < most < size:
            picked.append(scores[:, start : start + size].topk(most, dim=1).indices + start)
        else:
            picked.append(torch.arange(start, start + size, device=scores.device).expand(len(scores), -1))
        start += size
    return torch.cat(picked, dim=1)
