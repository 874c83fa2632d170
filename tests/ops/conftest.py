"""mmcv's operators on ``ssod.ops``, whichever mmcv-full is installed."""

import importlib
import pkgutil
import sys
from pathlib import Path

import mmcv.ops
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import ssod.ops  # noqa: E402


@pytest.fixture
def torchvision_ops(monkeypatch) -> None:
    """Let the autograd functions of ``mmcv.ops`` call ``ssod.ops`` for the time of a test."""
    for module in pkgutil.iter_modules(mmcv.ops.__path__):
        module = importlib.import_module(f'mmcv.ops.{module.name}')
        if hasattr(module, 'ext_module'):
            monkeypatch.setattr(module, 'ext_module', ssod.ops)


@pytest.fixture
def compiled_ops() -> None:
    """Skip the test where the installed mmcv-full is not compiled."""
    if mmcv.ops.get_compiler_version().startswith('none'):
        pytest.skip('needs a compiled mmcv-full to compare with')
