"""A run that is killed again and again ends as one that never was."""

import random
import signal
import subprocess
import sys
import time

import pytest
from runs import BASELINE, ENV, ROOT, assert_same, small, weights

from ssod.core.checkpoint_file import load_file

# Writes a checkpoint so slowly that a kill falls into it.
TRAIN = """
import runpy, sys, time
from mmcv.fileio.file_client import HardDiskBackend

def put(self, content, path):
    with open(path, 'wb') as file:
        for start in range(0, len(content), len(content) // 20):
            file.write(content[start:start + len(content) // 20])
            file.flush()
            time.sleep(0.03)

HardDiskBackend.put = put
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def start(work_dir, log):
    options = small(runner__max_iters=40, checkpoint_config__interval=1, checkpoint_config__max_keep_ckpts=2)
    command = ['tools/train.py', BASELINE, '--work-dir', str(work_dir), '--seed', '0', '--no-validate', '--auto-resume']
    return subprocess.Popen(
        [sys.executable, '-c', TRAIN, *command, *options], cwd=ROOT, env=ENV, stdout=log, stderr=subprocess.STDOUT
    )


@pytest.mark.long
def test_thirty_kills_some_inside_a_write(tmp_path):
    draw = random.Random(0)
    with open(tmp_path / 'log', 'w') as log:
        assert start(tmp_path / 'whole', log).wait() == 0
        kills = inside = 0
        process = start(tmp_path / 'killed', log)
        while True:
            work_dir = tmp_path / 'killed'
            before = max(work_dir.glob('iter_*.pth'), default=None, key=lambda path: path.stat().st_mtime)
            # Killed at a random moment after its first new checkpoint, or (one of four) before it.
            end = time.time() + 120
            while process.poll() is None and time.time() < end and draw.random() > 0.02:
                newest = max(work_dir.glob('iter_*.pth'), default=None, key=lambda path: path.stat().st_mtime)
                if newest != before:
                    break
                time.sleep(0.1)
            time.sleep(draw.uniform(0, 0.9))
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGTERM if draw.random() < 0.2 else signal.SIGKILL)
            time.sleep(draw.uniform(0, 0.4))
            process.kill()  # SIGTERM's own save is cut as well
            process.wait()
            kills += 1
            inside += any(work_dir.glob('.tmp-*iter_*.pth'))
            for path in work_dir.glob('*.pth'):
                load_file(path)  # each that is there is whole
            process = start(work_dir, log)
    assert process.returncode == 0
    print(f'{kills} kills, {inside} inside a write')
    assert kills >= 20 and inside >= 3
    assert_same(weights(tmp_path / 'whole', 40), weights(tmp_path / 'killed', 40))
    assert not list(work_dir.glob('.tmp-*'))
