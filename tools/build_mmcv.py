"""Makes a wheel of mmcv-full 1.7.2 that needs no compiler: mmcv's source with `ssod/ops` as its extension `mmcv._ext`.

    python tools/build_mmcv.py             the wheel, in build/
    python tools/build_mmcv.py --install   and installs it into this Python, unless an mmcv-full is there that works

The wheel keeps mmcv-full's name and version, so that MMDetection and pip take it for what it is. It leaves out the C++
and CUDA sources, and asks for no OpenCV: the one that mmcv-full's setup.py names overwrites opencv-python-headless.
"""

import argparse
import base64
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = '1.7.2'
DIST_INFO = f'mmcv_full-{VERSION}.dist-info'
MARKER = 'ssod_ops'  # a file of the dist-info: the digest of the ssod/ops inside
WHEEL = 'Wheel-Version: 1.0\nGenerator: ssod tools/build_mmcv.py\nRoot-Is-Purelib: true\nTag: py3-none-any\n'
BACKEND = f"""
import os

class __legacy__:
    @staticmethod
    def prepare_metadata_for_build_wheel(folder, config_settings=None):
        os.mkdir(os.path.join(folder, '{DIST_INFO}'))
        with open(os.path.join(folder, '{DIST_INFO}', 'METADATA'), 'w') as file:
            file.write('Metadata-Version: 2.1\\nName: mmcv-full\\nVersion: {VERSION}\\n')
        return '{DIST_INFO}'
"""


def read_ops(folder: Path) -> dict[str, bytes]:
    """The files of ``ssod/ops`` by their place in the wheel, without Python's caches.

    Raises:
        FileNotFoundError: the folder is no package.
    """
    if not (folder / '__init__.py').is_file():
        raise FileNotFoundError(f'{folder} has no __init__.py: it should hold the operators, as ssod/ops does')
    paths = (path for path in sorted(folder.rglob('*')) if path.is_file() and '__pycache__' not in path.parts)
    return {f'mmcv/_ext/{path.relative_to(folder).as_posix()}': path.read_bytes() for path in paths}


def digest(files: dict[str, bytes]) -> str:
    """One hash of names and contents."""
    total = hashlib.sha256()
    for name, content in files.items():
        total.update(f'{name} {hashlib.sha256(content).hexdigest()}\n'.encode())
    return total.hexdigest()


def download_sdist(folder: Path) -> Path:
    """mmcv-full's source archive in ``folder``, from the package index that pip is set up for; kept for the next time.

    Raises:
        subprocess.CalledProcessError: pip could not get it; pip has said why.
    """
    sdist = folder / f'mmcv-full-{VERSION}.tar.gz'
    if sdist.exists():
        return sdist
    # pip asks the setup.py of a source archive for name and version, and mmcv-full's fails on today's setuptools and on
    # Python 3.13. A stand-in for setuptools answers: nothing of the archive is run, and no wheel is built or cached.
    with tempfile.TemporaryDirectory() as scratch:
        backend = Path(scratch) / 'setuptools'
        backend.mkdir()
        (backend / '__init__.py').touch()
        (backend / 'build_meta.py').write_text(BACKEND)
        pip = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--no-cache-dir', '--dest', scratch]
        pip += ['--no-build-isolation', '--no-binary', 'mmcv-full', f'mmcv-full=={VERSION}']
        subprocess.run(pip, env={**os.environ, 'PYTHONPATH': scratch, 'PIP_USE_PEP517': '1'}, check=True)
        folder.mkdir(parents=True, exist_ok=True)
        sdist.write_bytes((Path(scratch) / sdist.name).read_bytes())
    return sdist


def read_sdist(sdist: Path) -> dict[str, bytes]:
    """The files of a source archive by their path inside its one top folder."""
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        return {member.name.partition('/')[2]: archive.extractfile(member).read() for member in members}


