"""Run by torchrun (see test_ranks.py): `tools/train.py`, of which process 1 fails once, in the third iteration.

    faults.py FAULT FOLDER [arguments of tools/train.py]

FOLDER gets a file for the fault, which does not come again if that is there.
"""

import os
import signal
import sys
import time
from pathlib import Path

from ssod.cli import run_command, train
from ssod.data import SeededDataset
from ssod.hooks.ranks import NoteIterationHook


def endless() -> None:
    while True:
        pass


def raises() -> None:
    raise KeyError('a part that is not there')


FAULTS = dict(
    killed=lambda: os.kill(os.getpid(), signal.SIGKILL),
    stopped=lambda: os.kill(os.getpid(), signal.SIGSTOP),
    endless=endless,
    raises=raises,
    worker=endless,
    launcher=lambda: (os.kill(os.getppid(), signal.SIGKILL), time.sleep(60)),
)


def main(fault: str, folder: Path, argv: list[str]) -> None:
    def strike() -> None:
        marker = folder / f'{fault}.struck'
        if os.environ['RANK'] == '1' and fault in FAULTS and not marker.exists():
            marker.touch()
            FAULTS[fault]()

    def before_train_iter(self, runner) -> None:
        original_note(self, runner)
        (folder / f'pid_{os.getpid()}').touch()
        if runner.iter == 2 and fault != 'worker':
            strike()

    def getitem(self, key):
        # The sampler asks in order; workers are forked after this is set.
        getitem.asked += 1
        if getitem.asked > 10 and fault == 'worker':
            (folder / f'pid_{os.getpid()}').touch()
            strike()
        return original_getitem(self, key)

    getitem.asked = 0
    original_note, original_getitem = NoteIterationHook.before_train_iter, SeededDataset.__getitem__
    if os.environ['RANK'] == '1' and os.environ['TORCHELASTIC_RESTART_COUNT'] != '0':
        time.sleep(3)  # process 0 is there first, and must not find the address of the process before
    NoteIterationHook.before_train_iter, SeededDataset.__getitem__ = before_train_iter, getitem
    run_command(lambda: train(argv))


if __name__ == '__main__':
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
