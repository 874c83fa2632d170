"""Which detectors Soft Teacher can train: decided by what their parts do, said in one sentence."""

from collections.abc import Iterable

from mmdet.core.bbox.samplers import ScoreHLRSampler
from mmdet.models import RPNHead, StandardRoIHead, TwoStageDetector
from mmdet.models.roi_heads import (
    BBoxHead,
    CascadeRoIHead,
    FCNMaskHead,
    HTCMaskHead,
    HybridTaskCascadeRoIHead,
)
from torch import nn

# What this package computes in its own way on unlabeled images: a class that has its own version would train one way on
# labeled images and another way on unlabeled ones.
OF_DETECTOR = ('forward_train', 'extract_feat')
OF_ROI_HEAD = ('forward_train', '_bbox_forward', '_bbox_forward_train', 'init_assigner_sampler')
OF_BOX_HEAD = ('get_targets', '_get_target_single', 'loss', 'get_bboxes')
OF_CASCADED_BOX_HEAD = ('refine_bboxes', 'regress_by_class')
OF_MASKED_ROI_HEAD = ('_mask_forward', '_mask_forward_train')
OF_MASK_HEAD = ('get_targets', 'loss')
# The RoI heads that stages are made of; of a class that derives from several, the first.
ROI_HEADS = (HybridTaskCascadeRoIHead, CascadeRoIHead, StandardRoIHead)


def refuse_unfit(detector: nn.Module) -> None:
    """Raise a TypeError for a detector that Soft Teacher cannot train, saying what it lacks."""
    name = type(detector).__name__
    if not getattr(detector, 'with_rpn', False):
        fitting = '; MeanTeacher trains one-stage detectors' if getattr(detector, 'bbox_head', None) else ''
        raise TypeError(f'SoftTeacher needs a two-stage detector with an RPN; {name} has none{fitting}')
    if not isinstance(detector.rpn_head, RPNHead):
        raise TypeError(f'SoftTeacher needs an RPNHead; {name} has a {type(detector.rpn_head).__name__}')
    roi_head = getattr(detector, 'roi_head', None)
    base = next((kind for kind in ROI_HEADS if isinstance(roi_head, kind)), StandardRoIHead)
    refuse_own_methods(roi_head, base, OF_ROI_HEAD, f'a RoI head that trains as {base.__name__} does')
    heads = as_list(roi_head.bbox_head)
    for head in heads:
        refuse_unfit_box_head(head, name, cascaded=len(heads) > 1)
    if len({head.num_classes for head in heads}) > 1:
        raise TypeError(f'SoftTeacher needs stages of the same classes; those of {name} differ in num_classes')
    if base is HybridTaskCascadeRoIHead:
        refuse_unfit_hybrid(roi_head)
    refuse_own_methods(detector, TwoStageDetector, OF_DETECTOR, 'a detector that trains as TwoStageDetector does')
    if roi_head.with_mask:
        refuse_own_methods(roi_head, base, OF_MASKED_ROI_HEAD, f'masks that learn as those of {base.__name__} do')
        for head in as_list(roi_head.mask_head):
            refuse_unfit_mask_head(head, HTCMaskHead if base is HybridTaskCascadeRoIHead else FCNMaskHead)
    if any(isinstance(sampler, ScoreHLRSampler) for sampler in as_list(roi_head.bbox_sampler)):
        raise TypeError('SoftTeacher needs a sampler that chooses boxes; ScoreHLRSampler also weighs them')


def refuse_unfit_box_head(head: nn.Module, detector: str, cascaded: bool) -> None:
    """Raise a TypeError for a box head that does not learn as MMDetection's ``BBoxHead``.

    Args:
        head: of one stage.
        detector: the name of its class.
        cascaded: there are several stages.
    """
    methods = OF_BOX_HEAD + OF_CASCADED_BOX_HEAD if cascaded else OF_BOX_HEAD
    refuse_own_methods(head, BBoxHead, methods, 'a box head that learns as BBoxHead does')
    if not (head.with_cls and head.with_reg):
        raise TypeError(f'SoftTeacher needs a box head that classifies and regresses; {detector} lacks one of them')
    if head.custom_cls_channels or head.custom_activation or head.custom_accuracy:
        loss = type(head.loss_cls).__name__
        raise TypeError(f'SoftTeacher weighs each sample of a softmax cross entropy; {loss} has its own class channels')


def refuse_unfit_mask_head(head: nn.Module, base: type) -> None:
    """Raise a TypeError for a mask head that is no ``base`` of MMDetection's, or learns otherwise."""
    if not isinstance(head, base):
        raise TypeError(f'SoftTeacher needs a mask head that is a {base.__name__}; this is a {type(head).__name__}')
    refuse_own_methods(head, base, OF_MASK_HEAD, f'a mask head that learns as {base.__name__} does')
    loss = head.loss_mask
    if not getattr(loss, 'use_mask', False) or loss.class_weight is not None:
        need = 'a mask loss dict(type="CrossEntropyLoss", use_mask=True) without class_weight'
        raise TypeError(f'SoftTeacher weighs the pixels of {need}; this is a {type(loss).__name__}')


def refuse_unfit_hybrid(roi_head: nn.Module) -> None:
    """Raise a TypeError for a Hybrid Task Cascade that MMDetection itself would train wrongly, or not at all."""
    name = type(roi_head).__name__
    if not all(head.reg_class_agnostic for head in roi_head.bbox_head):
        raise TypeError(f'{name} regresses background boxes, too, which have no class: set reg_class_agnostic=True')
    if roi_head.interleaved and not roi_head.with_mask:
        raise TypeError(f'{name} without a mask head refines no box between its stages: set interleaved=False')


def refuse_own_methods(part: nn.Module | None, base: type, methods: Iterable[str], need: str) -> None:
    """Raise a TypeError if ``part`` does one of ``methods`` in another way than ``base``."""
    own = [name for name in methods if getattr(type(part), name, None) is not getattr(base, name)]
    if own:
        raise TypeError(f'SoftTeacher needs {need}; {type(part).__name__} has its own {own[0]}')


def as_list(part: object) -> list:
    """The parts of the stages of a cascade, or the only part."""
    return list(part) if isinstance(part, (list, nn.ModuleList)) else [part]
