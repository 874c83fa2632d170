"""The number of classes reaches every head that tells them apart, and no other; targets that a head would lack."""

import json
from pathlib import Path

import mmdet
import pytest
from mmcv import Config
from mmdet.datasets import build_dataset
from mmdet.models import build_detector

from ssod.apis import InputError, load_config
from ssod.detection.checks import (
    check_boxes,
    check_metrics,
    check_sources,
    check_targets,
    has_mask,
    num_classes_of,
    set_num_classes,
)

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


CONFIGS = Path(__file__).resolve().parents[2] / 'configs/_base_'


def test_a_head_whose_targets_are_not_loaded_is_refused():
    mask_rcnn, htc, faster = (
        Config.fromfile(str(CONFIGS / f'models/{name}_r18_narrow_scratch.py')).model
        for name in ('mask_rcnn', 'htc', 'faster_rcnn')
    )
    data = {
        name: load_config(str(CONFIGS / f'datasets/shapes_{name}.py')).data.train
        for name in ('sup', 'semi', 'instance_sup', 'instance_semi', 'stuff_sup', 'stuff_semi')
    }
    for name, train in data.items():
        check_targets(train, faster)
        for model, key in ((mask_rcnn, 'gt_masks'), (htc, 'gt_semantic_seg')):
            wrapped = dict(type='SoftTeacher', detector=model)
            if 'stuff' in name or ('instance' in name and model is mask_rcnn):
                check_targets(train, wrapped)
                check_targets(train, model)
            else:
                with pytest.raises(InputError, match=f'_head, and .* brings no (gt_masks|{key}): take'):
                    check_targets(train, wrapped)
    repeated = dict(type='RepeatDataset', times=2, dataset=data['sup'])
    with pytest.raises(InputError, match='of the training data brings no gt_masks'):
        check_targets(repeated, mask_rcnn)
    pseudo = load_config(str(CONFIGS / 'datasets/shapes_semi.py')).pseudo_labeled_dataset
    with pytest.raises(InputError, match=r'pseudo_labels/.* brings no gt_masks'):
        check_targets(dict(data['instance_semi'], unlabeled=pseudo), mask_rcnn)


def test_mask_ap_of_a_model_without_masks_is_refused():
    faster, mask_rcnn = (
        Config.fromfile(str(CONFIGS / f'models/{name}_r18_narrow_scratch.py')).model
        for name in ('faster_rcnn', 'mask_rcnn')
    )
    coco = Config(dict(data=dict(type='CocoDataset'))).data
    check_metrics(coco, ['segm', 'bbox'], dict(detector=mask_rcnn))
    with pytest.raises(InputError, match="'segm' is of masks, and the model has no mask head"):
        check_metrics(coco, 'segm', faster)
    with pytest.raises(InputError, match="no metric 'mask'"):
        check_metrics(coco, 'mask', mask_rcnn)


def test_objects_without_a_mask_are_counted(tmp_path):
    box = dict(image_id=1, category_id=1, bbox=[0, 0, 9, 9], area=81)
    run_lengths = dict(size=[40, 50], counts=[0, 2000])
    rows = [
        dict(id=3, segmentation=[[0, 0, 9, 0, 9, 9]]), dict(id=4, segmentation=run_lengths, iscrowd=0),
        dict(id=5, segmentation=[[0, 0, 9, 9]]), dict(id=6), dict(id=7, iscrowd=1), dict(id=8, category_id=2),
        dict(id=9, segmentation=[]),
    ]  # fmt: skip
    content = dict(
        images=[dict(id=1, file_name='a.png', width=50, height=40)],
        categories=[dict(id=1, name='a'), dict(id=2, name='b')],
        annotations=[box | row for row in rows],
    )

    def dataset(pipeline):
        path = tmp_path / 'labels.json'
        path.write_text(json.dumps(content))
        return build_dataset(dict(type='CocoDataset', ann_file=str(path), classes=['a'], pipeline=pipeline))

    check_boxes(dataset([dict(type='LoadAnnotations')]))
    for pipeline in ([dict(type='LoadInstances')], [dict(type='MultiBranch', sup=[dict(type='LoadInstances')])]):
        with pytest.raises(InputError, match='3 of 5 objects have no mask, the first is the annotation 5'):
            check_boxes(dataset(pipeline))
    content['annotations'] = content['annotations'][:2]
    check_boxes(dataset([dict(type='LoadInstances')]))
    assert not has_mask(None) and not has_mask([[1, 2, 3, 4, 5, 6, 7]]) and has_mask([[], [1, 2, 3, 4, 5, 6]])


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
