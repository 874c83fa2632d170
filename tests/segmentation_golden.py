"""The authors' figures for label maps, and a comparison with them. See tests/data/golden/segmentation_case.py."""

import json
import sys
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parent / 'data/golden'
sys.path.insert(0, str(FOLDER))

import segmentation_case as case  # noqa: E402  the inputs

OFFICIAL = json.loads((FOLDER / 'segmentation.json').read_text())


def check(value, expected) -> None:
    """A tensor against its stored summary, or a number, to a relative 1e-10."""
    if isinstance(expected, dict):
        ours = case.summary(value)
        assert ours['shape'] == expected['shape']
        scale = expected['abs_sum']  # sums cancel: the size of what is summed is the measure
        for key in ('sum', 'abs_sum', 'cos_sum'):
            assert abs(ours[key] - expected[key]) <= 1e-10 * scale, key
        np.testing.assert_allclose(ours['head'], expected['head'], rtol=1e-10, atol=1e-16)
    else:
        torch.testing.assert_close(float(value.detach()), expected, rtol=1e-10, atol=0)
