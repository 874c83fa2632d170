"""Every tool with wrong input: one sentence that says what and where, status 1 or 2, and nothing written over."""

import json
import sys
from pathlib import Path

import pytest
import torch
from bad_input import encoded, good
from runs import BASELINE, SOFT_TEACHER, call, class_names, shapes, shell, small, taught, trained_baseline

TRAIN, TEST, LABEL, PUBLISH = (f'tools/{name}.py' for name in ('train', 'test', 'pseudo_label', 'publish_model'))
SPLIT, SHAPES, VOC = (f'tools/dataset/{name}.py' for name in ('semi_coco', 'make_shapes', 'voc_to_coco'))
DEMO, COMPARE = 'demo/image_demo.py', 'tools/compare.py'


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A folder of bad files; `checkpoint` is a good one."""
    folder = tmp_path_factory.mktemp('bad')
    source = trained_baseline() / 'iter_2.pth'
    content = source.read_bytes()
    (folder / 'checkpoint.pth').write_bytes(content)
    (folder / 'cut.pth').write_bytes(content[: len(content) // 2])
    weights = torch.load(source, weights_only=True)
    flipped = bytearray(content)
    flipped[content.index(weights['state_dict']['neck.fpn_convs.0.conv.weight'].numpy().tobytes()[:64])] ^= 1
    (folder / 'flipped.pth').write_bytes(flipped)
    (folder / 'empty.pth').write_bytes(b'')
    (folder / 'text.pth').write_text('hello')
    (folder / 'folder.pth').mkdir()
    torch.save([1, 2], folder / 'list.pth')
    torch.save(dict(meta={}, state_dict={}), folder / 'nothing.pth')
    state = weights['state_dict']
    neck = 'neck.lateral_convs.0.conv.weight'
    variants = dict(
        wider={**state, neck: torch.cat([state[neck]] * 2)},
        deeper={**{key: value for key, value in state.items() if 'rpn_head' not in key}, 'x.y': torch.ones(1)},
        other_task={'decode_head.conv_seg.weight': torch.ones(2, 2)},
    )
    for name, variant in variants.items():
        torch.save(dict(weights, state_dict=variant), folder / f'{name}.pth')
    torch.save(dict(weights, meta=dict(weights['meta'], CLASSES=('a', 'b'))), folder / 'classes.pth')
    torch.save(dict(state_dict=state, meta={}), folder / 'weights_alone.pth')
    order = dict(weights['meta'], CLASSES=tuple(reversed(class_names())))
    torch.save(dict(weights, meta=order), folder / 'order.pth')
    torch.save(dict(weights, run=Evil(f'touch {folder}/it_ran')), folder / 'evil.pth')
    (folder / 'file').write_text('not a folder')
    (folder / 'syntax.py').write_text('model = dict(')
    (folder / 'bytes.py').write_bytes(bytes(range(128, 256)))
    (folder / 'empty.py').write_text('')
    (folder / 'config.txt').write_text('model = 1')
    (folder / 'broken.jpg').write_bytes(b'text')
    (folder / 'broken.mp4').write_bytes(b'text')
    (folder / 'good.png').write_bytes(encoded())
    (folder / 'list.json').write_text('[]')
    (folder / 'text.json').write_text('hello')
    (folder / 'good.json').write_text(json.dumps(good()))
    (folder / 'twice.json').write_text(json.dumps({**good(), 'images': good()['images'] * 2}))
    (folder / 'no_images').mkdir()
    return folder


class Evil:
    """Unpickled, it runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        import os

        return os.system, (self.command,)


