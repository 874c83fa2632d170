"""Detectors that Soft Teacher would train half, or not at all, are refused by what they lack."""

from pathlib import Path

import detectors
import mmdet
import pytest
from mmcv import Config
from mmdet.models import DETECTORS, HEADS, FasterRCNN, Shared2FCBBoxHead, StandardRoIHead, build_detector
from mmdet.models.roi_heads import CascadeRoIHead, FCNMaskHead

from ssod.detection import SoftTeacher
from ssod.detection.heads import RoIStages, refuse_unfit


@HEADS.register_module()
class RenamedRoIHead(StandardRoIHead):
    """Does what a StandardRoIHead does, under another name."""


@HEADS.register_module()
class AnotherForwardRoIHead(StandardRoIHead):
    """Trains in its own way."""

    def _bbox_forward(self, x, rois):
        return super()._bbox_forward(x, rois)


@HEADS.register_module()
class AnotherForwardCascade(CascadeRoIHead):
    """A cascade that trains in its own way, as Sparse R-CNN and SCNet do."""

    def forward_train(self, *args, **kwargs):
        return super().forward_train(*args, **kwargs)


@HEADS.register_module()
class OwnRefinementHead(Shared2FCBBoxHead):
    """Moves boxes between stages in its own way."""

    def regress_by_class(self, *args, **kwargs):
        return super().regress_by_class(*args, **kwargs)


@HEADS.register_module()
class OwnMasksRoIHead(StandardRoIHead):
    """Learns masks in its own way, as PointRend and Mask Scoring R-CNN do."""

    def _mask_forward_train(self, *args, **kwargs):
        return super()._mask_forward_train(*args, **kwargs)


@HEADS.register_module()
class OwnTargetsMaskHead(FCNMaskHead):
    """Learns from its own targets."""

    def get_targets(self, *args, **kwargs):
        return super().get_targets(*args, **kwargs)


@HEADS.register_module()
class OwnTargetsHead(Shared2FCBBoxHead):
    """Learns from its own targets, as SABL's head does."""

    def get_targets(self, *args, **kwargs):
        return super().get_targets(*args, **kwargs)


@DETECTORS.register_module()
class RepeatingRCNN(FasterRCNN):
    """Trains on each image three times."""

    def forward_train(self, *args, **kwargs):
        return super().forward_train(*args, **kwargs)


def refusal(cfg):
    with pytest.raises(TypeError) as error:
        SoftTeacher(cfg)
    return str(error.value)


def test_a_head_that_does_the_same_under_another_name_is_taken(detector_cfg):
    detector_cfg.roi_head.type = 'RenamedRoIHead'
    assert type(SoftTeacher(detector_cfg).student.roi_head) is RenamedRoIHead


def test_a_head_with_its_own_forward_is_refused(detector_cfg):
    detector_cfg.roi_head.type = 'AnotherForwardRoIHead'
    assert 'AnotherForwardRoIHead has its own _bbox_forward' in refusal(detector_cfg)


def test_dynamic_rcnn_which_moves_its_thresholds_while_it_trains(detector_cfg):
    detector_cfg.roi_head.type = 'DynamicRoIHead'
    detector_cfg.roi_head.bbox_head.loss_bbox = dict(type='SmoothL1Loss', beta=1.0)
    detector_cfg.train_cfg.rcnn.dynamic_rcnn = dict(
        iou_topk=75, beta_topk=10, update_iter_interval=100, initial_iou=0.4, initial_beta=1.0
    )
    assert 'DynamicRoIHead has its own forward_train' in refusal(detector_cfg)


def test_pisa_which_weighs_its_samples(detector_cfg):
    detector_cfg.roi_head.type = 'PISARoIHead'
    assert 'PISARoIHead has its own forward_train' in refusal(detector_cfg)


def test_a_score_hlr_sampler_which_weighs_them_too(detector_cfg):
    sampler = dict(type='ScoreHLRSampler', num=16, pos_fraction=0.25, k=0.5, bias=0.0)
    detector_cfg.train_cfg.rcnn.sampler = sampler
    assert 'ScoreHLRSampler also weighs them' in refusal(detector_cfg)


def test_a_head_for_two_features(detector_cfg):
    head = dict(detector_cfg.roi_head.bbox_head)
    head.update(type='DoubleConvFCBBoxHead', num_convs=1, num_fcs=1, conv_out_channels=8)
    del head['reg_class_agnostic']
    detector_cfg.roi_head.update(type='DoubleHeadRoIHead', reg_roi_scale_factor=1.3, bbox_head=head)
    assert 'DoubleHeadRoIHead has its own _bbox_forward' in refusal(detector_cfg)


def test_seesaw_loss_which_has_two_more_channels(detector_cfg):
    detector_cfg.roi_head.bbox_head.loss_cls = dict(type='SeesawLoss', num_classes=3)
    assert 'SeesawLoss has its own class channels' in refusal(detector_cfg)


def test_a_box_head_with_its_own_targets(detector_cfg):
    detector_cfg.roi_head.bbox_head.type = 'OwnTargetsHead'
    assert 'OwnTargetsHead has its own get_targets' in refusal(detector_cfg)


def test_a_detector_that_repeats_its_images_as_trident_does(detector_cfg):
    detector_cfg.type = 'RepeatingRCNN'
    assert 'RepeatingRCNN has its own forward_train' in refusal(detector_cfg)


def test_a_head_that_only_classifies(detector_cfg):
    detector_cfg.roi_head.bbox_head.with_reg = False
    detector_cfg.roi_head.bbox_head.type = 'BBoxHead'
    del detector_cfg.roi_head.bbox_head['fc_out_channels']
    assert 'classifies and regresses' in refusal(detector_cfg)


