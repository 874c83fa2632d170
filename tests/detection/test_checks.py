"""The number of classes reaches every head that tells them apart, and no other."""

from pathlib import Path

import mmdet
import pytest
from mmcv import Config
from mmdet.models import build_detector

from ssod.core.errors import InputError
from ssod.detection.checks import check_sources, num_classes_of, set_num_classes

MMDET = Path(mmdet.__file__).parent / '.mim/configs'
# A config of MMDetection's, and in it the heads that must have the data's classes, with their number.
HEADS = {
    'retinanet/retinanet_r50_fpn_1x_coco': {'bbox_head': 1},
    'fcos/fcos_r50_caffe_fpn_gn-head_1x_coco': {'bbox_head': 1},
    'yolact/yolact_r50_1x8_coco': {'bbox_head': 1, 'mask_head': 1, 'segm_head': 1},
    'mask_rcnn/mask_rcnn_r50_fpn_1x_coco': {'bbox_head': 1, 'mask_head': 1},
    'ms_rcnn/ms_rcnn_r50_fpn_1x_coco': {'bbox_head': 1, 'mask_head': 1, 'mask_iou_head': 1},
    'point_rend/point_rend_r50_caffe_fpn_mstrain_1x_coco': {'bbox_head': 1, 'mask_head': 1, 'point_head': 1},
    'cascade_rcnn/cascade_mask_rcnn_r50_fpn_1x_coco': {'bbox_head': 3, 'mask_head': 1},
    'htc/htc_r50_fpn_1x_coco': {'bbox_head': 3, 'mask_head': 3},
    'scnet/scnet_r50_fpn_1x_coco': {'bbox_head': 3, 'mask_head': 1, 'glbctx_head': 1},
}


def model_config(name):
    return Config.fromfile(str(MMDET / f'{name}.py')).model


def numbers(section, place=''):
    """Every ``num_classes`` in nested settings, by its place."""
    found = {}
    items = section.items() if isinstance(section, dict) else enumerate(section)
    for key, value in items:
        if key == 'num_classes':
            found[place] = value
        elif isinstance(value, (dict, list)):
            found.update(numbers(value, f'{place}.{key}'))
    return found


@pytest.mark.parametrize('wrap', [False, True], ids=['plain', 'wrapped'])
@pytest.mark.parametrize('name', HEADS, ids=lambda name: name.split('/')[0])
def test_every_head_of_classes_and_no_other(name, wrap):
    detector = model_config(name)
    before = numbers(detector)
    set_num_classes(dict(detector=detector) if wrap else detector, 3)
    after, counts = numbers(detector), {}
    for place in after:
        head = next((part for part in place.split('.') if part.endswith('_head') and part != 'roi_head'), None)
        changed = after[place] != before[place]
        assert changed == (head in HEADS[name]), place
        if changed:
            assert after[place] == 3
            counts[head] = counts.get(head, 0) + 1
    assert counts == HEADS[name]


def test_a_semantic_head_keeps_its_own():
    detector = model_config('htc/htc_r50_fpn_1x_coco')
    set_num_classes(detector, 3)
    assert detector.roi_head.semantic_head.num_classes == 183


@pytest.mark.parametrize(
    'name',
    [
        'retinanet/retinanet_r50_fpn_1x_coco',
        'mask_rcnn/mask_rcnn_r50_fpn_1x_coco',
        'cascade_rcnn/cascade_rcnn_r50_fpn_1x_coco',
    ],
    ids=['one stage', 'masks', 'cascade'],
)
def test_the_built_detector_tells_so_many_apart(name):
    detector = model_config(name)
    detector.backbone.init_cfg = None
    set_num_classes(detector, 3)
    model = build_detector(detector)
    assert num_classes_of(model) == 3
    if 'retinanet' in name:
        assert model.bbox_head.retina_cls.out_channels == 9 * 3


@pytest.mark.parametrize('at_least_one', [False, True])
def test_batches_without_a_source_are_refused_where_processes_exchange_counts(at_least_one, monkeypatch):
    cfg = Config(dict(model=dict(type='MeanTeacher'), data=dict(sampler=dict(at_least_one=at_least_one))))
    check_sources(cfg)  # one process
    monkeypatch.setenv('WORLD_SIZE', '2')
    if at_least_one:
        check_sources(cfg)
    else:
        with pytest.raises(InputError, match='set data.sampler.at_least_one=True'):
            check_sources(cfg)
        check_sources(Config(dict(cfg._cfg_dict, model=dict(type='SoftTeacher'))))  # whose heads exchange nothing