DOES_NOT_FIT = 'does not fit the FasterRCNN of the config: '
CHECKPOINTS = [
    ('nowhere.pth', 'no checkpoint {}'),
    ('folder.pth', 'no checkpoint {}'),
    ('empty.pth', 'cannot load the checkpoint {}: it is empty'),
    ('cut.pth', 'cannot load the checkpoint {}: it is damaged, its end is missing'),
    ('flipped.pth', 'cannot load the checkpoint {}: it is damaged (the checksum of '),
    ('text.pth', 'cannot load the checkpoint {}: it is none of torch, or damaged'),
    ('list.pth', 'cannot load the checkpoint {}: it holds a list, not weights by name'),
    ('evil.pth', 'cannot load the checkpoint {}: it would run posix.system, which is no weight, and was not run'),
    ('nothing.pth', '{} holds no weights'),
    (
        'wider.pth',
        '{} ' + DOES_NOT_FIT + '1 weights have another shape, the first: neck.lateral_convs.0.conv.weight is',
    ),
    ('deeper.pth', '{} ' + DOES_NOT_FIT + 'it lacks '),
    ('other_task.pth', '{} ' + DOES_NOT_FIT + 'it lacks '),
    ('classes.pth', '{} was trained for 2 classes, the config has 4'),
]
RESUME = [
    ('weights_alone.pth', '{} does not say its iteration'),
    ('order.pth', "{} was trained for the classes ['cross'"),
]
# load_from takes the weights of another number of classes, and its heads begin anew.
LOAD = [case for case in CHECKPOINTS if case[0] != 'classes.pth']
LABELING = [case for case in CHECKPOINTS if case[0] != 'classes.pth']


def run(script, *argv, files):
    """The status and what is printed last."""
    printed = []
    with pytest.raises(SystemExit) as stop, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stderr, 'write', printed.append, raising=False)
        call(script, *(str(word).replace('@/', f'{files}/') for word in argv))
    if isinstance(stop.value.code, str):
        return 1, stop.value.code
    return stop.value.code, ''.join(printed)


@pytest.fixture
def refused(files, tmp_path):
    """``refused(script, *argv)``: the sentence; nothing that was there has changed, and nothing has run."""

    def start(script, *argv):
        before = {path: path.read_bytes() for path in [*files.iterdir(), *annotations()] if path.is_file()}
        argv = [str(word).replace('%', str(tmp_path)) for word in argv]
        status, said = run(script, *argv, files=files)
        assert {path: path.read_bytes() for path in before} == before and not (files / 'it_ran').exists()
        assert status in (1, 2) and 'Traceback' not in said
        last = said.strip().splitlines()[-1]
        assert ': ' in last and len(last) < 600
        if status == 1:
            assert last.startswith('error: ') and said.count('\n') == 0
        assert not list(tmp_path.rglob('iter_*.pth')) and not list(tmp_path.rglob('.tmp-*'))
        return last

    return start


def annotations():
    return (shapes() / 'annotations').rglob('*.json')


@pytest.mark.parametrize('name, sentence', [*CHECKPOINTS], ids=[name for name, _ in CHECKPOINTS])
def test_checkpoints_for_a_test(refused, files, name, sentence):
    said = refused(TEST, BASELINE, files / name, '--eval', 'bbox', '--work-dir', '%/test', *small())
    assert sentence.format(files / name) in said


@pytest.mark.parametrize('name, sentence', LOAD, ids=[name for name, _ in LOAD])
def test_checkpoints_to_start_from(refused, files, name, sentence):
    said = refused(TRAIN, BASELINE, '--work-dir', '%/run', *small(load_from=files / name))
    assert sentence.format(files / name) in said


@pytest.mark.parametrize('name, sentence', CHECKPOINTS + RESUME, ids=[name for name, _ in CHECKPOINTS + RESUME])
def test_checkpoints_to_continue_from(refused, files, name, sentence):
    said = refused(TRAIN, BASELINE, '--work-dir', '%/run', '--resume-from', files / name, *small())
    assert sentence.format(files / name) in said


@pytest.mark.parametrize('name, sentence', CHECKPOINTS, ids=[name for name, _ in CHECKPOINTS])
def test_checkpoints_for_a_prediction(refused, files, name, sentence):
    said = refused(DEMO, files / 'good.png', BASELINE, files / name, '--out', '%/out', *small())
    assert sentence.format(files / name) in said


