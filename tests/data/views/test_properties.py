"""Any chain of geometric ops: the recorded matrix says where each pixel came from; masks and boxes went with them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.core import BitmapMasks
from properties import few

from ssod.data.views import FlipWithMatrix, RandomRotate, RandomShear, RandomTranslate, ResizeWithMatrix

H, W = 60, 80
SIDES = st.floats(-0.2, 0.2)
OPS = st.one_of(
    st.tuples(st.integers(50, 160), st.integers(40, 120)).map(
        lambda size: ResizeWithMatrix(img_scale=size, keep_ratio=False, override=True)
    ),
    st.sampled_from(['horizontal', 'vertical', 'diagonal']).map(lambda d: FlipWithMatrix(flip_ratio=1.0, direction=d)),
    SIDES.map(lambda x: RandomTranslate(x=(x, x), fill=0)),
    SIDES.map(lambda y: RandomTranslate(y=(y, y), fill=0)),
    st.floats(-30, 30).map(lambda angle: RandomRotate(angle=(angle, angle), fill=0)),
    st.floats(-20, 20).map(lambda x: RandomShear(x=(x, x), fill=0)),
    st.floats(-20, 20).map(lambda y: RandomShear(y=(y, y), factor='tan', fill=0)),
)


def sample(boxes):
    """Channels of the image say x and y of the pixel's middle, and 1; objects are rectangles without overlap."""
    y, x = np.mgrid[:H, :W] + 0.5
    labels = np.zeros((H, W), np.uint8)
    masks = np.zeros((len(boxes), H, W), np.uint8)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        labels[y1:y2, x1:x2] = i + 1
        masks[i, y1:y2, x1:x2] = 1
    return dict(
        img=np.stack([x, y, np.ones_like(x)], axis=-1).astype(np.float32),
        img_shape=(H, W, 3),
        img_fields=['img'],
        bbox_fields=['gt_bboxes'],
        mask_fields=['gt_masks'],
        seg_fields=['gt_semantic_seg'],
        gt_bboxes=np.array(boxes, np.float32).reshape(-1, 4),
        gt_labels=np.arange(len(boxes)),
        gt_masks=BitmapMasks(masks, H, W),
        gt_semantic_seg=labels,
    )


@st.composite
def rectangles(draw):
    """Up to three boxes, each in a third of the image."""
    boxes = []
    for i in range(draw(st.integers(0, 3))):
        x, y = draw(st.integers(0, 12)), draw(st.integers(0, 45))
        boxes.append((27 * i + x, y, 27 * i + x + draw(st.integers(3, 14)), y + draw(st.integers(3, 15))))
    return boxes


@settings(few, max_examples=150)
@given(rectangles(), st.lists(OPS, min_size=1, max_size=4))
def test_matrix_pixels_masks_and_boxes_agree(boxes, ops):
    results = sample(boxes)
    for op in ops:
        results['img'][[0, -1], :, 2] = results['img'][:, [0, -1], 2] = 0  # a resized image repeats its edge
        results = op(results)
    img, matrix = results['img'], results['transform_matrix'].astype(np.float64)
    height, width = img.shape[:2]
    assert results['gt_semantic_seg'].shape == (height, width) and matrix.shape == (3, 3)

    # Each pixel says where it came from. Turns and shears are half a pixel off; OpenCV shifts by 32nds of a pixel.
    v, u = np.nonzero(img[..., 2] > 0.999)
    came_from = np.linalg.inv(matrix) @ np.stack([u + 0.5, v + 0.5, np.ones_like(u)])
    scale = np.linalg.norm(np.linalg.inv(matrix)[:2, :2], 2)
    off = np.abs(came_from[:2] - img[v, u, :2].T)
    turns = sum(isinstance(op, (RandomRotate, RandomShear)) for op in ops)
    shifts = sum(isinstance(op, RandomTranslate) for op in ops)
    assert off.max(initial=0) <= 1e-4 + (shifts / 64 + 0.75 * turns) * max(scale, 1)

    kept, masks = results['gt_labels'], results['gt_masks'].masks
    assert len(kept) == len(masks) == len(results['gt_bboxes']) and sorted(set(kept)) == kept.tolist()
    for label, mask, box in zip(kept, masks, results['gt_bboxes'], strict=True):
        np.testing.assert_array_equal(mask, results['gt_semantic_seg'] == label + 1)
        assert (box >= 0).all() and (box <= (width, height) * 2).all()
        rows, columns = np.nonzero(mask)
        if len(rows):
            slack = len(ops) * max(1 / scale, 1) + 1
            found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert (found[:2] >= box[:2] - slack).all() and (found[2:] <= box[2:] + slack).all()
    lost = set(range(len(boxes))) - set(kept.tolist())
    assert not np.isin(results['gt_semantic_seg'], [label + 1 for label in lost]).any(), 'out of view with its box'
