"""Which detectors Soft Teacher can train: decided by what their parts do, said in one sentence."""

from collections.abc import Iterable

from mmdet.core.bbox.samplers import ScoreHLRSampler
from mmdet.models import RPNHead, StandardRoIHead, TwoStageDetector
from mmdet.models.roi_heads import BBoxHead
from torch import nn

# What this package computes in its own way on unlabeled images: a class that has its own version would train one way on
# labeled images and another way on unlabeled ones.
OF_DETECTOR = ('forward_train', 'extract_feat')
OF_ROI_HEAD = ('forward_train', '_bbox_forward', '_bbox_forward_train', 'init_assigner_sampler')
OF_BOX_HEAD = ('get_targets', '_get_target_single', 'loss', 'get_bboxes')


def refuse_unfit(detector: nn.Module) -> None:
    """Raise a TypeError for a detector that Soft Teacher cannot train, saying what it lacks."""
    name = type(detector).__name__
    if not getattr(detector, 'with_rpn', False):
        fitting = '; MeanTeacher trains one-stage detectors' if getattr(detector, 'bbox_head', None) else ''
        raise TypeError(f'SoftTeacher needs a two-stage detector with an RPN; {name} has none{fitting}')
    if not isinstance(detector.rpn_head, RPNHead):
        raise TypeError(f'SoftTeacher needs an RPNHead; {name} has a {type(detector.rpn_head).__name__}')
    roi_head = getattr(detector, 'roi_head', None)
    refuse_own_methods(roi_head, StandardRoIHead, OF_ROI_HEAD, 'a RoI head that refines a box once, as StandardRoIHead')
    refuse_own_methods(roi_head.bbox_head, BBoxHead, OF_BOX_HEAD, 'a box head that learns as BBoxHead does')
    refuse_own_methods(detector, TwoStageDetector, OF_DETECTOR, 'a detector that trains as TwoStageDetector does')
    if roi_head.with_mask:
        raise TypeError(f'SoftTeacher does not train masks yet; {name} has a mask head: use Faster R-CNN')
    box_head = roi_head.bbox_head
    if not (box_head.with_cls and box_head.with_reg):
        raise TypeError(f'SoftTeacher needs a box head that classifies and regresses; {name} lacks one of them')
    if box_head.custom_cls_channels or box_head.custom_activation or box_head.custom_accuracy:
        loss = type(box_head.loss_cls).__name__
        raise TypeError(f'SoftTeacher weighs each sample of a softmax cross entropy; {loss} has its own class channels')
    if isinstance(getattr(roi_head, 'bbox_sampler', None), ScoreHLRSampler):
        raise TypeError('SoftTeacher needs a sampler that chooses boxes; ScoreHLRSampler also weighs them')


def refuse_own_methods(part: nn.Module | None, base: type, methods: Iterable[str], need: str) -> None:
    """Raise a TypeError if ``part`` does one of ``methods`` in another way than ``base``."""
    own = [name for name in methods if getattr(type(part), name, None) is not getattr(base, name)]
    if own:
        raise TypeError(f'SoftTeacher needs {need}; {type(part).__name__} has its own {own[0]}')
