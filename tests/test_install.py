"""What `make install` decides and says, with stand-ins for interpreters, compilers and GPUs on a PATH of its own."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = 'awk bash cat chmod cp cut dirname env find flock grep head ls mkdir mktemp mv nproc readlink rm sed sha256sum'
TOOLS += ' sleep sort tail touch tr wc'


class Sandbox:
    """A copy of what install.sh reads, and a PATH with coreutils and what a test puts there."""

    def __init__(self, folder: Path):
        self.bin, self.clone = folder / 'bin', folder / 'clone'
        self.bin.mkdir()
        (self.clone / 'tools').mkdir(parents=True)
        shutil.copy(ROOT / 'tools/install.sh', self.clone / 'tools')
        shutil.copy(ROOT / 'setup.py', self.clone)
        shutil.copytree(ROOT / 'requirements', self.clone / 'requirements')
        for tool in TOOLS.split():
            (self.bin / tool).symlink_to(shutil.which(tool))

    def program(self, name: str, body: str) -> Path:
        """An executable bash script, in the sandbox's bin unless its name is a path."""
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!{shutil.which("bash")}\n{body}\n')
        path.chmod(0o755)
        return path

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess:
        """Runs it with nothing of the caller's environment."""
        env = {'PATH': str(self.bin), 'HOME': str(self.clone.parent), **env}
        return subprocess.run(command, env=env, cwd=self.clone, capture_output=True, text=True, timeout=60)

    def install(self, *args: str, **env: str) -> subprocess.CompletedProcess:
        return self.run('bash', 'tools/install.sh', *args, **env)

    def call(self, code: str, **env: str) -> subprocess.CompletedProcess:
        """Bash code that may use install.sh's functions."""
        return self.run('bash', '-c', f'source tools/install.sh; {code}', **env)


@pytest.fixture
def sandbox(tmp_path):
    return Sandbox(tmp_path)


# --------------------------------------------------------------------------------------------- which environment


@pytest.mark.parametrize(
    'env, expected',
    [
        ({}, '{clone}/.venv'),
        ({'VIRTUAL_ENV': '/somewhere/mine'}, '/somewhere/mine'),
        ({'CONDA_PREFIX': '/conda/envs/ssod', 'CONDA_DEFAULT_ENV': 'ssod'}, '/conda/envs/ssod'),
        ({'CONDA_PREFIX': '/conda', 'CONDA_DEFAULT_ENV': 'base'}, '{clone}/.venv'),
        ({'CONDA_PREFIX': '/conda', 'CONDA_DEFAULT_ENV': 'base', 'VIRTUAL_ENV': '/mine'}, '/mine'),
    ],
)
def test_installs_into_the_active_environment_or_else_venv(sandbox, env, expected):
    done = sandbox.install('--python', **env)
    assert done.stdout.strip() == expected.format(clone=sandbox.clone) + '/bin/python'
    assert not (sandbox.clone / '.venv').exists()


def test_newest_supported_interpreter_is_chosen(sandbox):
    for minor in (11, 10):
        sandbox.program(f'python3.{minor}', f'echo 3.{minor}')
    assert sandbox.call('choose_python').stdout.strip() == str(sandbox.bin / 'python3.11')


def test_interpreter_that_fails_or_lacks_a_module_is_passed_over(sandbox):
    sandbox.program('python3.12', 'echo "pyenv: python3.12: command not found" >&2; exit 127')
    sandbox.program('python3.11', 'echo 3.11 ensurepip')
    sandbox.program('python3', 'echo 3.10')
    assert sandbox.call('choose_python').stdout.strip() == str(sandbox.bin / 'python3')


def test_no_supported_interpreter(sandbox):
    sandbox.program('python3', 'echo 3.13')
    done = sandbox.install()
    assert done.returncode == 1
    assert 'no Python 3.10, 3.11 or 3.12 found (python3 is 3.13)' in done.stderr


def test_missing_venv_module_names_the_package(sandbox):
    sandbox.program('python3', 'echo 3.11 ensurepip Python.h')
    done = sandbox.install()
    assert done.returncode == 1
    assert 'python3 lacks ensurepip, Python.h: apt install python3.11-venv python3.11-dev' in done.stderr


def test_probe_asks_a_real_interpreter(sandbox):
    version = f'{sys.version_info.major}.{sys.version_info.minor}'
    assert sandbox.call(f'probe "{sys.executable}"').stdout.split()[0] == version


