"""Label maps that a model writes: scales and flips summed, a threshold, runs that are stopped, what does not fit."""

import json

import numpy as np
import pytest
import torch
from mmcv import imread, imresize
from PIL import Image
from runs import BASELINE, call, refusal, shapes, small
from segmentation_runs import SUPERVISED, options, supervised
from torch.nn import functional as F

from ssod.apis import init_detector, load_config
from ssod.segmentation.labeling import LabelingCfg, predict, unlabeled_images

CHECKPOINT = 'iter_6.pth'


def label(out, *more, **settings):
    call('tools/pseudo_label.py', SUPERVISED, supervised() / CHECKPOINT, '--out', out, *more, *options(**settings))


@pytest.fixture(scope='module')
def maps(tmp_path_factory):
    out = tmp_path_factory.mktemp('maps') / 'one'
    label(out, '--scales', 1, 1.5)
    return out


def config(**settings):
    own = dict(pair.split('=') for pair in options(**settings)[1:])
    return load_config(SUPERVISED, {'data_root': own['data_root'], 'every': 4})


def test_every_unlabeled_image_gets_a_map_of_its_size_and_path(maps):
    names = sorted(path.name for path in maps.glob('*.png'))
    expected = [f'{i:06d}.png' for i in range(1, 25) if (i - 1) % 4]
    assert names == expected
    for name in names:
        with Image.open(maps / name) as image:
            assert image.size == (96, 96) and image.mode == 'P'
            assert np.array(image).max() < 5
        assert imread(str(maps / name), flag='unchanged', backend='pillow').ndim == 2  # as the data set reads it
    note = json.loads((maps / 'labels.json').read_text())
    assert note['finished'] and note['scales'] == [1.0, 1.5] and note['flip'] and note['model'] == 'student'


@pytest.mark.parametrize('sum_of', ['logits', 'softmax'])
def test_a_map_is_the_argmax_of_the_sum_over_scales_and_flips(sum_of):
    model = init_detector(config(), str(supervised() / CHECKPOINT), 'cpu')
    how = LabelingCfg(scales=(1.0, 1.5), sum=sum_of)
    dataset = unlabeled_images(config(), how)
    image = imread(str(shapes() / 'images/train' / dataset.img_infos[0]['filename']))
    head = model.student.decode_head.conv_seg
    torch.nn.init.normal_(head.weight, std=0.5)
    with torch.no_grad():  # so that it says more than one class
        head.bias -= model.student.encode_decode(dataset[0]['img'][0][None], None).mean(dim=(0, 2, 3))
    found = predict(model.student, dataset[0], how)
    total = 0
    for size in (96, 144):
        scaled = image if size == 96 else imresize(image, (size, size))
        norm = (scaled[..., ::-1] - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
        x = torch.from_numpy(norm).float().permute(2, 0, 1)[None]
        for flip in (False, True):
            with torch.no_grad():
                logits = model.student.encode_decode(x.flip(-1) if flip else x, None)
            logits = F.interpolate(logits, (96, 96), mode='bilinear', align_corners=True)
            logits = logits.flip(-1) if flip else logits
            total = total + (logits if sum_of == 'logits' else logits.softmax(1))
    assert len(np.unique(found)) > 1
    assert (found != total.argmax(1)[0].numpy()).mean() < 1e-3  # equal but for ties of rounding


def test_pixels_that_are_not_sure_are_ignored(tmp_path):
    label(tmp_path / 'out', '--scales', 1, '--no-flip', '--score-thr', 1.0)
    assert (np.array(Image.open(tmp_path / 'out/000002.png')) == 255).all()


def test_a_stopped_run_goes_on_and_other_settings_are_refused(maps, tmp_path):
    whole = {path.name: path.read_bytes() for path in maps.glob('*.png')}
    (maps / '000002.png').unlink()
    kept = (maps / '000003.png').stat().st_mtime_ns
    note = json.loads((maps / 'labels.json').read_text())
    note.pop('finished')
    (maps / 'labels.json').write_text(json.dumps(note))
    label(maps, '--scales', 1, 1.5)
    assert {path.name: path.read_bytes() for path in maps.glob('*.png')} == whole
    assert (maps / '000003.png').stat().st_mtime_ns == kept
    arguments = ['tools/pseudo_label.py', SUPERVISED, supervised() / CHECKPOINT, '--out']
    assert 'holds label maps of another scales' in refusal(*arguments, maps, '--scales', 1, *options())
    (tmp_path / 'file').write_text('')
    assert 'is not empty, and no folder of label maps' in refusal(*arguments, tmp_path, *options())


def test_options_of_label_maps_are_refused_for_boxes(tmp_path):

    arguments = ['tools/pseudo_label.py', BASELINE, 'x.pth', '--out', tmp_path / 'x.json', '--scales', 1]
    assert '--scales is for label maps, and FasterRCNN writes boxes' in refusal(*arguments, *small())
