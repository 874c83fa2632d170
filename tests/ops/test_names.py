"""The extension module is whole: each name that mmcv loads is there, and what cannot work says so."""

import ast
import importlib.util
import shutil
import sys
from pathlib import Path

import mmcv.ops
import pytest
import torch
from mmcv.utils.env import collect_env

import ssod.ops
from ssod.ops.missing import COMPILED_ONLY

FOLDER = Path(ssod.ops.__file__).parent


def loaded_names() -> set[str]:
    """The names that the sources of ``mmcv.ops`` ask ``load_ext`` for."""
    trees = [ast.parse(path.read_text()) for path in Path(mmcv.ops.__file__).parent.glob('*.py')]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls = [call for call in calls if getattr(call.func, 'attr', None) == 'load_ext']
    assert len(calls) > 40
    return {name for call in calls for name in ast.literal_eval(call.args[1])}


def test_the_names_are_those_that_mmcv_loads():
    assert set(ssod.ops.__all__) == loaded_names()
    assert len(ssod.ops.__all__) == len(set(ssod.ops.__all__))
    assert all(callable(getattr(ssod.ops, name)) for name in ssod.ops.__all__)


@pytest.mark.parametrize('name', COMPILED_ONLY)
def test_what_needs_the_compiled_build_says_so(name):
    with pytest.raises(RuntimeError, match=f'operator {name} needs the compiled .*SSOD_OPS=compiled make install') as e:
        getattr(ssod.ops, name)(torch.zeros(1), keyword=1)
    assert not isinstance(e.value, NotImplementedError)


def test_a_call_through_mmcv_is_refused_in_a_sentence(torchvision_ops):
    box = torch.tensor([[5.0, 5, 4, 4, 0.1]])
    with pytest.raises(RuntimeError, match='nms_rotated needs the compiled mmcv-full'):
        mmcv.ops.nms_rotated(box, torch.ones(1), 0.5)


def test_collect_env_says_what_the_operators_are(torchvision_ops):
    env = collect_env()
    assert env['MMCV Compiler'] == 'none (torchvision kernels)'
    assert env['MMCV CUDA Compiler'] == 'none (torchvision kernels)'


def test_the_files_need_torch_torchvision_and_numpy_alone():
    """They are copied into mmcv, which must not need this package."""
    imported = set()
    for path in FOLDER.glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.split('.')[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split('.')[0])
    assert imported - sys.stdlib_module_names == {'torch', 'torchvision', 'numpy'}


def test_a_copy_under_another_name_works(tmp_path):
    copy = shutil.copytree(FOLDER, tmp_path / 'copied_ext', ignore=shutil.ignore_patterns('__pycache__'))
    spec = importlib.util.spec_from_file_location(
        'copied_ext', copy / '__init__.py', submodule_search_locations=[str(copy)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules['copied_ext'] = module
    try:
        spec.loader.exec_module(module)
        boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 8], [20, 20, 29, 29]])
        assert module.nms(boxes, torch.tensor([0.2, 0.9, 0.5]), iou_threshold=0.5, offset=0).tolist() == [1, 2]
    finally:
        for name in [name for name in sys.modules if name.split('.')[0] == 'copied_ext']:
            del sys.modules[name]
