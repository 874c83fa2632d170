"""The wheel of mmcv-full that needs no compiler, made from a small source archive without the network."""

import base64
import csv
import hashlib
import importlib.util
import io
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
INFO = 'mmcv_full-1.7.2.dist-info'
SOURCE = {
    'PKG-INFO': 'Metadata-Version: 2.1\nName: mmcv-full\nVersion: 1.7.2\nProvides-Extra: all\nLicense-File: LICENSE\n',
    'LICENSE': 'Apache',
    'setup.py': 'raise SystemExit("not run")',
    'requirements/runtime.txt': "addict\nregex;sys_platform=='win32'\nyapf\n",
    'mmcv/__init__.py': '',
    'mmcv/model_zoo/some.json': '{}',
    'mmcv/ops/__init__.py': 'from mmcv._ext.boxes import nms\n',
    'mmcv/ops/csrc/nms.cpp': 'int main() {}',
    'tests/test_ops.py': '',
}


@pytest.fixture
def builder():
    """tools/build_mmcv.py as a module."""
    spec = importlib.util.spec_from_file_location('build_mmcv', ROOT / 'tools/build_mmcv.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ops(tmp_path) -> Path:
    """A folder like ssod/ops, with a cache that does not belong into a wheel."""
    folder = tmp_path / 'ops'
    (folder / '__pycache__').mkdir(parents=True)
    (folder / '__init__.py').write_text('from .boxes import nms\n')
    (folder / 'boxes.py').write_text('nms = "ours"\n')
    (folder / '__pycache__/boxes.pyc').write_bytes(b'x')
    return folder


@pytest.fixture
def wheel(builder, ops, tmp_path) -> Path:
    sdist = tmp_path / 'mmcv-full-1.7.2.tar.gz'
    with tarfile.open(sdist, 'w:gz') as archive:
        for name, text in SOURCE.items():
            member = tarfile.TarInfo(f'mmcv-full-1.7.2/{name}')
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return builder.build_wheel(sdist, builder.read_ops(ops), tmp_path / 'out')


def test_wheel_holds_mmcv_and_our_operators_and_no_sources(wheel):
    assert wheel.name == 'mmcv_full-1.7.2-py3-none-any.whl'
    names = zipfile.ZipFile(wheel).namelist()
    assert sorted(name for name in names if not name.startswith(INFO)) == [
        'mmcv/__init__.py',
        'mmcv/_ext/__init__.py',
        'mmcv/_ext/boxes.py',
        'mmcv/model_zoo/some.json',
        'mmcv/ops/__init__.py',
    ]


def test_record_holds_every_file_with_its_hash(wheel):
    archive = zipfile.ZipFile(wheel)
    rows = list(csv.reader(archive.read(f'{INFO}/RECORD').decode().splitlines()))
    assert [row[0] for row in rows] == archive.namelist()
    assert rows[-1] == [f'{INFO}/RECORD', '', '']
    for name, sha256, size in rows[:-1]:
        data = archive.read(name)
        assert int(size) == len(data)
        assert sha256 == 'sha256=' + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')


def test_metadata_name_what_mmcv_needs_and_no_opencv(wheel):
    lines = zipfile.ZipFile(wheel).read(f'{INFO}/METADATA').decode().splitlines()
    assert lines[1:3] == ['Name: mmcv-full', 'Version: 1.7.2']
    wanted = [line for line in lines if line.startswith('Requires-Dist')]
    assert wanted == ['Requires-Dist: addict', "Requires-Dist: regex;sys_platform=='win32'", 'Requires-Dist: yapf']


def test_folder_without_operators_is_refused(builder, tmp_path):
    with pytest.raises(FileNotFoundError, match='has no __init__.py'):
        builder.read_ops(tmp_path / 'nothing')


def test_pip_installs_and_removes_it(wheel, tmp_path):
    venv.create(tmp_path / 'env', with_pip=False)
    python = tmp_path / 'env/bin/python'
    pip = [sys.executable, '-m', 'pip', '--python', python, '--disable-pip-version-check']
    subprocess.run([*pip, 'install', '--quiet', '--no-deps', '--no-index', wheel], check=True)
    found = subprocess.run([python, '-c', 'import mmcv.ops; print(mmcv.ops.nms)'], capture_output=True, text=True)
    assert found.stdout.strip() == 'ours', found.stderr
    subprocess.run([*pip, 'uninstall', '--quiet', '--yes', 'mmcv-full'], check=True)
    assert not list((tmp_path / 'env/lib').rglob('mmcv*'))


@pytest.mark.parametrize(
    'version, marker, works, current',
    [
        (None, None, True, False),  # nothing is installed
        ('1.7.2', None, True, True),  # a compiled one
        ('1.7.2', None, False, False),
        ('1.6.0', None, True, False),
        ('1.7.2', 'same', True, True),  # ours
        ('1.7.2', 'same', False, False),
        ('1.7.2', 'of other operators', True, False),
    ],
)
def test_mmcv_that_works_is_kept(builder, ops, monkeypatch, version, marker, works, current):
    files = builder.read_ops(ops)
    marker = builder.digest(files) if marker == 'same' else marker
    distribution = version and SimpleNamespace(version=version, read_text=lambda name: marker)
    monkeypatch.setattr(builder, 'installed', lambda name: distribution)
    monkeypatch.setattr(builder, 'proves', lambda: works)
    assert builder.is_current(files) is current


def test_digest_changes_with_a_name_and_a_content(builder, ops):
    digests = [builder.digest(builder.read_ops(ops))]
    (ops / 'boxes.py').write_text('nms = "changed"\n')
    digests.append(builder.digest(builder.read_ops(ops)))
    (ops / 'boxes.py').rename(ops / 'nms.py')
    digests.append(builder.digest(builder.read_ops(ops)))
    assert len(set(digests)) == 3


def test_plain_mmcv_is_not_overwritten(builder, ops, monkeypatch):
    monkeypatch.setattr(builder, 'installed', lambda name: SimpleNamespace(version='2.1.0') if name == 'mmcv' else None)
    monkeypatch.setattr(sys, 'argv', ['build_mmcv.py', '--install', '--ops', str(ops)])
    with pytest.raises(SystemExit, match='mmcv 2.1.0 is installed here'):
        builder.main()
