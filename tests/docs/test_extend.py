"""The examples of docs/extend.md, run as they stand there."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ssod.detection import PseudoLabels

PAGE = Path(__file__).parents[2] / 'docs/extend.md'


@pytest.fixture(scope='module')
def page() -> dict:
    """The names that the page's blocks of Python define, run one after another."""
    names: dict = {}
    for block in re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), flags=re.DOTALL):
        exec(block, names)
    return names


def test_the_filter_trains(page, make_model, make_batch):
    keep = page['TopFilter'](k=2)
    labels = PseudoLabels(torch.zeros(3, 4), torch.zeros(3).long(), torch.tensor([0.2, 0.9, 0.5]))
    assert keep(labels).tolist() == [False, True, True]
    assert keep(labels[torch.zeros(3, dtype=torch.bool)]).tolist() == []
    model = make_model(cls_filter=dict(type='TopFilter', k=1))
    assert model.train_step(make_batch())['log_vars']['num_pseudo_cls'] == 1


def test_the_op_moves_boxes_with_the_image(page):
    op = page['RandomZoom'](factor=(0.5, 0.5))
    img = np.zeros((40, 60, 3), np.uint8)
    img[10:20, 20:40] = 200
    boxes = np.array([[20, 10, 40, 20]], np.float32)
    results = op(dict(img=img, img_shape=img.shape, gt_bboxes=boxes, bbox_fields=['gt_bboxes']))
    assert results['gt_bboxes'].tolist() == [[10, 5, 20, 10]]
    assert results['transform_matrix'].tolist() == [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]]
    assert results['img'][7, 15].tolist() == [200] * 3
    assert results['img'][15, 25].tolist() == [0] * 3 and results['img'][30, 50].tolist() == [125] * 3


def test_the_method_trains_whichever_branch_is_missing(page, detector_cfg, make_model, make_batch):
    detector_cfg.test_cfg.rcnn.score_thr = 0.3
    model = page['PlainMeanTeacher'](detector_cfg, dict(unsup_weight=2.0)).train()
    model.load_state_dict(make_model().state_dict())
    batch = make_batch()
    keys = list(model())
    for present in (batch, {'sup': batch['sup']}, {key: batch[key] for key in batch if key != 'sup'}):
        losses = model(**present)
        assert list(losses) == keys and all(value.isfinite() for value in losses.values())
    assert model(**batch)['unsup_loss_bbox'] > 0
    model.train_step(batch)['loss'].backward()
    assert all(p.grad is None for p in model.teacher.parameters())
