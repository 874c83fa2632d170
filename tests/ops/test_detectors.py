"""Detectors of MMDetection's own configs train and detect on ssod.ops: narrow, on small images, with random weights."""

from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from mmcv import Config, ConfigDict
from mmdet.core import BitmapMasks
from mmdet.models import build_detector
from operator_cases import uniform

CONFIGS = Path(mmdet.__file__).parent / '.mim/configs'
SIZE, CLASSES = 160, 4

DETECTORS = {  # in brackets: the operators that it is here for
    'faster_rcnn': 'faster_rcnn/faster_rcnn_r50_fpn_1x_coco.py',  # [NMS, RoIAlign]
    'soft_nms': 'faster_rcnn/faster_rcnn_r50_fpn_soft_nms_1x_coco.py',  # [soft-NMS]
    'mask_rcnn': 'mask_rcnn/mask_rcnn_r50_fpn_1x_coco.py',  # [RoIAlign of the target masks]
    'cascade_mask_rcnn': 'cascade_rcnn/cascade_mask_rcnn_r50_fpn_1x_coco.py',
    'htc': 'htc/htc_r50_fpn_1x_coco.py',
    'swin': 'swin/mask_rcnn_swin-t-p4-w7_fpn_1x_coco.py',
    'dcn': 'dcn/mask_rcnn_r50_fpn_dconv_c3-c5_1x_coco.py',  # [deformable convolution]
    'dcnv2': 'dcnv2/faster_rcnn_r50_fpn_mdconv_c3-c5_group4_1x_coco.py',  # [with masks, 4 groups]
    'carafe': 'carafe/mask_rcnn_r50_fpn_carafe_1x_coco.py',  # [CARAFE]
    'point_rend': 'point_rend/point_rend_r50_caffe_fpn_mstrain_1x_coco.py',
    'pisa': 'pisa/pisa_faster_rcnn_r50_fpn_1x_coco.py',  # [nms_match]
    'retinanet': 'retinanet/retinanet_r50_fpn_1x_coco.py',
    'guided_anchoring': 'guided_anchoring/ga_retinanet_r50_fpn_1x_coco.py',  # [masked convolution]
    'fcos': 'fcos/fcos_r50_caffe_fpn_gn-head_1x_coco.py',
    'atss': 'atss/atss_r50_fpn_1x_coco.py',
    'gfl': 'gfl/gfl_r50_fpn_1x_coco.py',
    'vfnet': 'vfnet/vfnet_r50_fpn_mdconv_c3-c5_mstrain_2x_coco.py',
    'tood': 'tood/tood_r50_fpn_1x_coco.py',
    'yolox': 'yolox/yolox_tiny_8x8_300e_coco.py',
    'centernet': 'centernet/centernet_resnet18_dcnv2_140e_coco.py',
    'deformable_detr': 'deformable_detr/deformable_detr_r50_16x2_50e_coco.py',
}
WIDTHS = {  # keys of a config that hold numbers of channels; they become an eighth
    'in_channels', 'out_channels', 'feat_channels', 'conv_out_channels', 'fc_out_channels', 'fc_channels', 'in_channel',
    'feat_channel', 'num_deconv_filters', 'embed_dims', 'feedforward_channels', 'num_feats', 'compressed_channels',
    'widen_factor',
}  # fmt: skip
SMALLER = dict(
    num_classes=CLASSES, nms_pre=100, max_per_img=20, num=24, num_query=20, num_layers=2, stacked_convs=2,
    num_convs=1, depths=[1, 1, 1, 1], score_thr=0.0,
)  # fmt: skip


def shrunk(node):
    """Fewer channels, layers, classes and proposals everywhere in a model's config, and no pretrained weights."""
    if isinstance(node, list | tuple):
        return type(node)(shrunk(item) for item in node)
    if not isinstance(node, dict):
        return node
    small = {key: eighth(value) if key in WIDTHS else SMALLER.get(key, shrunk(value)) for key, value in node.items()}
    if (small.get('init_cfg') or {}).get('type') == 'Pretrained':
        small['init_cfg'] = None
    if small.get('type') == 'ResNet':
        small['base_channels'] = 8
    if 'feedforward_channels' in small:  # a layer of a transformer, whose own width is a default: 256
        small['ffn_cfgs'] = dict(type='FFN', embed_dims=32)
    return small