def make_metadata(source: dict[str, bytes]) -> str:
    """mmcv-full's own METADATA, with what its requirements file asks for."""
    headers = HeaderParser().parsestr(source['PKG-INFO'].decode())
    kept = [f'{key}: {value}' for key, value in headers.items() if key not in ('Requires-Dist', 'Provides-Extra')]
    requirements = source['requirements/runtime.txt'].decode().split()
    return '\n'.join(kept + [f'Requires-Dist: {name}' for name in requirements]) + '\n'


def build_wheel(sdist: Path, ops: dict[str, bytes], folder: Path) -> Path:
    """Write the wheel of ``sdist`` with ``ops`` as ``mmcv/_ext`` into ``folder``; returns its path."""
    source = read_sdist(sdist)
    skipped = ('mmcv/ops/csrc/', 'mmcv/_ext')
    files = {name: data for name, data in source.items() if name.startswith('mmcv/') and not name.startswith(skipped)}
    files.update(ops)
    files.update({f'{DIST_INFO}/{name}': source[name] for name in ('LICENSE', 'LICENSES.md') if name in source})
    files[f'{DIST_INFO}/METADATA'] = make_metadata(source).encode()
    files[f'{DIST_INFO}/WHEEL'] = WHEEL.encode()
    files[f'{DIST_INFO}/top_level.txt'] = b'mmcv\n'
    files[f'{DIST_INFO}/{MARKER}'] = digest(ops).encode()

    wheel = folder / f'mmcv_full-{VERSION}-py3-none-any.whl'
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, 'w', zipfile.ZIP_DEFLATED) as archive:
        record = ''
        for name, data in files.items():
            archive.writestr(name, data)
            sha256 = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()
            record += f'{name},sha256={sha256},{len(data)}\n'
        archive.writestr(f'{DIST_INFO}/RECORD', f'{record}{DIST_INFO}/RECORD,,\n')
    return wheel


def installed(name: str) -> metadata.Distribution | None:
    """The distribution of that name in this Python, if any."""
    return next(iter(metadata.distributions(name=name)), None)


def proves() -> bool:
    """Whether the installed mmcv-full computes NMS and RoIAlign; its output is shown."""
    return subprocess.run([sys.executable, str(ROOT / 'tools/prove_mmcv.py')]).returncode == 0


def is_current(ops: dict[str, bytes]) -> bool:
    """Whether an mmcv-full is installed that works: a compiled one, or one that holds just these ``ops``."""
    mmcv = installed('mmcv-full')
    if mmcv is None or not mmcv.version.startswith('1.7.'):
        return False
    return (mmcv.read_text(MARKER) or digest(ops)) == digest(ops) and proves()


def install(wheel: Path) -> None:
    """Install the wheel into this Python in place of any other mmcv-full, and prove that it works."""
    pip = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--force-reinstall', str(wheel)]
    subprocess.run(pip, check=True)
    if not proves():
        sys.exit('mmcv-full is installed and its operators do not work: see docs/install.md.')


def main() -> None:
    """Build the wheel, or see to it that a working mmcv-full is installed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--install', action='store_true', help='install it, unless an mmcv-full is there that works')
    parser.add_argument('--sdist', type=Path, help='source archive of mmcv-full (default: downloaded by pip)')
    parser.add_argument('--ops', type=Path, default=ROOT / 'ssod/ops', help='folder of the operators (%(default)s)')
    parser.add_argument('--out', type=Path, default=ROOT / 'build', help='folder for the wheel (%(default)s)')
    args = parser.parse_args()

    stranger = installed('mmcv')
    if args.install and stranger:
        sys.exit(
            f'mmcv {stranger.version} is installed here; mmcv-full {VERSION}, which is needed, would overwrite it. '
            'Use a fresh environment, or: pip uninstall mmcv'
        )
    ops = read_ops(args.ops)
    if args.install and is_current(ops):
        print(f'keeping mmcv-full {installed("mmcv-full").version}, which works')
        return
    wheel = build_wheel(args.sdist or download_sdist(args.out), ops, args.out)
    print(wheel)
    if args.install:
        install(wheel)


if __name__ == '__main__':
    main()
