"""Predictions on images and published models: what is written, and that it says what the model says."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmcv import Config, imread
from mmseg.apis import inference_segmentor, init_segmentor
from PIL import Image
from runs import call, refusal, shapes
from segmentation_runs import SIMPLE_BASELINE, SUPERVISED, options, supervised

from ssod.apis import detect, init_detector, load_config, load_model
from ssod.apis.inference import read_image
from ssod.apis.publishing import publish
from ssod.core.tiles import windows
from ssod.data.loader import test_batch as load_batch
from ssod.data.videos import open_video
from ssod.segmentation.pictures import colored, colors_of

CHECKPOINT = 'iter_6.pth'


def test_colors_and_maps():
    colors = colors_of([[1, 2, 3], [4, 5, 6]], ['a', 'b'])
    assert colored(np.array([[0, 1, 255]], np.uint8), colors).tolist() == [[[1, 2, 3], [4, 5, 6], [255] * 3]]
    assert colors_of('cityscapes', range(19))[0].tolist() == [128, 64, 128]
    assert colors_of(None, 'abc').shape == (3, 3) and np.array_equal(colors_of(None, 'abc'), colors_of(None, 'abc'))


def test_image_demo_writes_overlay_colors_numbers_and_shares(tmp_path):
    arguments = [
        shapes() / 'images/val',
        SUPERVISED,
        supervised() / CHECKPOINT,
        '--out',
        tmp_path,
        '--model',
        'student',
    ]
    call('demo/image_demo.py', *arguments, '--out', tmp_path)
    model = init_detector(SUPERVISED, str(supervised() / CHECKPOINT), 'cpu')
    records = json.loads((tmp_path / 'predictions.json').read_text())
    assert len({record['file_name'] for record in records}) == 8
    for i in (1, 8):
        image = shapes() / f'images/val/{i:06d}.jpg'
        with Image.open(tmp_path / f'{i:06d}_labels.png') as file:
            labels = np.array(file)
        expected = detect(model, str(image))
        assert np.array_equal(labels, expected)
        colors = colored(expected.astype(np.uint8), colors_of(model.cfg.palette, model.CLASSES))
        assert np.array_equal(imread(str(tmp_path / f'{i:06d}_colors.png'), channel_order='rgb'), colors)
        half = 0.5 * imread(str(image), channel_order='rgb') + 0.5 * colors
        assert np.abs(imread(str(tmp_path / f'{i:06d}.jpg'), channel_order='rgb') - half).mean() < 6  # it is a JPEG
        own = [record for record in records if record['image_id'] == i]
        assert sum(record['share'] for record in own) == pytest.approx(1, abs=1e-3)
        assert own[0]['share'] == pytest.approx((expected == own[0]['category_id']).mean(), abs=1e-4)
        assert own[0]['category'] == model.CLASSES[own[0]['category_id']]


def test_a_tile_as_large_as_the_image_is_the_plain_map_and_smaller_ones_are_averaged():
    model = load_model(supervised() / CHECKPOINT, SUPERVISED, 'cpu', 'student')
    torch.manual_seed(0)
    model.model.student.decode_head.conv_seg.weight.data.normal_(0, 3)  # trained so little, it knows one class
    image = str(shapes() / 'images/val/000001.jpg')
    plain = detect(model.model, image)
    assert len(np.unique(plain)) > 2
    for tile in (None, 96, 500):
        found = model(image, tile=tile)
        assert found.label_map.dtype == np.uint8 and np.array_equal(found.label_map, plain)
    tiles = model(image, tile=64, overlap=0.2, batch_size=3)
    total = torch.zeros(len(model.classes), 96, 96)
    for x1, y1, x2, y2 in windows((96, 96), 64, 0.2):
        sample = read_image(model.pipeline, imread(image)[y1:y2, x1:x2])
        total[:, y1:y2, x1:x2] += model.task.outputs(model.model, load_batch(model.model, [sample]))[0]
    assert (tiles.label_map == total.argmax(dim=0).numpy()).mean() > 0.999  # a batch sums in another order
    assert not np.array_equal(tiles.label_map, plain)
    pair = model([image, imread(image)[:64], image], batch_size=3)  # of other sizes: not in one batch
    assert [found.label_map.shape for found in pair] == [(96, 96), (64, 96), (96, 96)]
    assert np.array_equal(pair[2].label_map, plain)


def test_supervision_takes_the_classes_of_a_map():
    pytest.importorskip('supervision')
    model = load_model(supervised() / CHECKPOINT, SUPERVISED, 'cpu')
    found = model(shapes() / 'images/val/000001.jpg')
    taken = found.to_supervision()
    assert taken.mask.sum(axis=0).tolist() == np.ones((96, 96), int).tolist()  # every pixel has one class
    assert taken.area.tolist() == [(found.label_map == label).sum() for label in found.labels]


def test_a_video_of_maps(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / 'clip.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (96, 96))
    for i in (1, 2):
        writer.write(imread(str(shapes() / f'images/val/{i:06d}.jpg')))
    writer.release()
    call('demo/image_demo.py', tmp_path / 'clip.avi', SUPERVISED, supervised() / CHECKPOINT, '--out', tmp_path / 'out')
    records = json.loads((tmp_path / 'out/predictions.json').read_text())
    for frame in (0, 1):
        own = [record for record in records if record['frame'] == frame]
        assert sum(record['share'] for record in own) == pytest.approx(1, abs=1e-3)
        with Image.open(tmp_path / f'out/clip/{frame:06d}_labels.png') as file:
            labels = np.array(file)
        assert own[0]['share'] == pytest.approx((labels == own[0]['category_id']).mean(), abs=1e-4)
    assert open_video(tmp_path / 'out/clip.mp4').frames == 2


def test_a_published_model_is_mmsegs_own(tmp_path):
    weights, config = publish(str(supervised() / CHECKPOINT), str(tmp_path / 'plain.pth'), 'student')
    cfg = Config.fromfile(str(config))
    assert cfg.model.type == 'EncoderDecoder' and cfg.evaluation.metric == 'mIoU'
    image = str(shapes() / 'images/val/000001.jpg')
    found = inference_segmentor(init_segmentor(str(config), str(weights), device='cpu'), image)[0]
    ours = detect(init_detector(SUPERVISED, str(supervised() / CHECKPOINT), 'cpu', predict_on='student'), image)
    assert np.array_equal(found, ours)


def test_of_simple_baseline_the_weak_half_is_published(tmp_path):
    cfg = load_config(SIMPLE_BASELINE)
    model = init_detector(cfg, None, 'cpu')
    for name, value in model.named_parameters():
        torch.nn.init.constant_(value, 3.0 if '.aux_bn.' in name else 0.5)
    saved = dict(state_dict=model.state_dict(), meta=dict(config=cfg.text, CLASSES=list(cfg.classes)))
    torch.save(saved, tmp_path / 'model.pth')
    weights, _ = publish(str(tmp_path / 'model.pth'), str(tmp_path / 'plain.pth'), 'student')
    published = torch.load(weights)['state_dict']
    assert not any('_bn.' in name and ('main_bn' in name or 'aux_bn' in name) for name in published)
    assert all((value == 0.5).all() for name, value in published.items() if name.endswith(('.weight', '.bias')))


def test_what_cannot_be_done_is_said(tmp_path):
    arguments = [shapes() / 'images/val', SUPERVISED, supervised() / CHECKPOINT]
    assert 'would overwrite' in refusal('demo/image_demo.py', *arguments, '--out', shapes() / 'images/val')
    other = options(classes="['background','circle','triangle','cross','star']")
    arguments = [SUPERVISED, supervised() / CHECKPOINT, '--eval', 'mIoU', '--work-dir', tmp_path]
    assert 'the test set has the classes' in refusal('tools/test.py', *arguments, *other)