def test_a_cascade_is_taken_and_one_that_trains_in_its_own_way_is_not(detector_cfg):
    cfg = detectors.cascade_rcnn(detector_cfg)
    assert len(SoftTeacher(cfg).student.roi_head.bbox_head) == 3
    cfg.roi_head.type = 'AnotherForwardCascade'
    assert 'trains as CascadeRoIHead does; AnotherForwardCascade has its own forward_train' in refusal(cfg)


def test_each_stage_of_a_cascade_is_looked_at(detector_cfg):
    cfg = detectors.cascade_rcnn(detector_cfg)
    cfg.roi_head.bbox_head[2].loss_cls = dict(type='SeesawLoss', num_classes=3)
    assert 'SeesawLoss has its own class channels' in refusal(cfg)
    cfg = detectors.cascade_rcnn(detector_cfg)
    cfg.roi_head.bbox_head[1].num_classes = 4
    assert 'stages of the same classes; those of CascadeRCNN differ in num_classes' in refusal(cfg)
    cfg = detectors.cascade_rcnn(detector_cfg)
    cfg.train_cfg.rcnn[1].sampler = dict(type='ScoreHLRSampler', num=16, pos_fraction=0.25, k=0.5, bias=0.0)
    assert 'ScoreHLRSampler also weighs them' in refusal(cfg)


MMDET = Path(mmdet.__file__).parent / '.mim/configs'
REFUSED = {
    'double_heads/dh_faster_rcnn_r50_fpn_1x_coco': 'DoubleHeadRoIHead has its own _bbox_forward',
    'grid_rcnn/grid_rcnn_r50_fpn_gn-head_2x_coco': 'GridRoIHead has its own _bbox_forward_train',
    'point_rend/point_rend_r50_caffe_fpn_mstrain_1x_coco': 'PointRendRoIHead has its own _mask_forward_train',
    'ms_rcnn/ms_rcnn_r50_caffe_fpn_1x_coco': 'MaskScoringRoIHead has its own _mask_forward_train',
    'sparse_rcnn/sparse_rcnn_r50_fpn_1x_coco': 'needs an RPNHead; SparseRCNN has a EmbeddingRPNHead',
    'scnet/scnet_r50_fpn_1x_coco': 'SCNetRoIHead has its own forward_train',
    'sabl/sabl_cascade_rcnn_r50_fpn_1x_coco': 'SABLHead has its own get_targets',
    'seesaw_loss/cascade_mask_rcnn_r101_fpn_random_seesaw_loss_mstrain_2x_lvis_v1': 'its own class channels',
    'tridentnet/tridentnet_r50_caffe_1x_coco': 'TridentFasterRCNN has its own forward_train',
    'guided_anchoring/ga_faster_r50_caffe_fpn_1x_coco': 'needs an RPNHead; FasterRCNN has a GARPNHead',
}
TAKEN = {
    'mask_rcnn/mask_rcnn_r50_fpn_1x_coco': 1,
    'libra_rcnn/libra_faster_rcnn_r50_fpn_1x_coco': 1,
    'cascade_rcnn/cascade_mask_rcnn_r50_fpn_1x_coco': 3,
    'htc/htc_r50_fpn_1x_coco': 3,
    'htc/htc_without_semantic_r50_fpn_1x_coco': 3,
}


def built(name):
    return build_detector(Config.fromfile(str(MMDET / f'{name}.py')).model)


@pytest.mark.parametrize('name', REFUSED, ids=lambda name: name.split('/')[0])
def test_configs_of_mmdetection_that_are_refused(name):
    with pytest.raises(TypeError, match=REFUSED[name]):
        refuse_unfit(built(name))


@pytest.mark.parametrize('name', TAKEN, ids=lambda name: name.split('/')[1])
def test_configs_of_mmdetection_that_are_taken(name):
    detector = built(name)
    refuse_unfit(detector)
    assert len(RoIStages(detector)) == TAKEN[name]


def test_masks_that_learn_in_another_way(detector_cfg):
    cfg = detectors.mask_rcnn(detector_cfg)
    SoftTeacher(cfg)
    cfg.roi_head.mask_head['loss_mask'] = dict(type='DiceLoss')
    assert 'weighs the pixels of a mask loss dict(type="CrossEntropyLoss", use_mask=True)' in refusal(cfg)
    cfg.roi_head.mask_head['loss_mask'] = dict(type='CrossEntropyLoss', use_mask=True, class_weight=[2.0])
    assert 'without class_weight; this is a CrossEntropyLoss' in refusal(cfg)
    cfg = detectors.mask_rcnn(detector_cfg)
    cfg.roi_head.type = 'OwnMasksRoIHead'
    needed = 'masks that learn as those of StandardRoIHead do; OwnMasksRoIHead has its own _mask_forward_train'
    assert needed in refusal(cfg)
    cfg = detectors.mask_rcnn(detector_cfg)
    cfg.roi_head.mask_head['type'] = 'OwnTargetsMaskHead'
    assert 'OwnTargetsMaskHead has its own get_targets' in refusal(cfg)


def test_between_stages_boxes_move_as_bboxhead_moves_them(detector_cfg):
    detector_cfg.roi_head.bbox_head.type = 'OwnRefinementHead'
    SoftTeacher(detector_cfg)
    assert 'OwnRefinementHead has its own regress_by_class' in refusal(detectors.cascade_rcnn(detector_cfg))
