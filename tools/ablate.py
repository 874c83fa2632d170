"""The paper's ablations, a table per command: `python tools/ablate.py 7 --data demo --seeds 0 1 2`. See --help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.paper_tables.ablate import main  # noqa: E402
from ssod.apis.checks import run_command  # noqa: E402

if __name__ == '__main__':
    run_command(main)
