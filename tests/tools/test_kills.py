"""A run that is killed again and again ends as one that never was."""

import random
import signal
import subprocess
import sys
import time

import pytest
from runs import BASELINE, ENV, ROOT, assert_same, small, weights

from ssod.apis.runs import read_log
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
    options = small(
        runner__max_iters=60, checkpoint_config__interval=1, checkpoint_config__max_keep_ckpts=2, log_config__interval=1
    )
    command = ['tools/train.py', BASELINE, '--work-dir', str(work_dir), '--seed', '0', '--no-validate', '--auto-resume']
    return subprocess.Popen(
        [sys.executable, '-c', TRAIN, *command, *options], cwd=ROOT, env=ENV, stdout=log, stderr=subprocess.STDOUT
    )


def logged(work_dir):
    """The losses of each iteration in the logs; an iteration that came again has those of the last time."""
    lines = read_log(work_dir)['train']
    return {line['iter']: {key: line[key] for key in line if 'loss' in key or key == 'grad_norm'} for line in lines}


def newest(work_dir):
    return max(work_dir.glob('iter_*.pth'), default=None, key=lambda path: path.stat().st_mtime)


@pytest.mark.long
def test_thirty_kills_some_inside_a_write(tmp_path):
    draw, work_dir = random.Random(0), tmp_path / 'killed'
    inside = 0
    with open(tmp_path / 'log', 'w') as log:
        assert start(tmp_path / 'whole', log).wait() == 0
        for kill in range(31):
            before = newest(work_dir)
            process = start(work_dir, log)
            if kill == 30:
                assert process.wait() == 0
                break
            # At a random moment after its first new checkpoint; one of six in its first seconds.
            end = time.time() + (draw.uniform(0, 10) if draw.random() < 1 / 6 else 120)
            while newest(work_dir) == before and time.time() < end:
                assert process.poll() is None, 'it has ended before it was killed'
                time.sleep(0.05)
            time.sleep(draw.uniform(0, 0.9))
            process.send_signal(signal.SIGTERM if draw.random() < 0.2 else signal.SIGKILL)
            time.sleep(draw.uniform(0, 0.4))
            process.kill()  # SIGTERM's own save is cut as well
            process.wait()
            inside += any(work_dir.glob('.tmp-*iter_*.pth'))
            for path in work_dir.glob('iter_*.pth'):
                load_file(path)  # each that is there is whole
            for path in work_dir.glob('iter_*.pth'):
                assert int(path.stem.removeprefix('iter_')) in logged(work_dir), 'its log line came first'
    print(f'30 kills, {inside} inside a write')
    assert inside >= 3
    assert_same(weights(tmp_path / 'whole', 60), weights(work_dir, 60))
    assert logged(work_dir) == logged(tmp_path / 'whole') and sorted(logged(work_dir)) == list(range(1, 61))
    assert not list(work_dir.glob('.tmp-*'))
