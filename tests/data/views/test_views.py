"""The configs' views, picture for picture and draw for draw as mmdet, Pillow and three-channel warps make them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.parallel import collate
from mmdet.datasets.pipelines import Compose
from PIL import Image, ImageEnhance, ImageOps

from ssod.apis.config import load_config
from ssod.data import collate_branches, collate_views, normalized

DATASETS = Path(__file__).parents[3] / 'configs/_base_/datasets'
OPTIONS = dict(train_scale=[(266, 80), (266, 240)], img_norm_cfg=dict(mean=[1.0, 20.0, 30.0], std=[2.0, 3.0, 4.0]))
CFG, PLAIN = (load_config(str(DATASETS / f'coco_{kind}.py'), OPTIONS) for kind in ('semi', 'sup'))
RESIZE = dict(type='Resize', img_scale=[(266, 80), (266, 240)], multiscale_mode='range', keep_ratio=True)
HOST = dict(
    start=Compose([RESIZE, dict(type='RandomFlip', flip_ratio=0.5)]),
    end=[
        dict(type='Pad', size_divisor=32),
        dict(type='Normalize', **CFG.img_norm_cfg),
        dict(type='DefaultFormatBundle'),
    ],
)
COLORS = [
    lambda image, level: image,
    lambda image, level: ImageOps.autocontrast(image),
    lambda image, level: ImageOps.equalize(image),
    lambda image, level: ImageOps.solarize(image, min(int(25.6 * level), 255)),
    *(
        lambda image, level, enhancer=enhancer: enhancer(image).enhance(0.18 * level + 0.1)
        for enhancer in (ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Sharpness)
    ),
    lambda image, level: ImageOps.posterize(image, max(4 - int(0.4 * level), 1)),
]


def one_color(img):
    op = np.random.choice(COLORS)
    level = np.random.randint(1, 10)
    return np.asarray(op(Image.fromarray(img[..., ::-1]), level))[..., ::-1]


def warp(img, *matrix):
    h, w = img.shape[:2]
    return cv2.warpAffine(img, np.float32(matrix), (w, h), flags=cv2.INTER_LINEAR, borderValue=(125, 125, 125))


def one_geometry(img):
    h, w = img.shape[:2]
    kind = np.random.choice(4)
    if kind == 0:
        return warp(img, [1, 0, np.random.uniform(-0.1, 0.1) * w], [0, 1, 0])
    if kind == 1:
        return warp(img, [1, 0, 0], [0, 1, np.random.uniform(-0.1, 0.1) * h])
    if kind == 2:
        return warp(img, *cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), -np.random.uniform(-30, 30), 1))
    img = warp(img, [1, np.tanh(np.deg2rad(np.random.uniform(-30, 30))), 0], [0, 1, 0])
    return warp(img, [1, 0, 0], [np.tanh(np.deg2rad(np.random.uniform(-30, 30))), 1, 0])


def erase(img):
    img = img.copy()
    h, w = img.shape[:2]
    for _ in range(np.random.randint(1, 5)):
        ratio = np.random.uniform(0, 0.2)
        ph, pw = int(ratio * h), int(ratio * w)
        x, y = np.random.randint(0, w - pw), np.random.randint(0, h - ph)
        img[y : y + ph, x : x + pw] = 125
    return img


def weak(img):
    return img


def strong(img):
    for i in np.random.permutation(2):
        img = (one_color, one_geometry)[i](img)
    return erase(img)


def reference(files, seed, views):
    """The batch's float images by view, of samples that are seeded one by one."""
    batches = {}
    for k, file in enumerate(files):
        np.random.seed(seed + k)
        for name, ops in views.items():
            results = HOST['start'](dict(img=cv2.imread(file), img_fields=['img']))
            results['img'] = ops(results['img'])
            view = Compose([*HOST['end'], dict(type='Collect', keys=['img'], meta_keys=['img_shape'])])(results)
            batches.setdefault(name, []).append(view)
    return {name: collate(batch, len(batch))['img'].data[0] for name, batch in batches.items()}


@pytest.fixture
def files(tmp_path):
    """Three photo-like files: smooth colors with fine noise, one of them upright."""
    rng = np.random.RandomState(0)
    paths = []
    for i, (h, w) in enumerate([(120, 160), (160, 120), (97, 161)]):
        smooth = cv2.resize(rng.randint(0, 256, (6, 8, 3)).astype(np.uint8), (w, h), interpolation=cv2.INTER_CUBIC)
        img = np.clip(smooth + rng.normal(0, 12, (h, w, 3)), 0, 255).astype(np.uint8)
        paths.append(str(tmp_path / f'{i}.jpg'))
        cv2.imwrite(paths[-1], img)
    return paths


def ours(files, seed, pipeline, **more):
    pipeline, samples = Compose(pipeline), []
    for k, file in enumerate(files):
        np.random.seed(seed + k)
        samples.append(pipeline(dict(img_prefix=None, img_info=dict(filename=file), bbox_fields=[], **more)))
    batches = collate_branches(samples)
    return {
        name: normalized(dict(img=batch['img'].data[0], img_metas=batch['img_metas'].data[0]))['img']
        for name, batch in batches.items()
    }


def assert_same(batches, expected):
    assert batches.keys() == expected.keys()
    for name, images in batches.items():
        assert images.shape == expected[name].shape and images.dtype == expected[name].dtype == torch.float32
        torch.testing.assert_close(images, expected[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize('seed', range(0, 300, 10))
def test_unlabeled_views(files, seed):
    expected = reference(files, seed, dict(unsup_teacher=weak, unsup_student=strong))
    assert_same(ours(files, seed, CFG.data.train.unlabeled.pipeline), expected)


@pytest.mark.parametrize('seed', range(0, 100, 10))
def test_labeled_view(files, seed):
    boxes = dict(bboxes=np.float32([[10, 10, 60, 60]]), labels=np.array([0]))
    batches = ours(files, seed, CFG.data.train.labeled.pipeline, ann_info=boxes)
    expected = reference(files, seed, dict(sup=one_color))
    assert_same(batches, expected)
    pipeline, samples = Compose(PLAIN.data.train.pipeline), []
    for k, file in enumerate(files):  # the baseline's, by MMDetection's own ops
        np.random.seed(seed + k)
        info = dict(img_info=dict(filename=file), bbox_fields=[], img_prefix=None, ann_info=boxes)
        samples.append(pipeline(info))
    assert_same(dict(sup=collate_views(samples)['img'].data[0]), expected)
