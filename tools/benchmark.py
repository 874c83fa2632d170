"""Time the parts of training: `python tools/benchmark.py step`. All of it is in benchmarks/benchmark.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.benchmark import main, run_command  # noqa: E402

if __name__ == '__main__':
    run_command(main)
