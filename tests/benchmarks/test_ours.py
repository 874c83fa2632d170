"""What our own row times is what the config says."""

import json

import pytest
from runs import SOFT_TEACHER

from benchmarks import ours
from benchmarks.case import write_case
from benchmarks.measuring import Parts
from ssod.accel import MultilevelRoIExtractor, SampledRPNHead
from ssod.apis import load_config

SETTINGS = dict(kind='step', images=[1, 1], size=[64, 96], candidates=2, seed=1)
IN_FOLDER = dict(device='cpu', amp=None, workers=None)


@pytest.fixture
def built(monkeypatch):
    """The models that are built from now on; their parts are not counted, which would change classes for good."""
    models = []
    build = ours.build_model

    def build_and_keep(folder, case):
        models.append(build(folder, case))
        return models[-1]

    monkeypatch.setattr(ours, 'build_model', build_and_keep)
    monkeypatch.setattr(ours, 'watch', lambda model, parts: None)
    return models


@pytest.mark.parametrize('options, expected', [({}, True), (dict(accelerate=False), False)])
@pytest.mark.parametrize('kind', ['step', 'inference'])
def test_accelerate_reaches_the_run_and_plain_overrules_it(tmp_path, built, options, expected, kind):
    write_case(tmp_path, load_config(SOFT_TEACHER, options), SETTINGS)
    case = {**json.loads((tmp_path / 'case.json').read_text()), **IN_FOLDER}
    build = getattr(ours, f'{kind}_run')
    for start in (build, ours.plain(build)):
        assert start(tmp_path, case, Parts(cuda=False))()
    for model, fast in zip(built, (expected, False), strict=True):
        kinds = {type(module) for module in model.modules()}
        assert (MultilevelRoIExtractor in kinds) == (SampledRPNHead in kinds) == fast


def test_every_part_is_a_method_of_today(tmp_path):
    write_case(tmp_path, load_config(SOFT_TEACHER), SETTINGS)
    case = json.loads((tmp_path / 'case.json').read_text())
    model = ours.build_model(tmp_path, {**case, **IN_FOLDER})
    assert all(callable(getattr(model, name)) for name in ours.TRAINING_PARTS)
    assert all(callable(getattr(ours.RoIStage, name)) for name in ours.STAGE_PARTS)
