"""A config of the authors' repository as ours: `python tools/convert_config.py THEIRS.py --out OURS.py`. See --help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.official_config.convert_config import main  # noqa: E402
from ssod.apis.checks import run_command  # noqa: E402

if __name__ == '__main__':
    run_command(main)