@pytest.mark.parametrize('name, sentence', LABELING, ids=[name for name, _ in LABELING])
def test_checkpoints_for_labeling(refused, files, name, sentence):
    said = refused(LABEL, BASELINE, files / name, '--out', '%/out.json', *small())
    assert sentence.format(files / name) in said


@pytest.mark.parametrize('name, sentence', CHECKPOINTS[:8], ids=[name for name, _ in CHECKPOINTS[:8]])
def test_checkpoints_to_publish(refused, files, name, sentence):
    assert sentence.format(files / name) in refused(PUBLISH, files / name, '--out', '%/out')


# Of a command line @/ is the folder of bad files, % an empty one, & the generated data; a dictionary stands for its
# settings in `small`.
LINES = {
    'train: no such config': ([TRAIN, 'nowhere.py'], 'no config file nowhere.py'),
    'train: a folder': ([TRAIN, '@/no_images'], 'no config file @/no_images'),
    'train: no Python': ([TRAIN, '@/syntax.py'], 'cannot read the config @/syntax.py: '),
    'train: bytes': ([TRAIN, '@/bytes.py'], 'cannot read the config @/bytes.py: '),
    'train: another ending': ([TRAIN, '@/config.txt'], 'cannot read the config @/config.txt: '),
    'train: an empty config': ([TRAIN, '@/empty.py', '--work-dir', '%/run'], 'the config has no '),
    'train: no config': ([TRAIN], 'the following arguments are required: config'),
    'train: unknown option': ([TRAIN, BASELINE, '--sed', '1'], 'unrecognized arguments: --sed 1'),
    'train: negative seed': ([TRAIN, BASELINE, '--seed', '-1'], '--seed is a whole number from 0 to 4294967295, got -'),
    'train: large seed': ([TRAIN, BASELINE, '--seed', 2**32], '--seed is a whole number from 0 to 4294967295, got 429'),
    'train: seed of letters': ([TRAIN, BASELINE, '--seed', 'x'], "argument --seed: invalid int value: 'x'"),
    'train: seed with a point': ([TRAIN, BASELINE, '--seed', '1.5'], "argument --seed: invalid int value: '1.5'"),
    'train: option without =': ([TRAIN, BASELINE, '--cfg-options', 'fold'], "--cfg-options takes KEY=VALUE, got 'fold"),
    'train: misspelt option': ([TRAIN, BASELINE, '--cfg-options', 'optimzer.lr=1'], 'did you mean optimizer?'),
    'train: work dir is a file': (
        [TRAIN, BASELINE, '--work-dir', '@/file', dict()],
        'cannot make the work dir @/file: File exists: give another --work-dir',
    ),
    'train: work dir in a file': ([TRAIN, BASELINE, '--work-dir', '@/file/x', dict()], 'cannot make the work dir @/fi'),
    'train: work dir that cannot be': ([TRAIN, BASELINE, '--work-dir', '/proc/x', dict()], 'cannot make the work dir '),
    'train: launcher without torchrun': ([TRAIN, BASELINE, '--launcher', 'pytorch', dict()], 'use tools/dist_train.sh'),
    'train: unknown launcher': ([TRAIN, BASELINE, '--launcher', 'mpi'], "argument --launcher: invalid choice: 'mpi'"),
    'train: batch of none': (
        [TRAIN, BASELINE, '--work-dir', '%/run', dict(data__samples_per_gpu=0)],
        'data.samples_per_gpu is a whole number, 1 or more, got 0',
    ),
    'train: no number': (
        [TRAIN, BASELINE, '--work-dir', '%/run', dict(optimizer__lr='nan')], 'optimizer.lr is '
    ),
    'train: annotations as a pickle': (
        [TRAIN, BASELINE, '--work-dir', '%/run', dict(data__train__ann_file='@/checkpoint.pth')],
        '@/checkpoint.pth is not JSON',
    ),
    'train: annotations are a list': (
        [TRAIN, BASELINE, '--work-dir', '%/run', dict(data__train__ann_file='@/list.json')],
        '@/list.json holds a list, not a COCO dictionary',
    ),
    'train: annotations are a text': (
        [TRAIN, BASELINE, '--work-dir', '%/run', dict(data__train__ann_file='@/text.json')], '@/text.json is not JSON'
    ),
    'train: validation file is a text': (
        [TRAIN, BASELINE, '--work-dir', '%/run', dict(data__val__ann_file='@/text.json')], '@/text.json is not JSON'
    ),
    'test: nothing to do': ([TEST, BASELINE, '@/checkpoint.pth'], 'nothing to do: give --eval bbox, or --out FILE.pkl'),
    'test: no checkpoint': ([TEST, BASELINE], 'the following arguments are required: checkpoint'),
    'test: out of another kind': (
        [TEST, BASELINE, '@/checkpoint.pth', '--out', '%/x.txt'], '--out is a file FILE.pkl, got %/x.txt'
    ),
    'test: out is a folder': (
        [TEST, BASELINE, '@/checkpoint.pth', '--out', '%/d.pkl', dict()], '--out %/d.pkl would overwrite a folder'
    ),
    'test: out is the annotation file': (
        [TEST, BASELINE, '@/checkpoint.pth', '--out', '&/annotations/instances_val.json', dict()],
        'instances_val.json, which is read: give another file',
    ),
    'test: unknown metric': (
        [TEST, BASELINE, '@/checkpoint.pth', '--eval', 'box', '--work-dir', '%', dict()], "no metric 'box'"
    ),
    'test: unknown model': (
        [TEST, BASELINE, '@/checkpoint.pth', '--eval', 'bbox', '--eval-on', 'pupil'], "invalid choice: 'pupil'"
    ),
    'test: annotations are a text': (
        [TEST, BASELINE, '@/checkpoint.pth', '--eval', 'bbox', '--work-dir', '%']
        + [dict(data__test__ann_file='@/text.json')],
        '@/text.json is not JSON',
    ),
    'test: images of others': (
        [TEST, BASELINE, '@/checkpoint.pth', '--eval', 'bbox', '--work-dir', '%', dict(data__test__img_prefix='@/')],
        'does not exist: check img_prefix',
    ),
    'predict: no image': (
        [DEMO, '@/nowhere.jpg', BASELINE, '@/checkpoint.pth', '--out', '%'], 'no image or video matches @/nowhere.j'
    ),
    'predict: an empty folder': (
        [DEMO, '@/no_images', BASELINE, '@/checkpoint.pth', '--out', '%'], 'no image or video matches @/no_images'
    ),
    'predict: a text': ([DEMO, '@/good.json', BASELINE, '@/checkpoint.pth', '--out', '%'], 'no image or video matches'),
    'predict: a broken image alone': (
        [DEMO, '@/broken.jpg', BASELINE, '@/checkpoint.pth', '--out', '%', dict()],
        'none of the 1 images can be read: @/broken.jpg is the first',
    ),
    'predict: over the image': (
        [DEMO, '@/good.png', BASELINE, '@/checkpoint.pth', '--out', '@/', dict()], 'the picture would overwrite @/good'
    ),
    'predict: without out': ([DEMO, '@/good.png', BASELINE, '@/checkpoint.pth'], 'arguments are required: --out'),
    'predict: threshold NaN': (
        [DEMO, '@/good.png', BASELINE, '@/checkpoint.pth', '--out', '%', '--score-thr', 'nan'], 'in [0, 1], got nan'
    ),
    'predict: threshold below 0': (
        [DEMO, '@/good.png', BASELINE, '@/checkpoint.pth', '--out', '%', '--score-thr', '-0.1'], 'in [0, 1], got -0.1'
    ),
    'predict: threshold above 1': (
        [DEMO, '@/good.png', BASELINE, '@/checkpoint.pth', '--out', '%', '--score-thr', '30'], 'in [0, 1], got 30.0'
    ),
    'predict: batch of none': (
        [DEMO, '@/good.png', BASELINE, '@/checkpoint.pth', '--out', '%', '--batch-size', '0'], 'is 1 or more, got 0'
    ),
    'predict: tiles of nothing': (
        [DEMO, '@/good.png', BASELINE, '@/nowhere.pth', '--out', '%', '--tile', '0'], 'a tile is 1 pixel or more, got 0'
    ),
    'predict: tiles that are one': (
        [DEMO, '@/good.png', BASELINE, '@/nowhere.pth', '--out', '%', '--tile', '64', '--overlap', '1'], ', got 1.0'
    ),
    'predict: overlap without tiles': (
        [DEMO, '@/good.png', BASELINE, '@/nowhere.pth', '--out', '%', '--overlap', '0.2'], 'give --tile SIZE too'
    ),
    'predict: every frame of no video': (
        [DEMO, '@/good.png', BASELINE, '@/nowhere.pth', '--out', '%', '--every', '2'], '--every is for videos, and none'
    ),
    'predict: every 0th frame': (
        [DEMO, '@/good.png', BASELINE, '@/nowhere.pth', '--out', '%', '--every', '0'], 'a number of frames, got 0'
    ),
    'predict: a broken video': (
        [DEMO, '@/broken.mp4', BASELINE, '@/nowhere.pth', '--out', '%'], '@/broken.mp4 is no video that OpenCV can read'
    ),
    'label: threshold NaN': (
        [LABEL, BASELINE, '@/checkpoint.pth', '--out', '%/x.json', '--score-thr', 'nan'], 'in [0, 1], got nan'
    ),
    'label: out is the checkpoint': (
        [LABEL, BASELINE, '@/checkpoint.pth', '--out', '@/checkpoint.pth', dict()],
        '--out @/checkpoint.pth would overwrite @/checkpoint.pth, which is read: give another file',
    ),
    'label: out is the training file': (
        [LABEL, BASELINE, '@/checkpoint.pth', '--out', '&/annotations/semi_supervised/instances_train.1@25.json']
        + [dict()],
        'instances_train.1@25.json, which is read: give another file',
    ),
    'label: out in a file': (
        [LABEL, BASELINE, '@/checkpoint.pth', '--out', '@/file/x.json', dict()], 'cannot make the folder of --out @/'
    ),
    'label: teacher of a baseline': (
        [LABEL, BASELINE, '@/checkpoint.pth', '--out', '%/x.json', '--eval-on', 'teacher', dict()], 'has no teacher'
    ),
    'publish: no such half': (
        [PUBLISH, '@/checkpoint.pth', '--out', '%/x', '--model', 'teacher'], '@/checkpoint.pth holds no teacher: it has'
    ),
    'publish: without out': ([PUBLISH, '@/checkpoint.pth'], 'the following arguments are required: --out'),
    'compare: no runs at a time': ([COMPARE, SOFT_TEACHER, '--jobs', '0'], '--jobs is a number of runs, got 0'),
    'compare: negative seed': ([COMPARE, SOFT_TEACHER, '--seeds', '-1'], '--seeds are whole numbers from 0 to 4294967'),
    'compare: a seed twice': ([COMPARE, SOFT_TEACHER, '--seeds', '1', '1'], '--seeds holds a seed twice: [1, 1]'),
    'compare: no such config': ([COMPARE, 'nowhere.py'], 'no config file nowhere.py'),
    'split: no such file': ([SPLIT, '@/no.json', '--percent', '10', '--fold', '1'], '@/no.json does not exist'),
    'split: a text': ([SPLIT, '@/text.json', '--percent', '10', '--fold', '1'], '@/text.json is not JSON'),
    'split: a list': ([SPLIT, '@/list.json', '--percent', '10', '--fold', '1'], '@/list.json holds a list'),
    'split: ids twice': ([SPLIT, '@/twice.json', '--percent', '10', '--fold', '1'], '@/twice.json has 2 images with t'),
    'split: 0 percent': ([SPLIT, '@/good.json', '--percent', '0', '--fold', '1'], 'percent is 0.0: it must be above 0'),
    'split: 100 percent': ([SPLIT, '@/good.json', '--percent', '100', '--fold', '1'], 'percent is 100.0: it must be a'),
    'split: NaN percent': ([SPLIT, '@/good.json', '--percent', 'nan', '--fold', '1'], 'percent is nan: it must be abo'),
    'split: negative fold': ([SPLIT, '@/good.json', '--percent', '50', '--fold', '-1'], 'fold is -1: it must be 0 or '),
    'split: percent alone': ([SPLIT, '@/good.json', '--percent', '50'], '--percent and --fold go together'),
    'shapes: no images': ([SHAPES, '%/shapes', '--num-train', '0'], '0 images of 160 px, seed 0: need at least 1'),
    'shapes: negative size': ([SHAPES, '%/shapes', '--size', '-5'], '-5 px, seed 0: need at least 1, 32 px'),
    'shapes: out is a file': ([SHAPES, '@/file', '--num-train', '1', '--num-val', '1'], '@/file'),
    'voc: no such folder': ([VOC, '@/nowhere', '--out', '%/voc'], '@/nowhere'),
}  # fmt: skip


