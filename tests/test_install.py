"""What `make install` decides and says, with stand-ins for interpreters on a PATH of its own."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from install_sandbox import Sandbox

ROOT = Path(__file__).parents[1]


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
    sandbox.program('python3.11', 'echo "ModuleNotFoundError: ensurepip" >&2; exit 1')
    sandbox.program('python3', 'echo 3.10')
    assert sandbox.call('choose_python').stdout.strip() == str(sandbox.bin / 'python3')


def test_no_supported_interpreter(sandbox):
    sandbox.program('python3', 'echo 3.14')
    done = sandbox.install()
    assert done.returncode == 1
    assert 'no Python 3.10, 3.11, 3.12 or 3.13 with its venv module found' in done.stderr
    assert 'apt install python3 python3-venv' in done.stderr


def test_a_real_interpreter_is_asked(sandbox):
    version = f'{sys.version_info.major}.{sys.version_info.minor}'
    assert sandbox.call(f'version_of "{sys.executable}"').stdout.strip() == version


def test_active_environment_with_unsupported_python_is_refused(sandbox, tmp_path):
    sandbox.program(str(tmp_path / 'mine/bin/python'), 'echo 3.9')
    done = sandbox.install(VIRTUAL_ENV=str(tmp_path / 'mine'))
    assert done.returncode == 1
    assert 'is Python 3.9, and 3.10, 3.11, 3.12 or 3.13 is needed' in done.stderr


# ------------------------------------------------------------------------------------- what is there already stays


def fake_env(sandbox, otherwise: str = '', **versions: str) -> str:
    """An environment whose Python answers install.sh's question for a package's version; bash code that enters it."""
    cases = ' '.join(f'{name.replace("_", "-")}) echo {version};;' for name, version in versions.items())
    sandbox.program(str(sandbox.clone.parent / 'mine/bin/python'), f'case $3 in {cases} "") {otherwise} ;; esac')
    return f'ENV_DIR="{sandbox.clone.parent}/mine"; PY=$ENV_DIR/bin/python; SCRATCH=$ROOT; : >$LOG; '


def test_torch_and_numpy_of_the_users_environment_are_held(sandbox):
    setting = fake_env(sandbox, torch='2.6.0+cu121', torchvision='0.21.0+cu121', numpy='1.26.4')
    sandbox.call(setting + 'write_constraints')
    held = (sandbox.clone / 'constraints.txt').read_text().split()
    assert held == ['torch==2.6.0+cu121', 'torchvision==0.21.0+cu121', 'numpy==1.26.4']


def test_environment_without_torch_gets_the_tested_pair(sandbox):
    sandbox.call(fake_env(sandbox, torchvision='0.21.0', numpy='1.26.4') + 'write_constraints')
    pins = requirements()
    held = (sandbox.clone / 'constraints.txt').read_text().split()
    assert held == ['torch' + pins['torch'], 'torchvision' + pins['torchvision'], 'numpy==1.26.4']


def test_own_environment_gets_the_tested_versions(sandbox):
    sandbox.call('ENV_DIR=$ROOT/.venv; SCRATCH=$ROOT; write_constraints')
    assert (sandbox.clone / 'constraints.txt').read_text() == (ROOT / 'requirements/constraints.txt').read_text()


@pytest.mark.parametrize(
    'versions, message',
    [
        ({'mmcv': '2.1.0'}, 'mmcv 2.1.0 is installed here; mmcv-full 1.7.2'),
        ({'mmdet': '3.3.0'}, 'mmdet 3.3.0 is installed here, and 2.28.2 is needed'),
        ({'mmsegmentation': '1.2.2'}, 'mmsegmentation 1.2.2 is installed here, and 0.30.0 is needed'),
    ],
)
def test_environment_that_cannot_work_is_refused(sandbox, versions, message):
    done = sandbox.call(fake_env(sandbox, **versions) + 'refuse_strangers')
    assert done.returncode == 1
    assert message in done.stderr


def test_torch_that_works_is_kept_and_one_that_fails_is_refused(sandbox):
    done = sandbox.call(fake_env(sandbox, torch='2.6.0', torchvision='0.21.0') + 'install_torch')
    assert done.returncode == 0 and 'keeping torch 2.6.0 and torchvision 0.21.0' in done.stdout
    broken = 'echo "OSError: undefined symbol"; exit 1'
    done = sandbox.call(fake_env(sandbox, broken, torch='2.6.0', torchvision='0.20.0') + 'install_torch')
    assert done.returncode == 1
    assert 'torch 2.6.0 with torchvision 0.20.0: trying them out failed' in done.stderr
    assert 'undefined symbol' in done.stderr and 'docs/install.md' in done.stderr


@pytest.mark.parametrize('cv2, kept', [('true', ''), ('false', 'opencv-python-headless')])
def test_another_build_of_opencv_that_works_stays(sandbox, cv2, kept):
    asked = f'case $2 in *requires*) echo numpy; echo opencv-python-headless;; *cv2*) {cv2};; esac'
    done = sandbox.call(fake_env(sandbox, asked) + 'requirements')
    assert done.stdout.split() == ['numpy', kept][: 1 + bool(kept)]


def test_failure_shows_the_error_and_where_to_look_it_up(sandbox):
    (sandbox.clone / 'install.log').write_text('fine so far\nOSError: No space left on device\nlater noise\n')
    done = sandbox.call("failed 'this step'")
    assert done.returncode == 1
    assert 'this step failed' in done.stderr and 'No space left on device' in done.stderr
    assert 'docs/install.md' in done.stderr and str(sandbox.clone / 'install.log') in done.stderr
    assert 'fine so far' not in done.stderr


# -------------------------------------------------------------------------------------------------- the second run


def test_second_run_does_nothing_until_something_changes(sandbox, tmp_path):
    sandbox.program(str(tmp_path / 'mine/bin/python'), 'exit 1')
    torch = tmp_path / 'mine/lib/python3.11/site-packages/torch-2.11.0.dist-info'
    torch.mkdir(parents=True)
    setting = f'ENV_DIR="{tmp_path}/mine"; PY=$ENV_DIR/bin/python; STAMP=$ENV_DIR/stamp; '

    def is_installed(**env):
        return sandbox.call(setting + 'is_installed', **env).returncode == 0

    assert not is_installed()
    for change in (
        lambda: torch.rename(torch.with_name('torch-2.12.0.dist-info')),
        lambda: (sandbox.clone / 'pyproject.toml').write_text('another'),
        lambda: (sandbox.clone / 'requirements/constraints.txt').write_text('another'),
        lambda: (sandbox.clone / 'ssod/ops/__init__.py').write_text('nms = 1\n'),
        lambda: (sandbox.clone / 'ssod/ops/more.py').write_text('\n'),
    ):
        assert sandbox.call(setting + 'fingerprint >"$STAMP"').returncode == 0
        assert is_installed()
        assert not is_installed(SSOD_OPS='compiled')
        change()
        assert not is_installed()


# ------------------------------------------------------------------------------------------- Makefile, pyproject.toml


@pytest.mark.skipif(not shutil.which('make'), reason='make is not installed')
def test_make_alone_lists_every_target():
    makefile = (ROOT / 'Makefile').read_text()
    targets = re.search(r'^\.PHONY: (.*)$', makefile, re.M).group(1).split()
    shown = subprocess.run(['make', '-s', '-C', ROOT], capture_output=True, text=True, check=True).stdout
    assert (
        re.findall(r'^make ([\w-]+)', shown, re.M)
        == targets
        == ['help', 'install', 'demo', 'test', 'test-long', 'lint', 'docs']
    )


def split(lines) -> dict[str, str]:
    """Name of each requirement, in lower case, to the rest of its line."""
    pairs = (re.match(r'([\w-]+)(.*)', line.strip()) for line in lines)
    return {pair[1].lower(): pair[2] for pair in pairs if pair}


def requirements() -> dict[str, str]:
    return split((ROOT / 'requirements/constraints.txt').read_text().splitlines())


@pytest.fixture
def project() -> dict:
    tomllib = pytest.importorskip('tomllib')  # from Python 3.11 on
    return tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']


def test_torch_and_torchvision_are_pinned_as_a_pair():
    pins = requirements()
    assert int(pins['torchvision'].split('.')[1]) == int(pins['torch'].split('.')[1]) + 15


def test_everything_asked_for_is_pinned_for_our_own_environment(project):
    wanted = split(project['dependencies'] + sum(project['optional-dependencies'].values(), []))
    pins = requirements()
    assert not {name for name, version in wanted.items() if name not in pins and not version.startswith('==')}
    assert all(version.startswith('==') for version in pins.values())


def test_every_imported_package_is_named(project):
    names = {
        'cv2': 'opencv-python-headless', 'PIL': 'pillow', 'yaml': 'pyyaml', 'mmseg': 'mmsegmentation',
        'faster_coco_eval': 'faster-coco-eval', 'mlflow': 'mlflow-skinny',
    }  # fmt: skip
    imported = set()
    for path in (ROOT / 'ssod').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported.update(alias.name.partition('.')[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.partition('.')[0])
    imported -= set(sys.stdlib_module_names) | {'ssod'}
    extras = project['optional-dependencies']
    named = set(split(project['dependencies'] + extras['logging'] + extras['timm'] + extras['segmentation']))
    assert {'torch', 'mmcv'} <= imported
    # pip must not build mmcv: make install does; Prediction.to_supervision names the package that it is for.
    assert {names.get(name, name) for name in imported} - named == {'mmcv', 'supervision'}
