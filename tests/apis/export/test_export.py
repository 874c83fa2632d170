"""`ssod export`: files that run without this package, compared with PyTorch before they are left."""

import json
import re
import shutil
import sys

import cv2
import numpy as np
import pytest
import torch
from mmcv import Config
from runs import ROOT, SOFT_TEACHER, class_names, shapes, small, trained_baseline, trained_masks
from segmentation_runs import SUPERVISED, supervised
from segmentation_runs import options as map_options

from ssod.apis import InputError, detect, init_detector, load_config
from ssod.apis.export import Form, export, export_model
from ssod.apis.export.preparing import Input, input_of, prepared
from ssod.apis.publishing import config_in
from ssod.cli import COMMANDS

onnxruntime = pytest.importorskip('onnxruntime')
PAGE = ROOT / 'docs/export.md'
SOFT_TEACHER_MASKS = str(ROOT / 'configs/demo/soft_teacher_mask_rcnn_r18_shapes.py')


def run(capsys, *argv):
    """What `ssod export` prints."""
    COMMANDS['export'](list(map(str, argv)), 'ssod export')
    return capsys.readouterr().out


def config(**settings):
    options = dict(option.split('=', 1) for option in small()[1:])
    return load_config(SOFT_TEACHER, {'data_root': options['data_root'], 'test_scale': (96, 96), **settings})


def agreeing(said):
    """The sides that were measured, of boxes that all agree."""
    found = re.search(r'(\d+) of \1 boxes on 5 images agree: sides within (\S+) px, scores within (\S+)$', said)
    assert found and int(found[1]) > 50, said
    assert float(found[3]) < 1e-3
    return float(found[2])


@pytest.fixture(scope='module')
def onnx_file(checkpoint, tmp_path_factory):
    """The teacher as ONNX."""
    out = tmp_path_factory.mktemp('onnx') / 'model.onnx'
    export_model(config_in(str(checkpoint)), str(checkpoint), Form('onnx'), out, predict_on='teacher')
    return out


def test_boxes_as_onnx_of_any_size(checkpoint, tmp_path, capsys):
    out = tmp_path / 'model.onnx'
    said = run(capsys, SOFT_TEACHER, checkpoint, '--format', 'onnx', '--out', out, '--dynamic', *small())
    assert agreeing(said.strip()) < 0.01 and 'input 96 x 96 or another size;' in said
    assert f'\n{out}: FasterRCNN, the ' in said and list(tmp_path.iterdir()) == [out]
    onnx = pytest.importorskip('onnx')
    model = onnx.load(str(out))
    assert {node.domain for node in model.graph.node} == {''}
    assert [(one.domain, one.version) for one in model.opset_import] == [('', 16)]


def test_what_the_file_says_of_itself(onnx_file):
    session = onnxruntime.InferenceSession(str(onnx_file), providers=['CPUExecutionProvider'])
    about = dict(session.get_modelmeta().custom_metadata_map)
    assert (about['model'], about['published']) == ('FasterRCNN', 'teacher')
    values = {name: json.loads(about[name]) for name in about if name not in ('model', 'published', 'ssod_version')}
    norm = next(op for op in config().data.test.pipeline[1].transforms if op.type == 'Normalize')
    assert values == dict(
        classes=class_names(), width=96, height=96, mean=list(norm.mean), std=list(norm.std), to_rgb=norm.to_rgb,
        keep_ratio=True, pad=[0.0, 0.0, 0.0], score_thr=0.05,
    )  # fmt: skip
    assert [one.shape for one in session.get_inputs()] == [[1, 3, 96, 96]]


def test_the_example_of_the_page_finds_what_ssod_finds(onnx_file, checkpoint, tmp_path, monkeypatch, capsys):
    example = re.search(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), flags=re.DOTALL)[1]
    assert 'ssod' not in example and 'torch' not in example and 'mm' not in example
    shutil.copy(onnx_file, tmp_path / 'model.onnx')
    shutil.copy(shapes() / 'images/val/000001.jpg', tmp_path / 'image.jpg')
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(example, names)
    expected = detect(init_detector(config(), str(checkpoint), predict_on='teacher'), 'image.jpg')
    boxes = np.concatenate([names['dets'][names['labels'] == number] for number in range(len(expected))])
    np.testing.assert_allclose(boxes, np.concatenate(expected), atol=0.01)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(boxes) > 10 and printed[0].split()[0] in class_names()


def test_boxes_as_torchscript(checkpoint, tmp_path, capsys):
    out = tmp_path / 'model.torchscript'
    said = run(capsys, checkpoint, '--format', 'torchscript', '--out', out, '--model', 'teacher')
    assert agreeing(said.strip()) < 1e-3 and 'the teacher (as asked)' in said
    texts = {'ssod.json': ''}
    torch.jit.load(str(out), _extra_files=texts)
    assert json.loads(json.loads(texts['ssod.json'])['classes']) == class_names()