def eighth(width):
    if isinstance(width, list | tuple):
        return type(width)(eighth(one) for one in width)
    return width // 8 if isinstance(width, int) else width / 8


def detector(name: str) -> torch.nn.Module:
    model = Config.fromfile(CONFIGS / DETECTORS[name]).model
    torch.manual_seed(0)
    model = build_detector(ConfigDict(shrunk(model)))
    model.init_weights()
    return model


def batch(model: torch.nn.Module) -> dict:
    """Two images with two objects each, and the masks if the detector learns them."""
    meta = dict(
        img_shape=(SIZE, SIZE, 3), pad_shape=(SIZE, SIZE, 3), ori_shape=(SIZE, SIZE, 3), batch_input_shape=(SIZE, SIZE),
        scale_factor=np.ones(4, np.float32), flip=False, filename='a.jpg', border=(0, SIZE, 0, SIZE),
    )  # fmt: skip
    boxes = torch.tensor([[10.0, 12, 70, 90], [60, 40, 120, 100]])
    data = dict(img=uniform(1, 2, 3, SIZE, SIZE), img_metas=[dict(meta), dict(meta)])
    data.update(gt_bboxes=[boxes, boxes.flip(0) + 3], gt_labels=[torch.tensor([0, 2]), torch.tensor([3, 1])])
    if getattr(model, 'with_mask', False):
        masks = np.zeros((2, SIZE, SIZE), np.uint8)
        masks[0, 14:88, 12:66] = masks[1, 45:95, 65:110] = 1
        data['gt_masks'] = [BitmapMasks(masks, SIZE, SIZE), BitmapMasks(masks[::-1].copy(), SIZE, SIZE)]
    if getattr(getattr(model, 'roi_head', None), 'with_semantic', False):
        data['gt_semantic_seg'] = (torch.arange(800) % CLASSES).view(2, 1, SIZE // 8, SIZE // 8)
    return data


def run(name: str) -> tuple[dict[str, float], dict[str, torch.Tensor], list]:
    """Losses of two images, the backbone's gradients, and the detections of the first image."""
    model = detector(name).train()
    data = batch(model)
    torch.manual_seed(1)  # of the samplers
    np.random.seed(1)
    loss, logged = model._parse_losses(model.forward_train(**data))
    loss.backward()
    grads = {key: p.grad for key, p in model.backbone.named_parameters() if p.grad is not None}
    with torch.no_grad():
        results = model.eval().simple_test(data['img'][:1], data['img_metas'][:1], rescale=True)
    return logged, grads, results


def flat(result) -> list[np.ndarray]:
    """The boxes of a class after the other, then its masks, of one image."""
    boxes, masks = result if isinstance(result, tuple) else (result, [[] for _ in result])
    return [*boxes, *(np.asarray(of_class).reshape(-1) for of_class in masks)]


@pytest.mark.parametrize('name', DETECTORS)
def test_it_trains_and_detects(name, torchvision_ops):
    losses, grads, results = run(name)
    assert losses['loss'] > 0 and all(np.isfinite(value) for value in losses.values())
    assert grads and all(torch.isfinite(grad).all() for grad in grads.values())
    assert sum(grad.abs().sum() for grad in grads.values()) > 0
    (result,) = results
    boxes, masks = result if isinstance(result, tuple) else (result, None)
    assert [of_class.shape[1] for of_class in boxes] == [5] * CLASSES
    assert sum(len(of_class) for of_class in boxes) > 0
    assert masks is None or [len(of_class) for of_class in masks] == [len(of_class) for of_class in boxes]


@pytest.mark.parametrize('name', DETECTORS)
def test_it_gives_what_the_compiled_operators_give(name, compiled_ops, request):
    try:
        losses, grads, results = run(name)
    except RuntimeError as e:
        if 'implementation for device cpu' not in str(e):
            raise
        pytest.skip(f'the compiled mmcv-full has no such operator for a CPU: {e}')
    request.getfixturevalue('torchvision_ops')
    our_losses, our_grads, our_results = run(name)
    assert our_losses == pytest.approx(losses, rel=1e-5, abs=1e-6)
    for key, grad in grads.items():
        torch.testing.assert_close(our_grads[key], grad, rtol=1e-3, atol=1e-5 * max(1.0, grad.abs().max().item()))
    for ours, theirs in zip(our_results, results, strict=True):
        for one, other in zip(flat(ours), flat(theirs), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
