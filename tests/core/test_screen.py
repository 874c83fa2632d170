"""Progress on a real terminal, a pseudo-terminal, and off it."""

import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest
from runs import ENV, ROOT

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


def on_terminal(code: str, interrupt: bytes = b'', signals: int = 1) -> tuple[str, int]:
    """What a Python program writes to a terminal of 100 columns, and its exit status; Ctrl-C where it says a word."""
    master, slave = pty.openpty()
    env = {**ENV, 'TERM': 'xterm', 'COLUMNS': '100', 'LINES': '30', 'PYTHONWARNINGS': 'default::UserWarning:__main__'}
    process = subprocess.Popen(
        [sys.executable, '-c', code], cwd=ROOT, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    text, deadline = b'', time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.2)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other side is closed
                break
            text += piece
        if interrupt and interrupt in text:
            for _ in range(signals):
                os.killpg(process.pid, signal.SIGINT)
            interrupt = b''
    process.wait(timeout=60)
    os.close(master)
    return text.decode(), process.returncode


def screen_of(text: str, width: int = 100) -> list[str]:
    """The lines that are left on a terminal: a small one, which knows what rich says to it."""
    lines, row, column, i = [''], 0, 0, 0
    while i < len(text):
        if text[i] == '\x1b':
            end = i + 2
            while not text[end].isalpha():
                end += 1
            number, kind = text[i + 2 : end], text[end]
            if kind == 'A':
                row -= int(number or 1)
            elif kind == 'K':
                lines[row] = '' if number == '2' else lines[row][:column]
            i = end + 1
            continue
        if text[i] == '\n':
            row, column = row + 1, 0
        elif text[i] == '\r':
            column = 0
        else:
            lines += [''] * (row + 1 - len(lines))
            lines[row] = lines[row].ljust(column)[:column] + text[i] + lines[row][column + 1 :]
            column += 1
        lines += [''] * (row + 1 - len(lines))
        i += 1
    return [line.rstrip() for line in lines]


def test_lines_of_the_log_stand_above_and_the_terminal_is_left_right():
    text, status = on_terminal(TRAINING.format(then='time.sleep(0.1)'))
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
    text, status = on_terminal(TRAINING.format(then='print("now", flush=True); time.sleep(60)'), b'now', signals)
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