def test_masks_of_a_teacher(tmp_path):
    cfg = load_config(SOFT_TEACHER_MASKS, {'data_root': f'{shapes()}/', 'test_scale': (96, 96)})
    cfg.model.detector.test_cfg.rcnn.score_thr = 0.02
    checkpoint = str(trained_masks() / 'iter_4.pth')  # of a plain detector: it fills student and teacher
    said = export_model(cfg, checkpoint, Form('onnx'), tmp_path / 'model.onnx', predict_on='teacher')
    agree = re.search(r'(\d+) of \1 boxes .*; (\S+) % of the pixels of their masks are in one alone$', said)
    assert agree and int(agree[1]) > 50 and float(agree[2]) < 0.1, said
    session = onnxruntime.InferenceSession(str(tmp_path / 'model.onnx'), providers=['CPUExecutionProvider'])
    assert [one.name for one in session.get_outputs()] == ['dets', 'labels', 'masks']
    assert session.get_modelmeta().custom_metadata_map['mask_thr'] == '0.5'
    dets, labels, masks = session.run(None, {'image': np.zeros((1, 3, 96, 96), np.float32)})
    assert len(dets) == len(labels) == len(masks) and masks.shape[1:] == (28, 28)


@pytest.mark.parametrize('form', ['onnx', 'torchscript'])
def test_label_maps(form, tmp_path, capsys):
    checkpoint = supervised() / 'iter_6.pth'
    out = tmp_path / 'model'
    said = run(capsys, checkpoint, '--format', form, '--out', out, '--model', 'student', '--size', 96, 64)
    assert re.search(r'input 96 x 64; 0 % of the pixels of 5 images have another class; probabilities are within', said)
    image = cv2.imread(str(shapes() / 'images/val/000001.jpg'))
    batch = input_of(config_in(str(checkpoint)).data.test.pipeline, image, (96, 64)).prepare(image)
    labels, scores = export.GRAPHS[form][1](out)(batch)
    model = init_detector(config_in(str(checkpoint)), str(checkpoint), 'cpu', predict_on='student')
    shape = dict(ori_shape=(64, 96, 3), img_shape=(64, 96, 3), flip=False)
    with torch.no_grad():
        expected = model.inference(torch.from_numpy(batch), [shape], False)[0].numpy()
    assert labels.shape == scores.shape == (1, 64, 96) and (labels[0] == expected.argmax(0)).all()
    np.testing.assert_allclose(scores[0], expected.max(0), atol=1e-5)


def test_safetensors_is_a_checkpoint(checkpoint, tmp_path, capsys):
    pytest.importorskip('safetensors')
    out = tmp_path / 'model.safetensors'
    said = run(capsys, checkpoint, '--format', 'safetensors', '--out', out, '--model', 'teacher')
    source = torch.load(checkpoint)['state_dict']
    half = {name.removeprefix('teacher.'): value for name, value in source.items() if name.startswith('teacher.')}
    assert f'{len(half)} weights, equal to those of the checkpoint' in said
    model = init_detector(config(), str(out))
    assert model.CLASSES == class_names()
    for part in (model.student, model.teacher):
        assert all(torch.equal(value, half[name]) for name, value in part.state_dict().items())
    plain = Config.fromstring(config_in(str(out)).pretty_text, '.py')
    assert plain.model.type == 'FasterRCNN' and type(init_detector(plain, str(out))).__name__ == 'FasterRCNN'
    content = bytearray(out.read_bytes())
    content[-3] ^= 1
    (tmp_path / 'flipped.safetensors').write_bytes(content)
    (tmp_path / 'cut.safetensors').write_bytes(content[:-9])
    for name, reason in (('flipped', 'its SHA-256 is another'), ('cut', 'cannot load the checkpoint')):
        with pytest.raises(InputError, match=reason):
            init_detector(config(), str(tmp_path / f'{name}.safetensors'))


def test_label_maps_as_safetensors_predict_as_the_checkpoint(tmp_path, capsys):
    pytest.importorskip('safetensors')
    checkpoint, image = supervised() / 'iter_6.pth', shapes() / 'images/val/000001.jpg'
    out = tmp_path / 'model.safetensors'
    run(capsys, checkpoint, '--format', 'safetensors', '--out', out, '--model', 'student')
    for name, file in (('own', checkpoint), ('safe', out)):
        argv = [SUPERVISED, file, image, '--out', tmp_path / name, '--model', 'student', *map_options()]
        COMMANDS['predict'](list(map(str, argv)), 'ssod predict')
    own, safe = ((tmp_path / name / '000001_labels.png').read_bytes() for name in ('own', 'safe'))
    assert own == safe


