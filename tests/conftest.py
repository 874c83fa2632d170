"""A detector small enough to train in a test, batches for it, and a runner's worth of attributes for hooks."""

import os

# Runs are compared bit by bit, in this process and in others: sums depend on the number of threads. Before torch.
os.environ['OMP_NUM_THREADS'] = '1'

# isort: split
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv import ConfigDict
from mmcv.runner import LogBuffer

import ssod  # noqa: F401  registers every part with mmdet
from ssod.detection import SoftTeacher

sys.path.insert(0, str(Path(__file__).parent))

import runs  # noqa: E402  real runs, made once and shared

SHARED = Path(__file__).parents[1] / '../shared'
NUM_CLASSES = 3
STRIDES = [8, 16, 32]
FLIP = [[-1.0, 0, 128], [0, 1, 0], [0, 0, 1]]  # a horizontal flip of a view 128 pixels wide
ALL = dict(type='RandomSampler', num=10**6, pos_fraction=1.0, neg_pos_ub=-1)  # takes every candidate: nothing random


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line('markers', "gpu: needs a GPU, skipped without; all of them: make test TEST_ARGS='-m gpu'")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked ``gpu`` where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker('gpu'):
                item.add_marker(pytest.mark.skip(reason='needs a GPU'))


def tiny_detector() -> ConfigDict:
    """Faster R-CNN, 8 to 64 channels wide, whose samplers leave nothing to chance."""
    coder = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4)
    proposals = dict(nms_pre=60, max_per_img=30, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0)
    assigner = dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5)
    return ConfigDict(
        type='FasterRCNN',
        backbone=dict(
            type='ResNet', depth=18, base_channels=8, stem_channels=8, num_stages=4, out_indices=(1, 2, 3),
            frozen_stages=1, norm_cfg=dict(type='BN', requires_grad=True), norm_eval=True, style='pytorch',
        ),
        neck=dict(type='FPN', in_channels=[16, 32, 64], out_channels=16, num_outs=3),
        rpn_head=dict(
            type='RPNHead', in_channels=16, feat_channels=16,
            anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[0.5, 1.0, 2.0], strides=STRIDES),
            bbox_coder=dict(**coder, target_stds=[1.0] * 4),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True), loss_bbox=dict(type='L1Loss'),
        ),
        roi_head=dict(
            type='StandardRoIHead',
            bbox_roi_extractor=dict(
                type='SingleRoIExtractor', out_channels=16, featmap_strides=STRIDES,
                roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2),
            ),
            bbox_head=dict(
                type='Shared2FCBBoxHead', in_channels=16, fc_out_channels=32, roi_feat_size=3,
                num_classes=NUM_CLASSES, reg_class_agnostic=False,
                bbox_coder=dict(**coder, target_stds=[0.1, 0.1, 0.2, 0.2]),
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False), loss_bbox=dict(type='L1Loss'),
            ),
        ),
        train_cfg=dict(
            rpn=dict(assigner=assigner, sampler=dict(ALL, add_gt_as_proposals=False), allowed_border=-1, pos_weight=-1),
            rpn_proposal=proposals,
            rcnn=dict(assigner=assigner, sampler=dict(ALL, add_gt_as_proposals=True), pos_weight=-1),
        ),
        test_cfg=dict(
            rpn=dict(proposals, max_per_img=10),
            rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
        ),
    )  # fmt: skip


@pytest.fixture
def detector_cfg() -> ConfigDict:
    return tiny_detector()


# By part of a parameter's name: features of about 1, class scores from 0 to 1, box variances from 0.03 to 0.13.
GAINS = {'lateral': 0.03, 'fc_cls': 3.0, 'reg': 1.0}


def lively(model: torch.nn.Module) -> None:
    """Random weights whose scores and boxes differ from image to image, the teacher's a little from the student's."""
    generator = torch.Generator().manual_seed(0)
    for name, value in model.student.named_parameters():
        if value.dim() > 1:
            gain = next((g for part, g in GAINS.items() if part in name), 1.4)
            value.data = torch.randn(value.shape, generator=generator) * gain / value[0].numel() ** 0.5
    model.teacher.load_state_dict(model.student.state_dict())
    for value in model.teacher.parameters():
        value.data += 0.05 * value.std(correction=0) * torch.randn(value.shape, generator=generator)


