"""Runs of the commands on label maps: what they leave, resume, evaluation, plain segmentors, bad input."""

import json
import pickle
import re

import numpy as np
import pytest
from mmcv import imread
from runs import assert_same, call, refusal, shapes, shell, weights
from segmentation_runs import SIMPLE_BASELINE, SUPERVISED, options, supervised

from ssod.hooks import Best


def test_a_run_leaves_logs_checkpoints_and_the_best_by_miou():
    lines = [json.loads(line) for line in next(supervised().glob('*.log.json')).read_text().splitlines()]
    train = [line for line in lines if line.get('mode') == 'train']
    assert [line['iter'] for line in train] == [2, 4, 6] and train[-1]['decode.loss_ce'] > 0
    assert {'student_mIoU', 'teacher_mIoU', 'student_IoU.star', 'teacher_aAcc'} <= set(lines[-1])
    best = Best.read(supervised())
    assert best.metric == 'mIoU' and (supervised() / best.checkpoint).is_file()


def test_any_number_of_workers_and_a_resume_give_the_same_weights(tmp_path):
    more = options(data__workers_per_gpu=2)
    call('tools/train.py', SUPERVISED, '--work-dir', tmp_path, '--seed', 0, '--no-validate', *more)
    assert_same(weights(supervised(), 6), weights(tmp_path, 6))
    (tmp_path / 'iter_6.pth').unlink()
    resume = ['--resume-from', tmp_path / 'iter_3.pth']
    call('tools/train.py', SUPERVISED, '--work-dir', tmp_path, '--seed', 0, '--no-validate', *resume, *options())
    assert_same(weights(supervised(), 6), weights(tmp_path, 6))


def naive_miou(maps):
    """mIoU over the validation images, by loops over images and classes; None for a class without a pixel."""
    files = sorted((shapes() / 'semantic/val').glob('*.png'))
    truth = np.stack([imread(str(path), flag='unchanged') for path in files])
    found = np.stack(maps)
    ious = []
    for label in range(5):
        union = ((truth == label) | (found == label)).sum()
        if union:
            ious.append(((truth == label) & (found == label)).sum() / union)
    return float(np.mean(ious))


def test_evaluation_of_student_and_teacher_is_miou_over_all_pixels(tmp_path):
    checkpoint = supervised() / 'iter_6.pth'
    out = tmp_path / 'maps.pkl'
    arguments = ['--eval', 'mIoU', '--eval-on', 'both', '--work-dir', tmp_path]
    call('tools/test.py', SUPERVISED, checkpoint, *arguments, '--out', out, *options())
    values = json.loads((tmp_path / 'eval.json').read_text())
    maps = pickle.loads(out.read_bytes())
    for name in ('student', 'teacher'):
        assert values[f'{name}_mIoU'] == pytest.approx(naive_miou(maps[name]), abs=1e-4)
        assert {one.shape for one in maps[name]} == {(96, 96)}
    call('tools/test.py', SUPERVISED, checkpoint, *arguments, *options())  # without keeping the maps
    again = json.loads((tmp_path / 'eval.json').read_text())
    assert again == pytest.approx(values, abs=1e-4, nan_ok=True)


def test_sliding_windows(tmp_path):
    arguments = ['--eval', 'mIoU', '--work-dir', tmp_path]
    slide = {'model.segmentor.test_cfg.mode': 'slide', 'model.segmentor.test_cfg.crop_size': '(64,64)'}
    slide |= {'model.segmentor.test_cfg.stride': '(43,43)'}
    call('tools/test.py', SUPERVISED, supervised() / 'iter_6.pth', *arguments, *options(**slide))
    assert 0 < json.loads((tmp_path / 'eval.json').read_text())['student_mIoU'] < 1


def test_a_plain_segmentor_trains_too(tmp_path):
    base = SUPERVISED.replace('supervised/deeplabv3plus_r18_shapes.py', '')
    parts = ['models/deeplabv3plus_r18_narrow_scratch', 'datasets/shapes_sup', 'schedules/adamw_shapes', 'runtime']
    bases = [f'{base}../_base_/segmentation/{part}.py' for part in parts]
    (tmp_path / 'plain.py').write_text(f'_base_ = {bases}\n')
    more = options(fp16__dtype='bfloat16')
    call('tools/train.py', tmp_path / 'plain.py', '--work-dir', tmp_path / 'run', '--seed', 0, *more)
    assert Best.read(tmp_path / 'run').model is None
    call('tools/train.py', SUPERVISED, '--work-dir', tmp_path / 'half', '--no-validate', *more)