def test_a_file_that_differs_is_not_left(checkpoint, tmp_path, monkeypatch):
    out = tmp_path / 'model.onnx'
    out.write_text('what was there')
    of_checkpoint = export.plain_model

    def changed(*args):
        model = of_checkpoint(*args)
        model.neck.fpn_convs[0].conv.weight.data *= 1.5
        return model

    cfg = config_in(str(checkpoint))
    monkeypatch.setattr(export, 'plain_model', changed)
    with pytest.raises(InputError, match=r'differs too much from PyTorch and was not written: \d+ of \d+ boxes'):
        export_model(cfg, str(checkpoint), Form('onnx'), out)
    assert out.read_text() == 'what was there' and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    'package, form', [('onnx', 'onnx'), ('onnxruntime', 'onnx'), ('safetensors.torch', 'safetensors')]
)
def test_a_package_is_missing(package, form, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    name = package.split('.')[0]
    with pytest.raises(InputError, match=rf'{name} is needed and cannot be imported .*pip install ssod\[export\]'):
        export_model(config_in(str(checkpoint)), str(checkpoint), Form(form), tmp_path / 'model')
    assert not list(tmp_path.iterdir())


def test_refusals(checkpoint, tmp_path):
    def refused(cfg, path, form='onnx', **options):
        with pytest.raises(InputError) as error:
            export_model(cfg, str(path), Form(form), tmp_path / 'model', **options)
        assert not (tmp_path / 'model').exists()
        return str(error.value)

    cfg = config()
    maps = supervised() / 'iter_6.pth'
    assert f'{maps} was trained for 5 classes, the config has 4' in refused(cfg, maps)
    assert 'no checkpoint nowhere.pth' in refused(cfg, 'nowhere.pth')
    assert 'no image matches nowhere' in refused(cfg, checkpoint, patterns=['nowhere'])
    (tmp_path / 'broken.jpg').write_bytes(b'text')
    assert 'broken.jpg is no image' in refused(cfg, checkpoint, patterns=[str(tmp_path / 'broken.jpg')])
    gone = config(**{'data.val.ann_file': 'gone.json'})
    assert 'give others, --images FOLDER' in refused(gone, checkpoint)
    baseline = trained_baseline() / 'iter_2.pth'
    assert 'has no teacher' in refused(config_in(str(baseline)), baseline, predict_on='teacher')
    assert 'has to end in .safetensors' in refused(cfg, checkpoint, 'safetensors')
    weights = torch.load(checkpoint)['state_dict']
    torch.save(dict(state_dict=weights), tmp_path / 'bare.pth')
    assert 'names the classes: set classes' in refused(config(classes=None), tmp_path / 'bare.pth')
    with pytest.raises(InputError, match='is traced for one size'):
        Form('torchscript', dynamic=True)
    with pytest.raises(InputError, match='--size, --dynamic and --tolerance would do nothing'):
        Form('safetensors', size=(96, 96))


def test_the_config_in_a_checkpoint_is_not_run(tmp_path):
    text = f"model = dict(type='FasterRCNN')\ndata = dict(test=dict())\nx = open({str(tmp_path / 'ran')!r}, 'w')"
    torch.save(dict(meta=dict(config=text), state_dict={}), tmp_path / 'model.pth')
    assert config_in(str(tmp_path / 'model.pth')).model.type == 'FasterRCNN' and not (tmp_path / 'ran').exists()
    torch.save(dict(meta=dict(config='x = 1'), state_dict={}), tmp_path / 'none.pth')
    with pytest.raises(InputError, match='none.pth holds no config with model and data: give the config too'):
        config_in(str(tmp_path / 'none.pth'))


def test_the_input_by_hand():
    scale = dict(type='MultiScaleFlipAug', img_scale=(200, 100), transforms=[dict(type='Resize', keep_ratio=True)])
    pipeline = [dict(type='LoadImageFromFile'), scale]
    pipeline[1]['transforms'] += [
        dict(type='Normalize', mean=[1, 2, 3], std=[2, 2, 2], to_rgb=True), dict(type='Pad', size_divisor=32)
    ]  # fmt: skip
    lying, standing = np.zeros((50, 80, 3), np.uint8), np.zeros((80, 50, 3), np.uint8)
    assert input_of(pipeline, lying, None) == Input(224, 128, (1.0, 2.0, 3.0), (2.0, 2.0, 2.0), True)
    assert input_of(pipeline, standing, None).width == 128
    lying[:] = (30, 20, 11)
    (whole, smaller) = prepared([lying, lying], input_of(pipeline, lying, None), pipeline, True)
    assert whole.shape == (1, 3, 128, 224) and smaller.shape == (1, 3, 96, 192)
    assert whole[0, :, 127, 203].tolist() == [5, 9, 13.5] and whole[0, :, 127, 206].tolist() == [0, 0, 0]
    stretched = Input(64, 32, (0.0,) * 3, (1.0,) * 3, False, keep_ratio=False).prepare(lying)
    assert stretched.shape == (1, 3, 32, 64) and (stretched == np.array([30, 20, 11])[:, None, None]).all()
