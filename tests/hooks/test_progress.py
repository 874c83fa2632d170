"""A real training on a terminal."""

import json
import sys

import pytest
from runs import ROOT, SOFT_TEACHER, small
from terminal import on_terminal, screen_of

from ssod.core.progress import Progress


@pytest.mark.long
def test_a_training_shows_itself_and_ctrl_c_leaves_a_checkpoint_and_the_terminal(tmp_path):
    options = small(runner__max_iters=500, evaluation__interval=4, checkpoint_config__interval=500)
    command = [sys.executable, str(ROOT / 'tools/train.py'), SOFT_TEACHER, '--work-dir', str(tmp_path), '--seed', '0']
    text, status = on_terminal([*command, *options], interrupt=b'iteration 8: student_bbox_mAP')
    assert status == 130, text[-2000:]
    lines = screen_of(text)
    whole = '\n'.join(lines)
    assert '- Iter [2/500]' not in whole and 'iteration 4: student_bbox_mAP' in whole
    assert 'evaluating the teacher' in text
    foot = max(i for i, line in enumerate(lines) if line.startswith('iteration ') and '/500 ' in line)
    assert any('continue with --auto-resume' in line for line in lines[:foot])
    assert text.rfind('\x1b[?25h') > text.rfind('\x1b[?25l')
    stopped = Progress.read(tmp_path / 'progress.json')
    assert stopped.what == 'stopped' and (tmp_path / 'latest.pth').exists()
    log = [json.loads(line) for line in next(tmp_path.glob('*.log.json')).read_text().splitlines()]
    assert [entry['iter'] for entry in log if entry.get('mode') == 'train'][:3] == [2, 4, 6]  # the file has all lines