def test_active_environment_with_unsupported_python_is_refused(sandbox, tmp_path):
    sandbox.program(str(tmp_path / 'mine/bin/python'), 'echo 3.9')
    done = sandbox.install(VIRTUAL_ENV=str(tmp_path / 'mine'))
    assert done.returncode == 1
    assert 'is Python 3.9, and 3.10, 3.11 or 3.12 is needed' in done.stderr


# ------------------------------------------------------------------------------------- what is there already stays


def fake_env(sandbox, **versions: str) -> str:
    """An environment whose Python answers install.sh's question for a package's version."""
    cases = ' '.join(f'{name}) echo {version};;' for name, version in versions.items())
    sandbox.program(str(sandbox.clone.parent / 'mine/bin/python'), f'case $3 in {cases} esac')
    return f'ENV_DIR="{sandbox.clone.parent}/mine"; PY=$ENV_DIR/bin/python; SCRATCH=$ROOT; LOG=/dev/null; '


def test_torch_and_numpy_of_the_users_environment_are_held(sandbox):
    setting = fake_env(sandbox, torch='2.5.1+cu121', torchvision='0.20.1+cu121', numpy='1.26.4')
    sandbox.call(setting + 'write_constraints')
    held = (sandbox.clone / 'constraints.txt').read_text().split()
    assert held == ['torch==2.5.1+cu121', 'torchvision==0.20.1+cu121', 'numpy==1.26.4']


def test_torch_older_than_numpy_2_keeps_numpy_1(sandbox):
    sandbox.call(fake_env(sandbox, torch='2.1.0', torchvision='0.16.0') + 'write_constraints')
    assert 'numpy<2' in (sandbox.clone / 'constraints.txt').read_text().split()


def test_own_environment_gets_the_tested_versions(sandbox):
    sandbox.call('ENV_DIR=$ROOT/.venv; SCRATCH=$ROOT; write_constraints')
    assert (sandbox.clone / 'constraints.txt').read_text() == (ROOT / 'requirements/constraints.txt').read_text()


@pytest.mark.parametrize(
    'versions, function, message',
    [
        ({'mmcv': '2.1.0'}, 'refuse_strangers', 'mmcv 2.1.0 is installed here; mmcv-full 1.7.2'),
        ({'mmdet': '3.3.0'}, 'refuse_strangers', 'mmdet 3.3.0 is installed here, and 2.28.2 is needed'),
        ({'torch': '1.13.1'}, 'install_torch', 'torch 1.13.1 is installed here, and 2.0 or later is needed'),
    ],
)
def test_environment_that_cannot_work_is_refused(sandbox, versions, function, message):
    done = sandbox.call(fake_env(sandbox, **versions) + function)
    assert done.returncode == 1
    assert message in done.stderr


# ------------------------------------------------------------------------------------------------ building mmcv-full


@pytest.mark.parametrize('there, missing', [((), 'C compiler (gcc)'), (('gcc',), 'C++ compiler (g++)')])
def test_missing_compiler_names_the_package(sandbox, there, missing):
    for name in there:
        sandbox.program(name, 'exit 0')
    done = sandbox.call(f'PY="{sys.executable}"; check_compiler')
    assert done.returncode == 1
    assert f'no {missing} to build mmcv-full with: apt install build-essential' in done.stderr


def choose_ops(sandbox, torch_cuda, sees_gpu, nvcc, **env):
    done = sandbox.call(f'choose_ops "{torch_cuda}" {sees_gpu} "{nvcc}"; echo "$OPS|$NOTICE"', **env)
    return done.stdout.strip().partition('|')[::2] if done.returncode == 0 else ('refused', done.stderr)


@pytest.mark.parametrize('nvcc', ['', '13.0'])
def test_no_gpu_means_cpu_ops_and_nothing_to_say(sandbox, nvcc):
    assert choose_ops(sandbox, '13.0', 'no', nvcc) == ('cpu', '')


@pytest.mark.parametrize(
    'torch_cuda, sees_gpu, nvcc, ops, notice',
    [
        ('13.0', 'yes', '13.0', 'cuda', ''),
        ('13.0', 'yes', '13.2', 'cuda', ''),
        ('13.0', 'yes', '12.4', 'cpu', 'nvcc is CUDA 12.4 and torch was built with CUDA 13.0'),
        ('13.0', 'yes', '', 'cpu', 'there is no CUDA compiler'),
        ('13.0', 'no', '13.0', 'cpu', 'driver is too old'),
        ('none', 'no', '13.0', 'cpu', 'CPU build'),
    ],
)
def test_ops_for_a_gpu(sandbox, torch_cuda, sees_gpu, nvcc, ops, notice):
    sandbox.program('nvidia-smi', 'echo "GPU 0: Some Card (UUID: GPU-1)"')
    chosen, said = choose_ops(sandbox, torch_cuda, sees_gpu, nvcc)
    assert chosen == ops
    assert notice in said and bool(notice) == bool(said)