@pytest.mark.parametrize('name', LINES)
def test_command_lines(refused, files, tmp_path, name):
    argv, sentence = LINES[name]
    (tmp_path / 'd.pkl').mkdir()
    sentence = sentence.replace('@/', f'{files}/').replace('%', str(tmp_path))
    words = [part for word in argv for part in (small(**word) if isinstance(word, dict) else [word])]
    assert sentence in refused(*(str(word).replace('&', str(shapes())) for word in words))


NEW = {
    'no such folder': (['x', '--labeled', '@/nowhere'], '@/nowhere'),
    'no images': (['x', '--labeled', '@/no_images'], '@/no_images'),
    'percent NaN': (['x', '--labeled', '@/no_images', '--labeled-percent', 'nan'], 'nan percent'),
    'percent 100': (['x', '--labeled', '@/no_images', '--labeled-percent', '100'], '100.0 percent'),
    'negative seed': (['x', '--labeled', '@/no_images', '--seed', '-1'], '--seed is a whole number from 0 to 42949672'),
    'a text as labels': (['x', '--labeled', '@/text.json'], '@/text.json'),
}  # fmt: skip


@pytest.mark.parametrize('name', NEW)
def test_ssod_new(files, tmp_path, name, monkeypatch):
    from ssod.cli import main

    argv, sentence = NEW[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['ssod', 'new', *(word.replace('@/', f'{files}/') for word in argv)])
    printed = []
    monkeypatch.setattr(sys.stderr, 'write', printed.append, raising=False)
    with pytest.raises(SystemExit) as stop:
        main()
    said = stop.value.code if isinstance(stop.value.code, str) else ''.join(printed)
    assert sentence.replace('@/', f'{files}/') in said and 'Traceback' not in said
    assert not (tmp_path / 'data').exists()


