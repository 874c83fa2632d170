"""A step whose losses were not finite, made again bit for bit."""

import pytest
import torch
from runs import SOFT_TEACHER, call, refusal, taught

from ssod.core.checkpoint_file import load_file

SCRIPT = 'tools/replay.py'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """The work dir of a run whose teacher comes to predict what is no number, and its options.

    From the third iteration on there are unlabeled images; the weights of the checkpoint that it goes on from are so
    large that their losses overflow.
    """
    folder = tmp_path_factory.mktemp('nonfinite')
    options = taught(runner__max_iters=4, checkpoint_config__interval=2)
    call('tools/train.py', SOFT_TEACHER, '--work-dir', folder / 'start', '--seed', 0, '--no-validate', *options)
    content = torch.load(folder / 'start/iter_2.pth', weights_only=True)
    content['state_dict']['student.roi_head.bbox_head.fc_reg.weight'].fill_(1e38)
    torch.save(content, folder / 'iter_2.pth')
    options = taught(runner__max_iters=4, checkpoint_config__interval=4, optimizer_config__max_skips=1)
    command = ['--work-dir', folder / 'run', '--seed', 0, '--no-validate', '--resume-from', folder / 'iter_2.pth']
    said = refusal('tools/train.py', SOFT_TEACHER, *command, *options)
    return folder, options, said


def test_the_run_names_what_went_bad_and_ends(run):
    folder, _, said = run
    assert 'is not finite, 2 steps in a row (optimizer_config.max_skips=1)' in said
    text = next((folder / 'run').glob('*.log')).read_text()
    line = next(line for line in text.splitlines() if 'iteration 3: ' in line)
    assert 'loss_bbox' in line and '.jpg' in line
    assert f'tools/replay.py CONFIG {folder}/run/nonfinite_iter_3.pth' in text
    assert not list((folder / 'run').glob('iter_*.pth'))


def test_the_step_is_the_same_bit_for_bit(run, capsys):
    folder, options, _ = run
    path = folder / 'run/nonfinite_iter_3.pth'
    call(SCRIPT, SOFT_TEACHER, path, *options)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == 'the same, bit for bit'
    before = load_file(path)['replay']['log_vars']
    assert [line for line in lines if line in {f'{name}: {value!r}, now {value!r}' for name, value in before.items()}]
    assert sum(': ' in line and ', now ' in line for line in lines) == len(before)


def test_refusals(run, checkpoint):
    folder, options, _ = run
    assert f'{checkpoint} tells no step: give a nonfinite_iter_N.pth' in refusal(
        SCRIPT, SOFT_TEACHER, checkpoint, *options
    )
    other = refusal(SCRIPT, SOFT_TEACHER, folder / 'run/nonfinite_iter_3.pth', *options, 'data.samples_per_gpu=6')
    assert 'is of another run: samples_per_gpu was 4 and is 6' in other