def test_ops_asked_for(sandbox):
    assert choose_ops(sandbox, '13.0', 'no', '13.0', SSOD_OPS='cuda') == ('cuda', '')
    chosen, said = choose_ops(sandbox, '13.0', 'no', '12.4', SSOD_OPS='cuda')
    assert chosen == 'refused' and 'SSOD_OPS=cuda, but nvcc is CUDA 12.4' in said
    sandbox.program('nvidia-smi', 'echo "GPU 0: Some Card (UUID: GPU-1)"')
    assert choose_ops(sandbox, '13.0', 'yes', '13.0', SSOD_OPS='cpu') == ('cpu', '')


def test_cuda_home_is_where_the_headers_are(sandbox, tmp_path):
    sandbox.program('nvcc', 'echo "Cuda compilation tools, release 12.4, V12.4.1"')
    sandbox.program(str(tmp_path / 'cuda/bin/nvcc'), 'echo "Cuda compilation tools, release 13.0, V13.0.88"')
    (tmp_path / 'cuda/include').mkdir()
    (tmp_path / 'cuda/include/cuda_runtime.h').touch()
    code = 'home=$(cuda_home); echo "$home $(nvcc_version "$home")"'
    assert sandbox.call(code, CUDA_HOME=str(tmp_path / 'cuda')).stdout.split() == [str(tmp_path / 'cuda'), '13.0']


def test_ops_are_compiled_with_optimisation(sandbox):
    """Newer setuptools take CFLAGS in place of Python's own -O3: the ops came out several times as slow."""
    flags = sandbox.clone / 'flags'
    python = sandbox.program('python', f'echo $CFLAGS >{flags}')
    source = sandbox.clone / 'wheels/source'
    source.mkdir(parents=True)
    (source / 'setup.py').touch()
    code = f'PY={python}; LOG=$ROOT/log; check_compiler() {{ :; }}; build_mmcv $ROOT/wheels cpu ""'
    done = sandbox.call(code, CFLAGS='-march=native', MAX_JOBS='2')
    assert done.returncode == 0, done.stderr
    assert flags.read_text().split() == ['-O3', '-DNDEBUG', '-march=native', '-g0']


INSTALL_MMCV = """
LOG=$ROOT/log; : >$LOG; SCRATCH=$ROOT; PY="{python}"; SSOD_WHEEL_DIR=$ROOT/wheels
torch_facts() {{ echo none no any; }}
installed() {{ echo 2.11.0; }}
install_wheel() {{ cp "$1" $ROOT/installed; }}
build_mmcv() {{ echo BUILT; echo {built} >$1/mmcv_full-1.7.2-any.whl; }}
prove_mmcv() {{ grep -qs good $ROOT/installed; }}
install_mmcv
"""


def install_mmcv(sandbox, kept: str | None, built: str):
    """Runs the step with a kept wheel and a build that are good or bad; returns what was said and the wheel left."""
    folder = sandbox.clone / f'wheels/cp{sys.version_info[0]}{sys.version_info[1]}-torch2.11.0-cpu-O3'
    folder.mkdir(parents=True)
    wheel = folder / 'mmcv_full-1.7.2-any.whl'
    if kept:
        wheel.write_text(kept)
    return sandbox.call(INSTALL_MMCV.format(python=sys.executable, built=built)), wheel


def test_kept_wheel_is_reused(sandbox):
    done, wheel = install_mmcv(sandbox, kept='good', built='bad')
    assert done.returncode == 0 and 'BUILT' not in done.stdout
    assert wheel.read_text() == 'good'


def test_kept_wheel_that_fails_the_proof_is_built_anew(sandbox):
    done, wheel = install_mmcv(sandbox, kept='bad', built='good')
    assert done.returncode == 0 and done.stdout.count('BUILT') == 1
    assert wheel.read_text().strip() == 'good'


def test_built_wheel_that_fails_the_proof_is_not_kept(sandbox):
    done, wheel = install_mmcv(sandbox, kept=None, built='bad')
    assert done.returncode == 1 and done.stdout.count('BUILT') == 1
    assert 'the wheel is removed' in done.stderr
    assert not wheel.exists()