@pytest.mark.parametrize(
    'settings, sentence',
    [
        (dict(data__train__ann_dir='nowhere'), 'data.train.ann_dir: .*nowhere does not exist'),
        (dict(data__train__split='nowhere.txt'), 'data.train.split: .*nowhere.txt does not exist'),
        (dict(classes="['background','circle']"), r'holds \[.*the 2 classes are 0 to 1'),
        (dict(evaluation__metric='bbox'), "no metric 'bbox'"),
        (dict(every=1), 'every_nth.* is a whole number, 2 or more, got 1'),
        (dict(data__test_samples_per_gpu=2), 'tests image by image, set 1'),
    ],
)
def test_bad_input_is_one_sentence_before_training(settings, sentence, tmp_path):
    said = refusal('tools/train.py', SUPERVISED, '--work-dir', tmp_path, *options(**settings))
    assert re.search(sentence, said), said


@pytest.mark.long
def test_two_ranks_of_simple_baseline_stay_identical(tmp_path):
    """One rank has the labeled images alone, the other the pseudo-labeled ones: halves of DSBN without images."""
    settings = dict(at_least_one=False, by_prob=False, ratio='(2,2)')
    more = options(
        data__samples_per_gpu=2,
        data__train__unlabeled__ann_dir=shapes() / 'semantic/train',
        runner__max_iters=4,
        evaluation__interval=100,
        **{f'data__sampler__{key}': value for key, value in settings.items()},
    )[1:]
    launch = ['python', 'tools/launch.py', '--nproc_per_node=2', '--rdzv_backend=c10d']
    launch += ['--rdzv_endpoint=127.0.0.1:0', '--local_addr=127.0.0.1']
    run = shell(*launch, 'tests/tools/ranks.py', SIMPLE_BASELINE, tmp_path, *more)
    assert run.returncode == 0, run.stdout[-3000:]
    assert 'identical on 2 ranks' in run.stdout


def test_simple_baseline_trains_on_the_authors_union_and_labels_its_unlabeled_part(tmp_path):
    text = f"""_base_ = {SIMPLE_BASELINE!r}
common = dict(data_root='${{data_root}}', img_dir='images/train', classes='${{classes}}')
true = dict(type='LabelMapDataset', ann_dir='semantic/train', every_nth=('${{every}}', 'labeled'), **common)
pseudo = dict(type='PseudoMapDataset', ann_dir='${{pseudo_maps}}', every_nth=('${{every}}', 'unlabeled'), **common)
weak, strong = {{{{_base_.sup_pipeline}}}}, {{{{_base_.pseudo_pipeline}}}}
data = dict(train=dict(
    _delete_=True, type='SemiDataset',
    labeled=dict(type='UnionDataset', datasets=[dict(true, pipeline=weak), dict(pseudo, pipeline=weak)]),
    unlabeled=dict(type='UnionDataset', datasets=[dict(true, pipeline=strong), dict(pseudo, pipeline=strong)]),
))
"""
    (tmp_path / 'union.py').write_text(text)
    more = options(pseudo_maps=shapes() / 'semantic/train', runner__max_iters=4, checkpoint_config__interval=4)
    run = tmp_path / 'run'
    call('tools/train.py', tmp_path / 'union.py', '--work-dir', run, '--seed', 0, '--no-validate', *more)
    lines = [json.loads(line) for line in next(run.glob('*.log.json')).read_text().splitlines()]
    assert 0 < lines[-1]['num_pseudo'] < 4 and lines[-1]['sup_loss_ce'] > 0 and lines[-1]['unsup_loss_seg'] > 0
    arguments = ['--out', tmp_path / 'maps', '--scales', 1, '--no-flip']
    call('tools/pseudo_label.py', tmp_path / 'union.py', run / 'iter_4.pth', *arguments, *more)
    assert len(list((tmp_path / 'maps').glob('*.png'))) == 18
