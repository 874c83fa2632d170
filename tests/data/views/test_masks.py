"""Labeled masks and semantic maps through the views' ops: against loops, vertices by hand, the image."""

import numpy as np
import pytest
from mmdet.core import BitmapMasks, PolygonMasks
from mmdet.datasets.builder import PIPELINES
from mmdet.datasets.pipelines import Compose, DefaultFormatBundle, Pad, SegRescale
from pycocotools import mask as rle

from ssod.data.views import (
    FlipWithMatrix,
    LoadInstances,
    RandomErasing,
    RandomRotate,
    RandomShear,
    RandomTranslate,
    ResizeWithMatrix,
)
from ssod.data.views.masks import warp_masks

H, W = 60, 80
BOXES = ((10, 10, 30, 40), (50, 5, 79, 20), (20, 30, 60, 58))
# Op and what it is told.
WARPS = [
    (RandomTranslate(x=(0, 1), y=(0, 1), fill=0), dict(x=0.1, y=-0.05)),
    (RandomRotate(fill=0), dict(angle=25)),
    (RandomRotate(fill=0), dict(angle=-90)),
    (RandomShear(x=(0, 1), fill=0), dict(x=-20, y=0)),
    (RandomShear(x=(0, 1), y=(0, 1), fill=0), dict(x=15, y=20)),
]


def ellipse(box, corners=40):
    """(2n,) polygon of the ellipse that touches the sides of a box."""
    x1, y1, x2, y2 = box
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    xs, ys = (x1 + x2) / 2 + (x2 - x1) / 2 * np.cos(angles), (y1 + y2) / 2 + (y2 - y1) / 2 * np.sin(angles)
    return np.stack([xs, ys], axis=1).ravel()


def sample(kind='polygons', boxes=BOXES):
    """Ellipses in boxes; the image's blue channel is 200 inside the first one, the semantic map numbers them 1, 2..."""
    masks = PolygonMasks([[ellipse(box)] for box in boxes], H, W)
    bitmaps = masks.to_ndarray().astype(np.uint8)
    img = np.zeros((H, W, 3), np.uint8)
    seg = np.zeros((H, W), np.uint8)
    for i, bitmap in enumerate(bitmaps):
        seg[bitmap > 0] = i + 1
    if len(boxes):
        img[..., 0] = bitmaps[0] * 200
    return dict(
        img=img, img_shape=img.shape, img_fields=['img'], bbox_fields=['gt_bboxes'], mask_fields=['gt_masks'],
        seg_fields=['gt_semantic_seg'], gt_bboxes=np.float32(boxes).reshape(-1, 4), gt_labels=np.arange(len(boxes)),
        gt_masks=masks if kind == 'polygons' else BitmapMasks(bitmaps, H, W), gt_semantic_seg=seg,
    )  # fmt: skip


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize('op, params', WARPS, ids=str)
def test_bitmaps_and_maps_are_warped_as_a_loop_over_pixels_does(op, params):
    before, out = sample('bitmaps'), op.apply(sample('bitmaps'), **params)
    inverse = np.linalg.inv(op.matrix((H, W), **params).astype(np.float64))
    kept = out['gt_labels']
    expected = np.zeros((len(kept), H, W), np.uint8)
    seg = np.full((H, W), 255, np.uint8)
    for y in range(H):
        for x in range(W):
            sx, sy = np.round((inverse @ (x, y, 1))[:2] + 1e-6).astype(int)
            if 0 <= sx < W and 0 <= sy < H:
                seg[y, x] = before['gt_semantic_seg'][sy, sx]
                expected[:, y, x] = before['gt_masks'].masks[kept, sy, sx]
    # OpenCV counts source places in 32nds of a pixel, so a few on the rim fall to the other side.
    assert (out['gt_semantic_seg'] != seg).mean() < 0.01
    assert (out['gt_masks'].masks != expected).mean() < 0.01
    assert out['gt_masks'].masks.dtype == np.uint8 and set(np.unique(out['gt_masks'].masks)) <= {0, 1}


@pytest.mark.parametrize('kind', ['polygons', 'bitmaps'])
@pytest.mark.parametrize('op, params', WARPS, ids=str)
def test_a_mask_stays_on_its_object(op, params, kind):
    out = op.apply(sample(kind), **params)
    assert out['gt_labels'][0] == 0 and type(out['gt_masks']) is type(sample(kind)['gt_masks'])
    masks = out['gt_masks'].to_ndarray().astype(bool)
    # Bitmaps go with the image; polygons go with boxes, up to a pixel beside it: see transform_matrix.py.
    assert iou(masks[0], out['img'][..., 0] > 100) > (0.86 if kind == 'polygons' else 0.95)
    for i, label in enumerate(out['gt_labels']):
        only = masks[i] & (out['gt_semantic_seg'] != 255)
        others = masks[np.arange(len(masks)) != i].any(axis=0)
        assert (out['gt_semantic_seg'][only & ~others] == label + 1).mean() > 0.9


