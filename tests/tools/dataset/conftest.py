"""The tools are scripts, not a package: make them importable as a script sees them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / 'tools' / 'dataset'))