@pytest.fixture
def make_model():
    """``make_model(detector=None, **semi_train_cfg)``: a SoftTeacher in train mode whose filters let much pass."""

    def make(detector: ConfigDict | None = None, **semi_train_cfg) -> SoftTeacher:
        torch.manual_seed(0)
        defaults = dict(
            unsup_weight=4.0,
            candidate_score_thr=0.3,
            rpn_filter=dict(type='ScoreFilter', thr=0.6),
            cls_filter=dict(type='ScoreFilter', thr=0.5),
            reg_filter=dict(type='JitterVarianceFilter', thr=0.055, num_jitters=4),
        )
        model = SoftTeacher(detector or tiny_detector(), {**defaults, **semi_train_cfg})
        lively(model)
        model.CLASSES = model.student.CLASSES = model.teacher.CLASSES = ('a', 'b', 'c')
        return model.train()

    return make


def meta(name: str, hw: tuple[int, int], matrix) -> dict:
    shape = (*hw, 3)
    return dict(
        filename=name, ori_filename=name, ori_shape=shape, img_shape=shape, pad_shape=shape,
        scale_factor=np.ones(4, np.float32), flip=False, flip_direction=None,
        img_norm_cfg=dict(mean=np.zeros(3, np.float32), std=np.ones(3, np.float32), to_rgb=False),
        transform_matrix=np.asarray(matrix, np.float32),
    )  # fmt: skip


@pytest.fixture
def make_view():
    """``make_view(names, hw, matrix)``: one branch without boxes; a file's picture depends on its name alone."""

    def make(names, hw=(96, 128), matrix=None) -> dict:
        matrix = np.eye(3) if matrix is None else matrix
        images = [torch.randn(3, *hw, generator=torch.Generator().manual_seed(sum(map(ord, name)))) for name in names]
        return dict(img=torch.stack(images), img_metas=[meta(name, hw, matrix) for name in names])

    return make


@pytest.fixture
def make_batch(make_view):
    """``make_batch()``: a labelled image, and two views of two unlabelled ones that come in different orders."""

    def make() -> dict[str, dict]:
        sup = make_view(['s'])
        sup.update(gt_bboxes=[torch.tensor([[10.0, 10, 60, 70], [50, 40, 120, 90]])], gt_labels=[torch.tensor([0, 2])])
        teacher, student = make_view(['u', 'v']), make_view(['v', 'u'], matrix=FLIP)
        student['img'] = teacher['img'].flip(0).flip(-1)
        return dict(sup=sup, unsup_teacher=teacher, unsup_student=student)

    return make


@pytest.fixture
def fake_runner(tmp_path):
    """``fake_runner(model, iter=0, **attributes)``: what hooks read of a runner; ``messages`` are its log lines."""

    def make(model=None, iter: int = 0, **attributes) -> SimpleNamespace:
        messages: list[str] = []
        logger = logging.Logger('fake')
        logger.addHandler(handler := logging.Handler())
        handler.emit = lambda record: messages.append(record.getMessage())
        defaults = dict(
            model=model, iter=iter, max_iters=10**6, rank=0, hooks=[], _hooks=[], meta={}, logger=logger,
            messages=messages, log_buffer=LogBuffer(), work_dir=str(tmp_path),
        )  # fmt: skip
        return SimpleNamespace(**{**defaults, **attributes})

    return make


@pytest.fixture
def golden():
    """Folder of the authors' figures, beside the repository; absent on other machines."""
    folder = SHARED / 'golden'
    if not (folder / 'official.json').exists():
        pytest.skip('no ../shared/golden beside the repository')
    return folder


@pytest.fixture
def gloo(tmp_path):
    """A process group of one process."""
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.fixture
def on_two_ranks(tmp_path):
    """``on_two_ranks(function)``: what ``function(rank)``, a tensor, gives in two processes that share a gloo group."""

    def start(rank: int, function) -> None:
        store = f'file://{tmp_path}/two'
        torch.distributed.init_process_group('gloo', init_method=store, rank=rank, world_size=2)
        torch.save(function(rank), tmp_path / f'{rank}.pt')
        torch.distributed.destroy_process_group()

    def run(function) -> list[torch.Tensor]:
        torch.multiprocessing.start_processes(start, (function,), nprocs=2, start_method='fork')
        return [torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1)]

    return run


@pytest.fixture(scope='session')
def work_dir() -> Path:
    """Work dir of Soft Teacher, trained for 8 iterations."""
    return runs.trained()


@pytest.fixture(scope='session')
def checkpoint(work_dir: Path) -> Path:
    """Soft Teacher's last checkpoint."""
    return work_dir / 'iter_8.pth'
