"""What `SSOD_OPS=compiled make install` decides and says, with stand-ins for compilers, GPUs and the build."""

import os
import sys

import pytest
from install_sandbox import Sandbox


@pytest.fixture
def sandbox(tmp_path):
    return Sandbox(tmp_path)


def call(sandbox, code: str, **env: str):
    return sandbox.call(f'LOG=$ROOT/log; PY="{sys.executable}"; {code}', script='compile_mmcv', **env)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="mmcv-full's setup.py does not run on it")
@pytest.mark.parametrize('there, missing', [((), 'C compiler (gcc)'), (('gcc',), 'C++ compiler (g++)')])
def test_missing_compiler_names_the_package(sandbox, there, missing):
    for name in there:
        sandbox.program(name, 'exit 0')
    done = call(sandbox, 'check_compiler')
    assert done.returncode == 1
    assert f'no {missing}: apt install build-essential' in done.stderr


def choose_ops(sandbox, torch_cuda, sees_gpu, nvcc, asked='compiled'):
    done = call(sandbox, f'choose_ops "{torch_cuda}" {sees_gpu} "{nvcc}"; echo $OPS', SSOD_OPS=asked)
    return done.stdout.strip() if done.returncode == 0 else done.stderr


@pytest.mark.parametrize(
    'torch_cuda, sees_gpu, nvcc, asked, expected',
    [
        ('13.0', 'no', '', 'compiled', 'cpu'),
        ('13.0', 'no', '13.0', 'compiled', 'cpu'),
        ('13.0', 'yes', '13.0', 'compiled', 'cuda'),
        ('13.0', 'yes', '13.2', 'compiled', 'cuda'),
        ('13.0', 'yes', '13.0', 'cpu', 'cpu'),
        ('13.0', 'no', '13.0', 'cuda', 'cuda'),
    ],
)
def test_ops_for_what_is_there_or_asked_for(sandbox, torch_cuda, sees_gpu, nvcc, asked, expected):
    assert choose_ops(sandbox, torch_cuda, sees_gpu, nvcc, asked) == expected


@pytest.mark.parametrize(
    'torch_cuda, sees_gpu, nvcc, asked, message',
    [
        ('13.0', 'yes', '12.4', 'compiled', 'nvcc is CUDA 12.4 and torch was built with CUDA 13.0'),
        ('13.0', 'yes', '', 'compiled', 'there is no CUDA compiler'),
        ('none', 'no', '13.0', 'cuda', 'CPU build'),
        ('13.0', 'no', '', 'gpu', "SSOD_OPS is 'gpu'; it can be compiled, cpu or cuda"),
    ],
)
def test_ops_that_cannot_be_compiled_are_refused(sandbox, torch_cuda, sees_gpu, nvcc, asked, message):
    assert message in choose_ops(sandbox, torch_cuda, sees_gpu, nvcc, asked)


def test_cuda_home_is_where_the_headers_are(sandbox, tmp_path):
    sandbox.program('nvcc', 'echo "Cuda compilation tools, release 12.4, V12.4.1"')
    sandbox.program(str(tmp_path / 'cuda/bin/nvcc'), 'echo "Cuda compilation tools, release 13.0, V13.0.88"')
    (tmp_path / 'cuda/include').mkdir()
    (tmp_path / 'cuda/include/cuda_runtime.h').touch()
    done = call(sandbox, 'home=$(cuda_home); echo "$home $(nvcc_version "$home")"', CUDA_HOME=str(tmp_path / 'cuda'))
    assert done.stdout.split() == [str(tmp_path / 'cuda'), '13.0']


def test_ops_are_compiled_with_optimisation(sandbox):
    """Newer setuptools take CFLAGS in place of Python's own -O3: the ops came out several times as slow."""
    flags = sandbox.clone / 'flags'
    python = sandbox.program('python', f'echo $CFLAGS >{flags}')
    source = sandbox.clone / 'wheels/source'
    source.mkdir(parents=True)
    (source / 'setup.py').touch()
    code = f'PY={python}; OPS=cpu; check_compiler() {{ :; }}; build $ROOT/wheels ""'
    done = call(sandbox, code, CFLAGS='-march=native', MAX_JOBS='2')
    assert done.returncode == 0, done.stderr
    assert flags.read_text().split() == ['-O3', '-DNDEBUG', '-march=native', '-g0']


COMPILE = """
SSOD_WHEEL_DIR=$ROOT/wheels; PY=python
torch_facts() {{ echo none no any; }}
install_wheel() {{ cp "$1" $ROOT/installed; }}
build() {{ echo BUILT; echo {built} >$1/mmcv_full-1.7.2-any.whl; }}
prove() {{ grep -qs good $ROOT/installed; }}
compile
"""


def run_compile(sandbox, kept: str | None, built: str):
    """Runs it with a kept wheel and a build that are good or bad; returns what was said and the wheel left."""
    sandbox.program('python', 'echo cp311-torch2.11.0')
    folder = sandbox.clone / 'wheels/cp311-torch2.11.0-cpu-O3'
    folder.mkdir(parents=True)
    wheel = folder / 'mmcv_full-1.7.2-any.whl'
    if kept:
        wheel.write_text(kept)
    return call(sandbox, COMPILE.format(built=built)), wheel


def test_kept_wheel_is_reused(sandbox):
    done, wheel = run_compile(sandbox, kept='good', built='bad')
    assert done.returncode == 0 and 'BUILT' not in done.stdout
    assert wheel.read_text() == 'good'


def test_kept_wheel_that_fails_the_proof_is_built_anew(sandbox):
    done, wheel = run_compile(sandbox, kept='bad', built='good')
    assert done.returncode == 0 and done.stdout.count('BUILT') == 1
    assert wheel.read_text().strip() == 'good'


def test_built_wheel_that_fails_the_proof_is_not_kept(sandbox):
    done, wheel = run_compile(sandbox, kept=None, built='bad')
    assert done.returncode == 1 and done.stdout.count('BUILT') == 1
    assert 'the wheel is removed' in done.stderr
    assert not wheel.exists()


def test_installed_ops_that_work_are_kept(sandbox):
    (sandbox.clone / 'installed').write_text('good')
    done, _ = run_compile(sandbox, kept=None, built='bad')
    assert done.returncode == 0 and 'keeping the compiled mmcv-full' in done.stdout
    assert 'BUILT' not in done.stdout


def test_jobs(sandbox):
    assert call(sandbox, 'OPS=cpu; jobs', MAX_JOBS='3').stdout.strip() == '3'
    assert 1 <= int(call(sandbox, 'OPS=cpu; jobs').stdout) <= os.cpu_count()