EXPORT = {
    'no format': (['@/checkpoint.pth'], 'the following arguments are required: --format'),
    'unknown format': (['@/checkpoint.pth', '--format', 'tflite'], "argument --format: invalid choice: 'tflite'"),
    'no checkpoint': (['@/nowhere.pth', '--format', 'onnx'], 'no checkpoint @/nowhere.pth'),
    'no config in it': (['@/weights_alone.pth', '--format', 'onnx'], '@/weights_alone.pth holds no config with model'),
    'cut': (['@/cut.pth', '--format', 'onnx'], 'it is damaged, its end is missing'),
    'size 0': (['@/checkpoint.pth', '--format', 'onnx', '--size', '0', '9'], '--size is 32 or more, got 0'),
    'tolerance NaN': (['@/checkpoint.pth', '--format', 'onnx', '--tolerance', 'nan'], '--tolerance is 0 or more'),
    'scripts of any size': (['@/checkpoint.pth', '--format', 'torchscript', '--dynamic'], 'is traced for one size'),
    'size of weights': (['@/checkpoint.pth', '--format', 'safetensors', '--size', '64', '64'], 'would do nothing'),
    'over the checkpoint': (
        ['@/checkpoint.pth', '--format', 'safetensors', '--out', '@/checkpoint.pth'], 'would overwrite @/checkpoint.pth'
    ),
    'teacher of a baseline': (
        ['@/checkpoint.pth', '--format', 'onnx', '--model', 'teacher', '--out', '@/x'], 'has no teacher'
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', EXPORT)
def test_ssod_export(files, name, monkeypatch, capsys):
    from ssod.cli import main

    argv, sentence = EXPORT[name]
    before = {path: path.read_bytes() for path in files.iterdir() if path.is_file()}
    monkeypatch.setattr(sys, 'argv', ['ssod', 'export', *(word.replace('@/', f'{files}/') for word in argv)])
    with pytest.raises(SystemExit) as stop:
        main()
    said = stop.value.code if isinstance(stop.value.code, str) else capsys.readouterr().err
    assert sentence.replace('@/', f'{files}/') in said and 'Traceback' not in said
    assert {path: path.read_bytes() for path in files.iterdir() if path.is_file()} == before


@pytest.mark.parametrize('argv', [['nonsense'], ['train'], ['predict', '--help'], ['train', 'nowhere.py']])
def test_the_command_itself(argv):
    done = shell(sys.executable, '-m', 'ssod.cli', *argv)
    assert done.returncode == (0 if '--help' in argv else 2 if argv == ['train'] else 1)
    assert 'Traceback' not in done.stdout


def test_load_from_of_other_classes_begins_its_heads_anew(files, tmp_path):
    weights = torch.load(files / 'checkpoint.pth', weights_only=True)
    state = weights['state_dict']
    for name in ('roi_head.bbox_head.fc_cls', 'roi_head.bbox_head.fc_reg'):
        for kind in ('weight', 'bias'):
            state[f'{name}.{kind}'] = torch.cat([state[f'{name}.{kind}']] * 2)
    torch.save(dict(weights, meta=dict(weights['meta'], CLASSES=tuple('abcdefgh'))), tmp_path / 'eight.pth')
    options = small(load_from=tmp_path / 'eight.pth', runner__max_iters=1, optimizer__lr=0, optimizer__weight_decay=0)
    call(TRAIN, BASELINE, '--work-dir', tmp_path / 'run', '--no-validate', *options, 'checkpoint_config.interval=1')
    trained = torch.load(tmp_path / 'run/iter_1.pth', weights_only=True)['state_dict']
    same = {
        name for name in trained if trained[name].shape == state[name].shape and torch.equal(trained[name], state[name])
    }
    parameters = {name for name in trained if name.endswith(('weight', 'bias')) and 'bn' not in name}
    assert {name for name in parameters - same if 'downsample' not in name} == {
        f'roi_head.bbox_head.fc_{kind}.{part}' for kind in ('cls', 'reg') for part in ('weight', 'bias')
    }
    assert (
        'is of other classes: 4 weights begin anew, roi_head.bbox_head.fc_cls.weight first'
        in next((tmp_path / 'run').glob('*.log')).read_text()
    )


def test_a_broken_image_in_a_training_is_named_and_the_run_goes_on(tmp_path):
    data = tmp_path / 'data'
    shell('cp', '-r', shapes(), data)
    name = json.loads((data / 'annotations/semi_supervised/instances_train.1@25-unlabeled.json').read_text())['images'][
        5
    ]
    path = data / 'images/train' / name['file_name']
    path.write_bytes(path.read_bytes()[:-400])
    options = taught(data_root=f'{data}/', runner__max_iters=10, checkpoint_config__interval=10)
    call(TRAIN, SOFT_TEACHER, '--work-dir', tmp_path / 'run', '--seed', 0, '--no-validate', *options)
    text = next((tmp_path / 'run').glob('*.log')).read_text()
    assert text.count(f'broken image 1: {path} is cut off; another one takes its place') == 1
    assert (tmp_path / 'run/iter_10.pth').is_file() and Path(path).is_file()
