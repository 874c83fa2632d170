"""What a user can get wrong: each said in one sentence, before anything is trained."""

import json

import pytest
from runs import (
    BASELINE,
    ROOT,
    SOFT_TEACHER,
    call,
    class_names,
    coco,
    hook_of,
    refusal,
    shapes,
    small,
    taught,
    trained_baseline,
)

from ssod.apis import InputError
from ssod.apis.checks import check_paths


@pytest.fixture
def train(tmp_path):
    """Start a training that is refused; returns the sentence, and sees that nothing was trained."""

    def run(config, *options):
        sentence = refusal('tools/train.py', config, '--work-dir', tmp_path / 'run', *options)
        assert not list(tmp_path.glob('run/*.pth'))
        assert 'Iter [' not in ''.join(path.read_text() for path in tmp_path.glob('run/*.log'))
        return sentence

    return run


@pytest.fixture
def edited(tmp_path):
    """A copy of an annotation file, edited."""

    def edit(change, name='semi_supervised/instances_train.1@25.json'):
        data = json.loads((shapes() / 'annotations' / name).read_text())
        change(data)
        path = tmp_path / 'edited.json'
        path.write_text(json.dumps(data))
        return str(path)

    return edit


@pytest.mark.parametrize(
    'settings, sentence',
    [
        (dict(classes='circle'), "classes is the string 'circle': write a list, ['circle'], or a tuple with a comma"),
        (dict(classes='[circle,hexagon]'), "has no class ['hexagon']; its categories are ['circle', "),
        (dict(classes='[star,circle]'), "another order: set classes=['circle', 'star']"),
        (dict(fold=7), '7@25.json does not exist (make the split with tools/dataset/semi_coco.py'),
        (dict(data__train__labeled__img_prefix='nowhere/'), 'nowhere/ does not exist'),
        (dict(data__samples_per_gpu=1), 'data.samples_per_gpu=1 cannot hold a labeled and an unlabeled image'),
        (dict(data__sampler__ratio='(0.5,1)'), 'an exact ratio (by_prob=False) needs whole numbers, got [0.5, 1]'),
        (dict(data__sampler__rato='(1,1)'), "data.sampler has no setting 'rato': did you mean ratio?"),
        ({f'{hook_of("PseudoBoxImageHook")}.type': 'PseudoBoxHook'}, 'PseudoBoxHook is not in the hook registry'),
        (dict(model__semi_train_cfg__ema__momentum=2), 'ema.momentum must be in [0, 1], got 2'),
        (dict(model__semi_train_cfg__cls_filter__thr=3), 'ScoreFilter: thr is a score in [0, 1], got 3'),
        (dict(model__detector__roi_head__type='DoubleHeadRoIHead'), 'SoftTeacher'),
        (
            dict(model__semi_test_cfg__predict_on='studnt'),
            "predict_on must be one of 'student', 'teacher', got 'studnt'",
        ),
        (dict(sup_pipeline__2__type='Resise'), 'Resise is not in the pipeline registry'),
        (dict(optimizer__type='SDG'), 'SDG is not in the optimizer registry'),
        (dict(evaluation__metric='bbx'), "no metric 'bbx': CocoDataset has bbox, segm"),
        (dict(evaluation__eval_on='pupil'), "evaluation.eval_on must be 'student', 'teacher' or 'both', got 'pupil'"),
        (dict(load_from='nowhere.pth'), 'no checkpoint nowhere.pth'),
        (dict(data_root='${nothing}/'), 'refers to ${nothing}, which it does not define'),
        (dict(runner__max_iters__x=3), '--cfg-options do not fit'),
    ],
)
def test_settings(train, settings, sentence):
    assert sentence in train(SOFT_TEACHER, *taught(**settings))


def test_class_order_and_categories_of_the_file(train, edited):
    no_categories = edited(lambda data: data.pop('categories'))
    assert 'categories' in train(SOFT_TEACHER, *taught(data__train__labeled__ann_file=no_categories))


def test_number_of_classes_set_by_hand(train):
    options = small(classes=None, model__roi_head__bbox_head__num_classes=3)
    assert 'has no class' in train(BASELINE, *options)  # COCO's 80, which the file lacks
    names = f'[{",".join(class_names())}]'
    options += [f'data.train.classes={names}', f'data.val.classes={names}']
    assert f'num_classes=3, the data {len(class_names())} classes' in train(BASELINE, *options)


@pytest.mark.parametrize('kind', ['labeled', 'unlabeled'])
def test_no_image_left(train, edited, kind):
    empty = edited(lambda data: data.update(images=[], annotations=[]))
    assert f'no {kind} image left of {empty}' in train(
        SOFT_TEACHER, *taught(**{f'data__train__{kind}__ann_file': empty})
    )


def test_missing_image_file(train, edited):
    path = edited(lambda data: data['images'][0].update(file_name='lost.jpg'))
    assert 'lost.jpg named in' in train(SOFT_TEACHER, *taught(data__train__labeled__ann_file=path))


def test_pretrained_weights_without_network(train, monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))  # nothing downloaded earlier
    monkeypatch.delenv('SSOD_WEIGHTS', raising=False)
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')
    config = ROOT / 'configs/soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
    sentence = train(str(config), '--cfg-options', f'data_root={coco()}/')
    assert 'cannot load the pretrained weights of the backbone' in sentence and 'init_cfg=None' in sentence


def test_command_line(train, capsys):
    assert 'no config file nowhere.py' in train('nowhere.py')
    assert 'no checkpoint nowhere.pth' in train(BASELINE, '--resume-from', 'nowhere.pth', *small())
    with pytest.raises(SystemExit, match='2'):
        call('tools/train.py', BASELINE, '--cfg-options', 'fold')
    assert "--cfg-options takes KEY=VALUE, got 'fold'" in capsys.readouterr().err


def test_checkpoint_of_other_classes():
    checkpoint = trained_baseline() / 'iter_2.pth'
    options = ['--eval', 'bbox', *small(classes='[circle,star]')]
    sentence = f'trained for {len(class_names())} classes, the config has 2: use its own config'
    assert sentence in refusal('tools/test.py', BASELINE, checkpoint, *options)


def test_missing_pseudo_labels_name_the_tool_that_writes_them():
    with pytest.raises(InputError, match='1@10.json does not exist .write it with tools/pseudo_label.py'):
        check_paths('data.train.unlabeled', dict(type='PseudoLabelDataset', ann_file='pseudo/1@10.json'))
