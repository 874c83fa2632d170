"""One of two processes is killed, hangs or fails: the run ends, says why, and comes back."""

import re
import subprocess
import time
from pathlib import Path

import pytest
from runs import BASELINE, ENV, ROOT, assert_same, small, weights

TIMEOUT = 5


def start(fault, tmp_path, *launch, **settings):
    """A run of 8 iterations on two processes, a checkpoint at each second one."""
    options = small(rank_timeout=TIMEOUT, data__samples_per_gpu=2, checkpoint_config__interval=2, **settings)
    command = ['python', 'tools/launch.py', '--nproc_per_node=2', '--rdzv_backend=c10d']
    command += ['--rdzv_endpoint=127.0.0.1:0', '--local_addr=127.0.0.1', *launch, 'tests/tools/faults.py', fault]
    command += [tmp_path, BASELINE, '--work-dir', tmp_path / 'run', '--seed', '0', '--no-validate', '--auto-resume']
    command += ['--launcher', 'pytorch', *options]
    pipe = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return subprocess.Popen(list(map(str, command)), cwd=ROOT, env=ENV, **pipe)


def left_behind(tmp_path):
    """Ids of the processes of the run that are still there."""
    pids = [int(path.name.removeprefix('pid_')) for path in tmp_path.glob('pid_*')]
    assert len(pids) >= 2
    return [pid for pid in pids if runs(pid)]


def runs(pid):
    """Whether a process is there; one that has ended and that nobody has asked for its status is not."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False


SAID = {
    # Its last word is up to a second old.
    'killed': r'is gone or stopped: it gives no sign of life; it last did: the (step|end) of iteration [23][ ,]',
    'stopped': r'is gone or stopped: it gives no sign of life; it last did: the (step|end) of iteration [23][ ,]',
    'endless': r'has done nothing for 5 s; it last did: the step of iteration 3 \(.*faults\.py:\d+ in endless\)',
    'worker': r'has done nothing for 5 s; it last did: the end of iteration \d, or the images of the next one',
    'raises': r"failed: KeyError: 'a part that is not there'; it last did: the step of iteration 3 ",
}


@pytest.mark.long
@pytest.mark.parametrize('fault', SAID)
def test_the_others_end_and_name_the_process(tmp_path, fault):
    process = start(fault, tmp_path, data__workers_per_gpu=1 if fault == 'worker' else 0)
    while not (tmp_path / f'{fault}.struck').exists() and process.poll() is None:
        time.sleep(0.1)
    began = time.time()
    output = process.communicate(timeout=120)[0]
    assert process.returncode not in (0, None)
    # torchrun waits 30 s for a process that does not listen before it kills it.
    assert time.time() - began < TIMEOUT + 45
    named = re.findall(r'process (\d) of 2 (.*)', output)
    assert [rank for rank, _ in named] == ['1'], output
    assert re.search(SAID[fault], named[0][1]), named
    assert left_behind(tmp_path) == []


@pytest.mark.long
def test_no_process_outlives_its_launcher_nor_a_worker_its_trainer(tmp_path):
    process = start('launcher', tmp_path, data__workers_per_gpu=1)
    assert process.wait(timeout=120) == -9
    time.sleep(1)
    assert left_behind(tmp_path) == []
    listed = subprocess.run(['pgrep', '-f', str(tmp_path)], capture_output=True, text=True).stdout
    assert listed == '', 'a worker'


@pytest.mark.long
@pytest.mark.parametrize('fault', ['killed', 'endless'])
def test_a_run_that_torchrun_starts_again_ends_equal(tmp_path, fault):
    for name in ('none', fault):
        (tmp_path / name).mkdir()
        process = start(name, tmp_path / name, '--max-restarts=1')
        output = process.communicate(timeout=240)[0]
        assert process.returncode == 0, output[-3000:]
    assert 'resumed from' in output
    assert_same(weights(tmp_path / 'none/run', 8), weights(tmp_path / fault / 'run', 8))
