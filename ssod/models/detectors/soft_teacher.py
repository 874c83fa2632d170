"""Soft Teacher (Xu et al., End-to-End Semi-Supervised Object Detection with Soft Teacher, ICCV 2021)."""

from typing import Any

import torch
from mmdet.core import bbox2roi, multiclass_nms
from mmdet.core.bbox.samplers.sampling_result import SamplingResult
from mmdet.models import DETECTORS, RPNHead, StandardRoIHead, accuracy
from mmdet.models.builder import MODELS
from torch import Tensor

from ..pseudo_labels import BackgroundSamples, PseudoLabels, check_choice, view_to_view
from ..pseudo_labels.background import background_logits, background_mask, image_feats, in_teacher_view
from .semi_base import Batch, SemiBaseDetector, in_order_of, reduced

Feats = tuple[Tensor, ...]


@DETECTORS.register_module()
class SoftTeacher(SemiBaseDetector):
    """Soft Teacher over a two-stage detector with a ``StandardRoIHead``.

    The teacher's detections on the weak view become three sets of pseudo boxes on the strong view: for the RPN, for
    RoI classification (background samples weighted by the teacher's trust in them) and for RoI regression.

    ``semi_train_cfg`` (besides the base class's keys):
        candidate_score_thr: class score from which a teacher's detection is a candidate.
        min_pseudo_bbox_size: candidates and RPN pseudo boxes of at most this width or height, in pixels, are dropped.
        rpn_filter, cls_filter, reg_filter: which candidates each branch learns from; see ``ssod.models.pseudo_labels``.
            ``reg_filter=None``: regression learns from the classification branch's pseudo boxes.
        background_weight: the weight of background samples; None weighs each with 1.
        cls_avg_factor: what the classification loss is divided by: 'weights', foreground and background together by
            the sum of all weights (the authors' code), or 'separate', foreground by its number and background by the
            sum of its weights (equation 3 as printed).
        reg_avg_factor: what the box loss is divided by: 'samples', the number of sampled RoIs (the authors' code), or
            'positives', that of foreground RoIs (equation 5 as printed).

    Raises:
        TypeError: the detector has no ``RPNHead``, a RoI head that is not a ``StandardRoIHead``, or a mask head.
        ValueError: more than one filter measures the regression variance, or an ``avg_factor`` is none of the above.
    """

    def __init__(self, detector: dict, semi_train_cfg: dict | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(detector, semi_train_cfg, *args, **kwargs)
        refuse_unfit(self.student)
        cfg = self.semi_train_cfg
        self.candidate_score_thr = cfg.get('candidate_score_thr', 0.5)
        self.min_pseudo_bbox_size = cfg.get('min_pseudo_bbox_size', 0)
        self.rpn_filter = MODELS.build(cfg.get('rpn_filter', dict(type='ScoreFilter')))
        self.cls_filter = MODELS.build(cfg.get('cls_filter', dict(type='ScoreFilter')))
        reg_filter = cfg.get('reg_filter', dict(type='JitterVarianceFilter'))
        self.reg_filter = self.cls_filter if reg_filter is None else MODELS.build(reg_filter)
        background_weight = cfg.get('background_weight', dict(type='TeacherBackgroundScore'))
        self.background_weight = None if background_weight is None else MODELS.build(background_weight)
        self.cls_avg_factor = cfg.get('cls_avg_factor', 'weights')
        self.reg_avg_factor = cfg.get('reg_avg_factor', 'samples')
        check_choice('SoftTeacher: cls_avg_factor', self.cls_avg_factor, ('weights', 'separate'))
        check_choice('SoftTeacher: reg_avg_factor', self.reg_avg_factor, ('samples', 'positives'))
        if sum(hasattr(f, 'variance') for f in {self.rpn_filter, self.cls_filter, self.reg_filter}) > 1:
            raise ValueError('SoftTeacher: one filter at most may measure the regression variance')

    def loss_names(self) -> tuple[str, ...]:
        """Names of Faster R-CNN's losses and measures."""
        return ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'acc', 'loss_bbox')

    def zero_figures(self) -> dict[str, Tensor]:
        """Counts and scores when there is no unlabelled image."""
        zero = next(self.student.parameters()).new_zeros(())
        return dict.fromkeys(FIGURES, zero)

    def unsupervised_losses(self, teacher_batch: Batch, student_batch: Batch) -> tuple[dict, dict]:
        """The three unsupervised losses (section 3, equations 2 to 5) and figures to log.

        Args:
            teacher_batch: the weak view: ``img`` (B, 3, H, W), ``img_metas``.
            student_batch: the strong view of the same files, in any order.

        Returns:
            Losses and accuracy under the detector's names, unweighted; counts of pseudo boxes an image and scores.
        """
        teacher_batch = in_order_of(teacher_batch, student_batch['img_metas'])
        teacher_feats, candidates, max_score = self.find_candidates(teacher_batch)
        rpn_boxes, cls_boxes, reg_boxes = self.select(
            candidates, teacher_batch['img_metas'], student_batch['img_metas']
        )

        feats = self.student.extract_feat(student_batch['img'])
        rpn_losses, proposals = self._rpn_losses(feats, student_batch, rpn_boxes)
        cls_samples = self._sample(feats, proposals, cls_boxes)
        reg_samples = self._sample(feats, proposals, reg_boxes)
        cls_score, bbox_pred, reg_rois = self._roi_forward(feats, cls_samples, reg_samples)
        background = BackgroundSamples(
            bboxes=[sample.neg_bboxes[:, :4] for sample in cls_samples],
            teacher_bboxes=in_teacher_view(cls_samples, teacher_batch['img_metas'], student_batch['img_metas']),
            pseudo_bboxes=[labels.bboxes for labels in cls_boxes],
            student_logits=background_logits(cls_score.detach(), cls_samples),
            teacher_roi_head=self.teacher.roi_head,
            teacher_feats=teacher_feats,
        )
        losses = {
            **reduced(rpn_losses),
            **self._cls_loss(cls_score, cls_samples, cls_boxes, background),
            'loss_bbox': self._reg_loss(bbox_pred, reg_rois, reg_samples, reg_boxes),
        }
        return losses, figures(candidates, rpn_boxes, cls_boxes, reg_boxes, max_score)

    @torch.no_grad()
    def find_candidates(self, batch: Batch) -> tuple[Feats, list[PseudoLabels], Tensor]:
        """What the teacher detects on the weak view above ``candidate_score_thr`` (section 3.1).

        Returns:
            The teacher's feature maps; the candidates of each image, boxes in the teacher view, with their regression
            variance if a filter asks for it; and the highest foreground score seen on any proposal, a scalar.
        """
        teacher, img_metas = self.teacher, batch['img_metas']
        feats = teacher.extract_feat(batch['img'])
        # Proposals as in training: the teacher stands where the student will.
        proposal_cfg = teacher.train_cfg.get('rpn_proposal', teacher.test_cfg.rpn)
        proposals = teacher.rpn_head.get_bboxes(*teacher.rpn_head(feats), img_metas=img_metas, cfg=proposal_cfg)
        candidates, max_score = self._detect(feats, img_metas, proposals)
        candidates = [labels.larger_than(self.min_pseudo_bbox_size) for labels in candidates]
        return feats, self._with_variance(feats, img_metas, candidates), max_score

    def _detect(self, feats: Feats, img_metas: list[dict], proposals: list[Tensor]) -> tuple[list, Tensor]:
        """The teacher's RoI head and NMS over its proposals: candidates of each image, highest foreground score.

        Image by image: RoI features are the largest tensors of a step.
        """
        candidates, max_score = [], feats[0].new_zeros(())
        for i, (boxes, meta) in enumerate(zip(proposals, img_metas, strict=True)):
            if len(boxes) == 0:  # the host's NMS cannot reshape the boxes of an image without any
                none = boxes.new_zeros(0)
                candidates.append(PseudoLabels(boxes[:, :4], none.long(), none, foreground_scores=none))
                continue
            rois = bbox2roi([boxes])
            results = self.teacher.roi_head._bbox_forward(image_feats(feats, i), rois)
            logits, deltas = results['cls_score'].float(), results['bbox_pred'].float()
            candidates.append(self.keep_candidates(rois, logits, deltas, meta))
            max_score = torch.maximum(max_score, logits.softmax(dim=-1)[:, :-1].max())
        return candidates, max_score

    def keep_candidates(self, rois: Tensor, logits: Tensor, deltas: Tensor, img_meta: dict) -> PseudoLabels:
        """What NMS keeps of one image's RoIs above ``candidate_score_thr``, boxes in the teacher view.

        Args:
            rois: (n, 5): image index, then xyxy in pixels of the teacher view; n > 0.
            logits, deltas: (n, num_classes + 1) and (n, 4 * num_classes), raw outputs of the box head.
            img_meta: of the image; ``img_shape`` bounds the boxes.
        """
        cfg = self.teacher.test_cfg.rcnn
        bboxes, scores = self.teacher.roi_head.bbox_head.get_bboxes(
            rois, logits, deltas, img_meta['img_shape'], None, rescale=False, cfg=None
        )
        # A box under the threshold neither suppresses nor outranks one above it, so NMS need not see it.
        dets, labels, kept = multiclass_nms(
            bboxes, scores, self.candidate_score_thr, cfg.nms, cfg.max_per_img, return_inds=True
        )
        proposal = torch.div(kept, scores.shape[1] - 1, rounding_mode='floor')  # NMS counts boxes times classes
        return PseudoLabels(dets[:, :4], labels, dets[:, 4], foreground_scores=1 - scores[proposal, -1])

    def _with_variance(self, feats: Feats, img_metas: list[dict], candidates: list[PseudoLabels]) -> list[PseudoLabels]:
        """The candidates with their box regression variance, if any filter measures it."""
        for candidate_filter in (self.reg_filter, self.cls_filter, self.rpn_filter):
            if hasattr(candidate_filter, 'variance'):
                bboxes, labels = [c.bboxes for c in candidates], [c.labels for c in candidates]
                variances = candidate_filter.variance(self.teacher.roi_head, feats, img_metas, bboxes, labels)
                return [c.with_variance(v) for c, v in zip(candidates, variances, strict=True)]
        return candidates

    def select(
        self, candidates: list[PseudoLabels], teacher_metas: list[dict], student_metas: list[dict]
    ) -> tuple[list[PseudoLabels], list[PseudoLabels], list[PseudoLabels]]:
        """The pseudo boxes of the RPN, of classification and of regression, in the student view (section 3.2, 3.3)."""
        matrices = view_to_view(teacher_metas, student_metas, candidates[0].bboxes.device)
        branches = []
        for keep, min_size in (
            (self.rpn_filter, self.min_pseudo_bbox_size),
            (self.cls_filter, 0),
            (self.reg_filter, 0),
        ):
            branches.append(
                [
                    labels[keep(labels)].project(matrix, meta['img_shape']).larger_than(min_size)
                    for labels, matrix, meta in zip(candidates, matrices, student_metas, strict=True)
                ]
            )
        return tuple(branches)

    def _rpn_losses(self, feats: Feats, batch: Batch, rpn_boxes: list[PseudoLabels]) -> tuple[dict, list[Tensor]]:
        """The RPN's losses against its pseudo boxes, and the student's proposals from the same pass."""
        for meta in batch['img_metas']:
            meta['batch_input_shape'] = tuple(batch['img'].shape[-2:])
        proposal_cfg = self.student.train_cfg.get('rpn_proposal', self.student.test_cfg.rpn)
        gt_bboxes = [labels.bboxes for labels in rpn_boxes]
        return self.student.rpn_head.forward_train(feats, batch['img_metas'], gt_bboxes, proposal_cfg=proposal_cfg)

    def _sample(self, feats: Feats, proposals: list[Tensor], labels: list[PseudoLabels]) -> list[SamplingResult]:
        """Assign each image's proposals to its pseudo boxes and sample them, by the student's own settings."""
        roi_head = self.student.roi_head
        samples = []
        for i, (boxes, pseudo) in enumerate(zip(proposals, labels, strict=True)):
            assigned = roi_head.bbox_assigner.assign(boxes, pseudo.bboxes, None, pseudo.labels)
            samples.append(
                roi_head.bbox_sampler.sample(assigned, boxes, pseudo.bboxes, pseudo.labels, feats=image_feats(feats, i))
            )
        return samples

    def _roi_forward(
        self, feats: Feats, cls_samples: list[SamplingResult], reg_samples: list[SamplingResult]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One pass of the student's RoI head for both branches; of regression only the positives, which alone count.

        Returns:
            Class logits of the n classification samples; raw deltas of the m regression positives; their RoIs (m, 5).
        """
        cls_rois = bbox2roi([sample.bboxes for sample in cls_samples])
        reg_rois = bbox2roi([sample.pos_bboxes for sample in reg_samples])
        results = self.student.roi_head._bbox_forward(feats, torch.cat([cls_rois, reg_rois]))
        num_cls = len(cls_rois)
        return results['cls_score'][:num_cls].float(), results['bbox_pred'][num_cls:].float(), reg_rois

    def _cls_loss(
        self,
        cls_score: Tensor,
        cls_samples: list[SamplingResult],
        cls_boxes: list[PseudoLabels],
        background: BackgroundSamples,
    ) -> dict[str, Tensor]:
        """Cross entropy, foreground with weight 1, background with r_j, over the sum of the weights (equation 3)."""
        bbox_head = self.student.roi_head.bbox_head
        labels, weights, *_ = bbox_head.get_targets(
            cls_samples,
            [pseudo.bboxes for pseudo in cls_boxes],
            [pseudo.labels for pseudo in cls_boxes],
            self.student.train_cfg.rcnn,
        )
        is_background = background_mask(cls_samples)
        if self.background_weight is not None:
            weights = weights.masked_scatter(is_background, self.background_weight(background))
        loss = bbox_head.loss_cls(cls_score, labels, weights, reduction_override='none')
        if self.cls_avg_factor == 'weights':
            loss = loss.sum() / weights.sum().clamp(min=1)
        else:
            loss = weighted_mean(loss, weights, is_background) + weighted_mean(loss, weights, ~is_background)
        acc = accuracy(cls_score, labels) if len(labels) else cls_score.new_zeros(())
        return dict(loss_cls=loss, acc=acc.reshape(()))

    def _reg_loss(
        self, bbox_pred: Tensor, rois: Tensor, reg_samples: list[SamplingResult], reg_boxes: list[PseudoLabels]
    ) -> Tensor:
        """Box loss of the m positives over ``reg_avg_factor`` of the regression branch (equation 5)."""
        bbox_head = self.student.roi_head.bbox_head
        avg_factor = len(rois)
        if self.reg_avg_factor == 'samples':
            avg_factor += sum(len(sample.neg_inds) for sample in reg_samples)
        for sample in reg_samples:
            sample.neg_bboxes = sample.neg_bboxes[:0]
        targets = bbox_head.get_targets(
            reg_samples,
            [pseudo.bboxes for pseudo in reg_boxes],
            [pseudo.labels for pseudo in reg_boxes],
            self.student.train_cfg.rcnn,
        )
        losses = bbox_head.loss(None, bbox_pred, rois, *targets, reduction_override='none')
        return losses['loss_bbox'].sum() / max(avg_factor, 1)


FIGURES = (
    'num_pseudo_candidates',
    'num_pseudo_rpn',
    'num_pseudo_cls',
    'num_pseudo_reg',
    'teacher_score',
    'teacher_max_score',
)


def figures(
    candidates: list[PseudoLabels],
    rpn_boxes: list[PseudoLabels],
    cls_boxes: list[PseudoLabels],
    reg_boxes: list[PseudoLabels],
    max_score: Tensor,
) -> dict[str, Tensor]:
    """Mean number of pseudo boxes an image by set, mean candidate score, highest score: float scalars to log."""
    counts = [
        max_score.new_full((), sum(map(len, labels)) / len(labels))
        for labels in (candidates, rpn_boxes, cls_boxes, reg_boxes)
    ]
    scores = torch.cat([labels.scores for labels in candidates])
    mean_score = scores.sum() / max(len(scores), 1)
    return dict(zip(FIGURES, (*counts, mean_score, max_score), strict=True))


def weighted_mean(losses: Tensor, weights: Tensor, kind: Tensor) -> Tensor:
    """Sum over the sum of the weights, of those (n,) losses, weighted already, that ``kind`` (n,) bool names; or 0."""
    # Not smaller: a scaled loss's gradient over it must stay finite.
    return (losses * kind).sum() / (weights * kind).sum().clamp(min=torch.finfo(weights.dtype).eps)


def refuse_unfit(detector: torch.nn.Module) -> None:
    """Raise a TypeError for a detector that the method cannot train, saying what it needs."""
    name = type(detector).__name__
    if not getattr(detector, 'with_rpn', False):
        raise TypeError(f'SoftTeacher needs a two-stage detector with an RPN and a StandardRoIHead; {name} has no RPN')
    roi_head = getattr(detector, 'roi_head', None)
    if not isinstance(roi_head, StandardRoIHead):
        head = type(roi_head).__name__
        raise TypeError(f'SoftTeacher needs a StandardRoIHead, which refines a box once; {name} has a {head}')
    if not isinstance(detector.rpn_head, RPNHead):
        raise TypeError(f'SoftTeacher needs an RPNHead; {name} has a {type(detector.rpn_head).__name__}')
    if roi_head.with_mask:
        raise TypeError(f'SoftTeacher does not train masks yet; {name} has a mask head: use Faster R-CNN')
    if not (roi_head.bbox_head.with_cls and roi_head.bbox_head.with_reg):
        raise TypeError(f'SoftTeacher needs a box head that classifies and regresses; {name} lacks one of them')