@pytest.mark.parametrize(
    'error, advice',
    [
        ("error: command 'gcc' failed: No such file or directory", 'build-essential'),
        ("error: command '/usr/bin/g++' failed: No such file or directory", 'build-essential'),
        ('x.h:1:10: fatal error: Python.h: No such file or directory', 'python3-dev'),
        ('fatal error: cusparse.h: No such file or directory', 'CUDA toolkit'),
        ('RuntimeError: The detected CUDA version (12.4) mismatches the version used to compile', 'SSOD_OPS=cpu'),
        ('g++: fatal error: Killed signal terminated program cc1plus', 'MAX_JOBS=1'),
        ('OSError: [Errno 28] No space left on device', 'disk is full'),
        ('mmcv/_ext.so: undefined symbol: _ZN3c10', 'fresh environment'),
        ('ImportError: libGL.so.1: cannot open shared object file', 'pip uninstall -y opencv-python'),
        ('NewConnectionError: Failed to establish a new connection', 'https_proxy'),
    ],
)
def test_failure_shows_the_error_the_advice_and_the_log(sandbox, error, advice):
    (sandbox.clone / 'install.log').write_text(f'fine so far\n{error}\nlater noise\n')
    done = sandbox.call("failed 'this step'", LOG='')
    assert done.returncode == 1
    assert 'this step failed' in done.stderr
    assert error in done.stderr and advice in done.stderr
    assert str(sandbox.clone / 'install.log') in done.stderr


def test_jobs_and_estimate(sandbox):
    assert sandbox.call('jobs cpu', MAX_JOBS='3').stdout.strip() == '3'
    assert 1 <= int(sandbox.call('jobs cpu').stdout) <= os.cpu_count()
    assert sandbox.call('estimate cpu 2; estimate cuda 2; estimate cpu 5').stdout.split() == ['10', '29', '4']


# -------------------------------------------------------------------------------------------------- the second run


def test_second_run_does_nothing_until_something_changes(sandbox, tmp_path):
    sandbox.program(str(tmp_path / 'mine/bin/python'), 'exit 1')
    torch = tmp_path / 'mine/lib/python3.11/site-packages/torch-2.11.0.dist-info'
    torch.mkdir(parents=True)
    setting = f'ENV_DIR="{tmp_path}/mine"; PY=$ENV_DIR/bin/python; STAMP=$ENV_DIR/stamp; '

    def is_installed():
        return sandbox.call(setting + 'is_installed').returncode == 0

    assert not is_installed()
    sandbox.call(setting + 'fingerprint >"$STAMP"')
    assert is_installed()
    torch.rename(torch.with_name('torch-2.12.0.dist-info'))
    assert not is_installed()
    sandbox.call(setting + 'fingerprint >"$STAMP"')
    assert is_installed()
    with open(sandbox.clone / 'requirements/runtime.txt', 'a') as file:
        file.write('another\n')
    assert not is_installed()


# ------------------------------------------------------------------------------------------- Makefile, requirements


@pytest.mark.skipif(not shutil.which('make'), reason='make is not installed')
def test_make_alone_lists_every_target():
    makefile = (ROOT / 'Makefile').read_text()
    targets = re.search(r'^\.PHONY: (.*)$', makefile, re.M).group(1).split()
    shown = subprocess.run(['make', '-s', '-C', ROOT], capture_output=True, text=True, check=True).stdout
    assert re.findall(r'^make (\w+)', shown, re.M) == targets == ['help', 'install', 'demo', 'test', 'lint']


def requirements(name: str) -> dict[str, str]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    pairs = (re.match(r'([\w-]+)(.*)', line.strip()) for line in lines)
    return {pair[1].lower(): pair[2] for pair in pairs if pair}


def test_torch_and_torchvision_are_pinned_as_a_pair():
    torch, torchvision = requirements('torch').values()
    assert int(torchvision.split('.')[1]) == int(torch.split('.')[1]) + 15


def test_everything_asked_for_is_pinned_for_our_own_environment():
    wanted = {**requirements('build'), **requirements('runtime'), **requirements('dev')}
    pins = requirements('constraints')
    unpinned = {name for name, version in wanted.items() if name not in pins and not version.startswith('==')}
    assert not unpinned
    assert all(version.startswith('==') for version in pins.values())


def test_setup_leaves_mmcv_and_opencv_to_the_installer():
    call = next(n for n in ast.walk(ast.parse((ROOT / 'setup.py').read_text())) if isinstance(n, ast.Call))
    wanted = ast.literal_eval(next(k.value for k in call.keywords if k.arg == 'install_requires'))
    assert 'mmdet==2.28.2' in wanted
    assert not [name for name in wanted if re.match('mmcv|opencv', name)]
    assert 'opencv-python' not in requirements('runtime')
