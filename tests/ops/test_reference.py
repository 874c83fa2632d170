"""ssod.ops gives what the compiled mmcv-full gives: its recorded figures, and those of the one installed."""

import json

import mmcv.ops
import pytest
import torch
from make_reference import REFERENCE, pick
from operator_cases import COMPILED, CUDA_ONLY, TIES, Result

RECORDED = json.loads(REFERENCE.read_text())['cases']


def assert_close(ours: Result, theirs: Result) -> None:
    """Integers are equal; the rest to a few roundings of the largest."""
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        other = theirs[key]
        if not value.is_floating_point():
            assert torch.equal(value, other), key
            continue
        roundings = 4 if value.dtype == torch.float16 else 32
        scale = max(1.0, other.abs().max().item() if len(other.flatten()) else 0.0)
        tolerance = roundings * torch.finfo(value.dtype).eps * scale
        torch.testing.assert_close(
            value, other, rtol=0, atol=tolerance, equal_nan=False, msg=lambda m, k=key: f'{k}: {m}'
        )


def test_every_case_is_recorded():
    assert RECORDED.keys() == COMPILED.keys()


@pytest.mark.parametrize('name', COMPILED)
def test_recorded_figures(name, torchvision_ops):
    result = COMPILED[name]()
    assert {key: list(value.shape) for key, value in result.items()} == {
        key: record['shape'] for key, record in RECORDED[name].items()
    }
    picked = {key: pick(value).to(value.dtype) for key, value in result.items()}
    recorded = {key: torch.tensor(RECORDED[name][key]['values'], dtype=result[key].dtype) for key in result}
    assert_close(picked, recorded)


@pytest.mark.parametrize('name', [*COMPILED, *TIES])
def test_the_installed_compiled_operators(name, compiled_ops, request):
    case = {**COMPILED, **TIES}[name]
    theirs = case()
    request.getfixturevalue('torchvision_ops')
    assert mmcv.ops.get_compiler_version().startswith('none')  # now ours
    assert_close(case(), theirs)


@pytest.mark.gpu
@pytest.mark.parametrize('name', [*COMPILED, *CUDA_ONLY])
def test_a_gpu_gives_what_a_cpu_gives(name, torchvision_ops):
    case = {**COMPILED, **CUDA_ONLY}[name]
    with torch.device('cuda'):
        on_gpu = case()
    assert_close({key: value.cpu() for key, value in on_gpu.items()}, case())