def test_vertices_by_hand():
    square = np.array([10.0, 10, 30, 10, 30, 20, 10, 20])
    masks = PolygonMasks([[square, square + 1], [square]], H, W)
    sheared = warp_masks(masks, np.array([[1, 0.5, 3], [0, 1, -4], [0, 0, 1]], np.float32))
    np.testing.assert_allclose(sheared.masks[0][0], [18, 6, 38, 6, 43, 16, 23, 16])
    np.testing.assert_allclose(sheared.masks[0][1], [19.5, 7, 39.5, 7, 44.5, 17, 24.5, 17])
    assert len(sheared.masks[1]) == 1 and (sheared.height, sheared.width) == (H, W)
    np.testing.assert_array_equal(masks.masks[1][0], square)


def test_vertices_outside_are_kept_where_they_are():
    """Clipped to the canvas, as mmdet does, the diagonal edge would turn about: x = y stays x = y."""
    triangle = np.array([0.0, 0, 60, 60, 0, 60])
    out = RandomTranslate(x=(0, 1)).apply(
        dict(sample(boxes=BOXES[:1]), gt_masks=PolygonMasks([[triangle]], H, W)), x=0.75
    )
    np.testing.assert_allclose(out['gt_masks'].masks[0][0], [60, 0, 120, 60, 60, 60])
    inside = out['gt_masks'].to_ndarray()[0]
    for y in range(2, H - 2):
        for x in (61, 70, 79):
            if abs((x - 60) - y) > 1:
                assert inside[y, x] == (x - 60 < y)


@pytest.mark.parametrize('kind', ['polygons', 'bitmaps'])
def test_boxes_and_masks_are_dropped_together(kind):
    out = RandomTranslate(x=(0, 1), y=(0, 1)).apply(sample(kind), x=0.0, y=-0.34)  # 20.4 px up: the second leaves
    np.testing.assert_array_equal(out['gt_labels'], [0, 2])
    assert len(out['gt_masks']) == len(out['gt_bboxes']) == 2
    for box, mask in zip(out['gt_bboxes'], out['gt_masks'].to_ndarray(), strict=True):
        ys, xs = np.nonzero(mask)
        np.testing.assert_allclose([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], box, atol=1.5)
    none = RandomTranslate(y=(0, 1)).apply(sample(kind), y=1.0)
    assert len(none['gt_masks']) == len(none['gt_bboxes']) == 0 and none['gt_masks'].to_ndarray().shape == (0, H, W)


@pytest.mark.parametrize('kind', ['polygons', 'bitmaps'])
@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_resize_and_flip(kind, direction):
    steps = [ResizeWithMatrix(img_scale=(160, 120)), FlipWithMatrix(flip_ratio=1.0, direction=direction)]
    out = Compose(steps)(sample(kind))
    expected = np.repeat(np.repeat(sample()['gt_masks'].to_ndarray(), 2, axis=1), 2, axis=2)
    expected = expected[:, :: 1 if direction == 'horizontal' else -1, :: 1 if direction == 'vertical' else -1]
    for mask, own in zip(out['gt_masks'].to_ndarray().astype(bool), expected.astype(bool), strict=True):
        assert iou(mask, own) > (0.95 if kind == 'polygons' else 0.999)
    moved = warp_masks(sample()['gt_masks'], out['transform_matrix'])
    if kind == 'polygons':
        for polygons, own in zip(out['gt_masks'].masks, moved.masks, strict=True):
            np.testing.assert_allclose(polygons[0], own[0], atol=1e-3)


@pytest.mark.parametrize('kind', ['polygons', 'bitmaps'])
def test_a_chain_keeps_image_boxes_and_masks_together(kind):
    geometry = dict(
        type='AutoAugment',
        policies=[
            [dict(type='RandomTranslate', x=(-0.1, 0.1), fill=0)],
            [dict(type='RandomRotate', angle=(-30, 30), fill=0)],
            [dict(type='RandomShear', x=(-30, 30), fill=0), dict(type='RandomShear', y=(-30, 30), fill=0)],
        ],
    )
    chain = Compose(
        [
            dict(type='ResizeWithMatrix', img_scale=[(200, 100), (200, 180)], multiscale_mode='range'),
            dict(type='FlipWithMatrix', flip_ratio=0.5),
            geometry,
        ]
    )
    np.random.seed(0)
    seen = 0
    for _ in range(20):
        out = chain(sample(kind))
        if len(out['gt_labels']) and out['gt_labels'][0] == 0:
            seen += 1
            assert iou(out['gt_masks'].to_ndarray()[0].astype(bool), out['img'][..., 0] > 100) > 0.93
        if kind == 'polygons':
            for polygons, label in zip(out['gt_masks'].masks, out['gt_labels'], strict=True):
                moved = warp_masks(PolygonMasks([[ellipse(BOXES[label])]], H, W), out['transform_matrix'])
                np.testing.assert_allclose(polygons[0], moved.masks[0][0], atol=1e-2)
    assert seen > 10


