"""The pretended device, in a process of its own: it stays in one for good, and autograd has to start with it."""

import sys
from pathlib import Path

from runs import shell


def test_all_of_it():
    tests = Path(__file__).with_name('on_the_device.py')
    done = shell(sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', tests)
    assert done.returncode == 0 and ' passed' in done.stdout, done.stdout
