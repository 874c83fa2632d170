"""Real runs, shared by the tests; see tests/runs.py."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import runs  # noqa: E402


@pytest.fixture(scope='session')
def work_dir() -> Path:
    """Work dir of Soft Teacher, trained for 8 iterations."""
    return runs.trained()


@pytest.fixture(scope='session')
def checkpoint(work_dir: Path) -> Path:
    """Soft Teacher's last checkpoint."""
    return work_dir / 'iter_8.pth'
