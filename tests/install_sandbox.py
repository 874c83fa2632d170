"""A folder in which the scripts of the installation run with stand-ins for interpreters, compilers and GPUs."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
COREUTILS = 'awk bash cat cp cut dirname env find flock grep head ls mkdir mktemp mv nproc readlink rm sed sha256sum'
COREUTILS += ' sort tail touch wc xargs'


class Sandbox:
    """A copy of what the scripts of the installation read, and a PATH with coreutils and what a test puts there."""

    def __init__(self, folder: Path):
        self.bin, self.clone = folder / 'bin', folder / 'clone'
        self.bin.mkdir()
        for name in ('pyproject.toml', 'tools/install.sh', 'tools/compile_mmcv.sh', 'tools/build_mmcv.py'):
            (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.clone / name)
        shutil.copytree(ROOT / 'requirements', self.clone / 'requirements')
        (self.clone / 'ssod/ops').mkdir(parents=True)
        (self.clone / 'ssod/ops/__init__.py').write_text('nms = None\n')
        for tool in COREUTILS.split():
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
        """Runs tools/install.sh."""
        return self.run('bash', 'tools/install.sh', *args, **env)

    def call(self, code: str, script: str = 'install', **env: str) -> subprocess.CompletedProcess:
        """Bash code that may use the functions of a script in tools/."""
        return self.run('bash', '-c', f'source tools/{script}.sh; {code}', **env)
