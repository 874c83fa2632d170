"""Pseudo boxes against true ones: `python tools/analyze_pseudo_labels.py CONFIG CHECKPOINT --out DIR`. See --help."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from projects.paper_tables.analyze_pseudo_labels import main  # noqa: E402
from ssod.apis.checks import run_command  # noqa: E402

if __name__ == '__main__':
    run_command(main)
