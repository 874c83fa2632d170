"""Progress on a real terminal, a pseudo-terminal, and off it."""

import sys

import pytest
from terminal import on_terminal, screen_of

from ssod.core.screen import Screen, Work, screen, track, working

TRAINING = """
import logging, sys, time, warnings
from mmcv.utils import get_logger
from ssod.core.progress import Progress
from ssod.core.screen import screen, working
log = get_logger('mmdet')
with screen() as shown:
    shown.show('', Progress('training', iteration=5, max_iters=10, losses=dict(loss=1.5, labeled=1.0, unlabeled=0.5)))
    log.info('a line of the log')
    warnings.warn('a warning')
    print('printed')
    with working('evaluating the teacher', 3) as work:
        work.advance(2)
        shown.refresh(now=True)
        {then}
print('after')
"""


def program(then: str) -> list[str]:
    return [sys.executable, '-c', TRAINING.format(then=then)]


def test_lines_of_the_log_stand_above_and_the_terminal_is_left_right():
    text, status = on_terminal(program(then='time.sleep(0.1)'))
    lines = screen_of(text)
    assert status == 0 and lines[-2:] == ['after', ''], lines
    whole = '\n'.join(lines)
    assert [whole.count(said) for said in ('a line of the log', 'a warning', 'printed', 'iteration 5/10')] == [1] * 4, (
        whole
    )
    assert '  loss 1.500   labeled 1.000   unlabeled 0.500' in lines
    place = {said: next(i for i, line in enumerate(lines) if said in line) for said in ('printed', 'iteration 5/10')}
    assert place['printed'] < place['iteration 5/10'] < lines.index('after')
    assert 'evaluating the teacher' in text and 'evaluating the teacher' not in whole  # it is done
    assert text.rfind('\x1b[?25h') > text.rfind('\x1b[?25l')  # the cursor is there


@pytest.mark.parametrize('signals', [1, 2])
def test_ctrl_c_leaves_the_cursor(signals):
    text, status = on_terminal(program(then='print("now", flush=True); time.sleep(60)'), b'now', signals)
    assert status != 0 and 'after' not in text.split('now')[-1].splitlines()
    assert text.rfind('\x1b[?25h') > text.rfind('\x1b[?25l')


def test_off_a_terminal_nothing_is_shown(capsys):
    with screen() as shown, working('work', 3) as work:
        assert shown is None and Screen.current is None
        work.advance(2)
        work.advance(2)
    assert work.done == 3 and list(track('abc', 'work')) == ['a', 'b', 'c']
    assert capsys.readouterr() == ('', '')


def test_who_follows_finds_a_file(tmp_path, monkeypatch):
    from ssod.core.progress import VARIABLE, Progress

    monkeypatch.setenv(VARIABLE, str(tmp_path / 'here.json'))
    with working('labeling', 7):
        found = Progress.read(tmp_path / 'here.json')
    assert (found.what, found.done, found.total) == ('labeling', 0, 7)
    monkeypatch.setattr(Work, 'training', Progress('training', iteration=4, max_iters=8, losses=dict(loss=1.0)))
    with working('evaluating the teacher', 5):
        found = Progress.read(tmp_path / 'here.json')
    assert (found.what, found.iteration, found.losses) == ('evaluating the teacher', 4, dict(loss=1.0))
