import json

import mmcv
import pytest
import torch
from runs import BASELINE, SOFT_TEACHER, call, refusal, shapes, shell, small, taught, trained_baseline


def test_one_process_and_two_give_the_same_metrics_and_so_do_both_backends(checkpoint, tmp_path, capsys):
    arguments = ['--eval', 'bbox', '--eval-on', 'both']
    out = tmp_path / 'out.pkl'
    call('tools/test.py', SOFT_TEACHER, checkpoint, *arguments, '--work-dir', tmp_path, '--out', out, *taught())
    one = json.loads((tmp_path / 'eval.json').read_text())
    printed = capsys.readouterr().out
    assert 'task/s' not in printed and "'student_bbox_mAP'" in printed and 'bbox_AP.' not in printed
    assert one.keys() >= {'student_bbox_mAP', 'teacher_bbox_mAP', 'teacher_bbox_AP.star'}
    assert one['student_bbox_mAP_50'] >= 0
    detections = mmcv.load(out)
    assert [len(detections[name]) for name in ('student', 'teacher')] == [8, 8]

    two = ['bash', 'tools/dist_test.sh', SOFT_TEACHER, checkpoint, 2, *arguments, '--work-dir', tmp_path / 'two']
    run = shell(*two, *taught(evaluation__backend='pycocotools'))
    assert run.returncode == 0, run.stdout
    assert json.loads((tmp_path / 'two/eval.json').read_text()) == one


def test_a_file_of_another_order_gives_the_same_metrics(checkpoint, tmp_path):
    data = json.loads((shapes() / 'annotations/instances_val.json').read_text())
    data['categories'].reverse()
    (tmp_path / 'reordered.json').write_text(json.dumps(data))
    metrics = []
    for name, path in (('a', shapes() / 'annotations/instances_val.json'), ('b', tmp_path / 'reordered.json')):
        options = ['--work-dir', tmp_path / name, *taught(data__test__ann_file=path, evaluation__classwise=True)]
        call('tools/test.py', SOFT_TEACHER, checkpoint, '--eval', 'bbox', *options)
        metrics.append(json.loads((tmp_path / name / 'eval.json').read_text()))
    assert metrics[0] == metrics[1] and metrics[0]['student_bbox_mAP_50'] > 0

    data['categories'][0]['name'] = 'moon'
    (tmp_path / 'reordered.json').write_text(json.dumps(data))
    assert "has no class ['cross']" in refusal('tools/test.py', SOFT_TEACHER, checkpoint, '--eval', 'bbox', *options)


def test_an_unrelated_checkpoint_is_refused(tmp_path):
    torch.save(dict(state_dict={'fc.weight': torch.zeros(2)}), tmp_path / 'other.pth')
    said = refusal('tools/test.py', BASELINE, tmp_path / 'other.pth', '--eval', 'bbox', *small())
    assert f'{tmp_path}/other.pth does not fit the FasterRCNN of the config: it lacks ' in said
    assert 'the first backbone.conv1.weight; it holds fc' in said


def test_baseline_and_its_refusals(tmp_path):
    checkpoint = trained_baseline() / 'iter_2.pth'
    call('tools/test.py', BASELINE, checkpoint, '--eval', 'bbox', '--work-dir', tmp_path, *small())
    assert 'bbox_mAP' in json.loads((tmp_path / 'eval.json').read_text())
    assert 'no checkpoint no.pth' in refusal('tools/test.py', BASELINE, 'no.pth', '--eval', 'bbox', *small())
    assert "no metric 'box'" in refusal('tools/test.py', BASELINE, checkpoint, '--eval', 'box', *small())
    with pytest.raises(SystemExit, match='2'):
        call('tools/test.py', BASELINE, checkpoint)
