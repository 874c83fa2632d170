"""A pseudo-terminal: what a program writes to it, and what is left on it."""

import functools
import os
import pty
import select
import signal
import subprocess
import time

from runs import ENV, ROOT


def on_terminal(command: list[str], interrupt: bytes = b'', signals: int = 1) -> tuple[str, int]:
    """What a program writes to a terminal of 100 columns, and its exit status; Ctrl-C where it says a word."""
    master, slave = pty.openpty()
    env = {**ENV, 'TERM': 'xterm', 'COLUMNS': '100', 'LINES': '30', 'PYTHONWARNINGS': 'default::UserWarning:__main__'}
    # A shell lets what it starts in the background ignore Ctrl-C; on a terminal of its own the program does not.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=heed
    )
    os.close(slave)
    text, deadline = b'', time.monotonic() + 280
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


def screen_of(text: str) -> list[str]:
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
