"""A detector small enough to train in a test, batches for it, and a runner's worth of attributes for hooks."""

import os

# Runs are compared bit by bit, in this process and in others: sums depend on the number of threads. Before torch.
os.environ['OMP_NUM_THREADS'] = '1'

# isort: split
import gc
import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmcv import ConfigDict
from mmcv.runner import LogBuffer

import ssod  # noqa: F401  registers every part with mmdet
from ssod.detection import SoftTeacher

sys.path.insert(0, str(Path(__file__).parent))

import runs  # noqa: E402  real runs, made once and shared
from tiny import lively, tiny_detector  # noqa: E402

# What is imported stays: a collection need not look at it, so that one after each command costs nothing.
gc.collect()
gc.freeze()

FLIP = [[-1.0, 0, 128], [0, 1, 0], [0, 0, 1]]  # a horizontal flip of a view 128 pixels wide


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `gpu` run where there is a GPU: make test TEST_ARGS='-m gpu'."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker('gpu'):
                item.add_marker(pytest.mark.skip(reason='needs a GPU'))


@pytest.fixture
def detector_cfg() -> ConfigDict:
    return tiny_detector()


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
    """``make_batch()``: a labeled image, and two views of two unlabeled ones that come in different orders."""

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
def coco(tmp_path):
    """``coco(name, sizes, boxes=True)``: config of a tiny data set on disk, of images of (width, height).

    The gray value of an image is its number. MMDetection drops sides under 32 pixels.
    """

    def make(name: str, sizes: list[tuple[int, int]], boxes: bool = True) -> dict:
        (tmp_path / name).mkdir()
        images, annotations = [], []
        for i, (width, height) in enumerate(sizes, 1):
            cv2.imwrite(str(tmp_path / name / f'{i}.png'), np.full((height, width, 3), i, np.uint8))
            images.append(dict(id=i, file_name=f'{i}.png', width=width, height=height))
            box = dict(bbox=[2, 3, 10, 12], area=120, iscrowd=0, category_id=1)
            annotations += [dict(box, id=i, image_id=i)] if boxes else []
        categories = [dict(id=k, name=c) for k, c in enumerate(('cell', 'dust'), 1)]
        path = tmp_path / f'{name}.json'
        path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
        return dict(
            type='CocoDataset',
            ann_file=str(path),
            img_prefix=str(tmp_path / name),
            classes=('cell', 'dust'),
            filter_empty_gt=boxes,
            pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)],
        )

    return make


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