def test_erasing_leaves_targets_alone():
    for kind in ('polygons', 'bitmaps'):
        results = sample(kind)
        before = {key: results[key] for key in ('gt_masks', 'gt_bboxes', 'gt_semantic_seg', 'gt_labels')}
        masks = before['gt_masks'].to_ndarray().copy()
        out = RandomErasing().apply(results, patches=[(0, 0, 80, 60)])
        assert (out['img'] == 125).all() and all(out[key] is before[key] for key in before)
        np.testing.assert_array_equal(out['gt_masks'].to_ndarray(), masks)


@pytest.mark.parametrize('size', [(50, 70), (64, 96), (33, 31)])
def test_semantic_maps_are_reduced_after_padding(size):
    """As mmdet's Pad, SegRescale, DefaultFormatBundle in this order; every 8th pixel of the padded view by hand."""
    rng = np.random.RandomState(1)
    results = dict(
        img=rng.randint(0, 256, (*size, 3)).astype(np.uint8), img_fields=['img'], seg_fields=['gt_semantic_seg'],
        gt_semantic_seg=rng.randint(0, 183, size).astype(np.uint8), scale_factor=1.0,
    )  # fmt: skip
    norm = dict(mean=[0.0] * 3, std=[1.0] * 3)
    ours = PIPELINES.build(dict(type='NormalizeOnDevice', **norm, size_divisor=32, seg_stride=8))(dict(results))
    theirs = dict(results)
    for op in (Pad(size_divisor=32), SegRescale(1 / 8), DefaultFormatBundle()):
        theirs = op(theirs)
    found = ours['gt_semantic_seg'].data
    np.testing.assert_array_equal(found, theirs['gt_semantic_seg'].data)
    assert found.shape == (1, ours['pad_shape'][0] // 8, ours['pad_shape'][1] // 8)
    for y in range(found.shape[1]):
        for x in range(found.shape[2]):
            inside = 8 * y < size[0] and 8 * x < size[1]
            assert found[0, y, x] == (results['gt_semantic_seg'][8 * y, 8 * x] if inside else 255)
    with pytest.raises(ValueError, match='seg_stride=8 has to divide size_divisor=1'):
        PIPELINES.build(dict(type='NormalizeOnDevice', **norm, seg_stride=8))


def loaded(masks):
    info = dict(bboxes=np.zeros((len(masks), 4), np.float32), labels=np.zeros(len(masks), int), masks=masks)
    fields = dict(bbox_fields=[], mask_fields=[], seg_fields=[])
    return LoadInstances()(dict(img_info=dict(height=H, width=W), ann_info=info, **fields))


def test_loading_keeps_polygons_where_it_can():
    polygons = [[[10, 10, 30, 10, 30, 20], [1, 2, 3, 4]], [[0, 0, 8, 0, 8, 9, 0, 9]]]  # integers, one without an area
    out = loaded(polygons)
    assert isinstance(out['gt_masks'], PolygonMasks) and out['mask_fields'] == ['gt_masks']
    assert [len(own) for own in out['gt_masks'].masks] == [1, 1] and out['gt_masks'].masks[0][0].dtype == np.float64
    np.testing.assert_allclose(out['gt_masks'].resize((H * 2, W + 20)).masks[0][0], [12.5, 20, 37.5, 20, 37.5, 40])
    bitmap = np.zeros((H, W), np.uint8, order='F')
    bitmap[5:9, 7:20] = 1
    counts = dict(size=[H, W], counts=[5 + 7 * H] + [4, H - 4] * 12 + [4, H * W - 7 * H - 5 - 4 - 12 * H])
    for code in (rle.encode(bitmap), counts):
        mixed = loaded([polygons[1], code])
        assert isinstance(mixed['gt_masks'], BitmapMasks)
        np.testing.assert_array_equal(mixed['gt_masks'].masks[1], bitmap)
        assert mixed['gt_masks'].masks[0].sum() == 72
    assert isinstance(loaded(polygons)['gt_masks'], PolygonMasks)  # it remembers nothing
    empty = loaded([])['gt_masks']
    assert len(empty) == 0 and len(warp_masks(empty, np.eye(3))) == 0
