import subprocess
import sys
from importlib import import_module
from types import ModuleType, SimpleNamespace

import pytest
from runs import ENV

from ssod import host

OURS = ModuleType('ssod.ops')


@pytest.fixture
def modules(monkeypatch):
    """What ``find_mmcv`` may import, by name; an exception is raised in place of the module."""
    found = {'ssod.ops': OURS, 'torch': import_module('torch')}

    def import_stand_in(name: str) -> ModuleType:
        if isinstance(found[name], Exception):
            raise found[name]
        return found[name]

    monkeypatch.setattr(host, 'import_module', import_stand_in)
    monkeypatch.setattr(host, 'find_spec', lambda name: found.get(name))
    monkeypatch.setattr(host, 'mmcv_version', lambda: '1.7.2')
    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    monkeypatch.setitem(sys.modules, 'mmcv._ext', None)  # put back as it was when the test ends
    monkeypatch.delitem(sys.modules, 'mmcv._ext')
    return found


def test_mmcv_without_operators_gets_ours(modules):
    host.find_mmcv()
    assert sys.modules['mmcv._ext'] is OURS


def test_mmcv_with_operators_keeps_them(modules):
    modules['mmcv._ext'] = ModuleType('mmcv._ext')
    host.find_mmcv()
    assert sys.modules.get('mmcv._ext') is not OURS


def test_operators_compiled_for_another_torch(modules):
    modules['mmcv._ext'] = ImportError('undefined symbol: _ZN3c10')
    with pytest.raises(ImportError, match='do not fit the installed torch .*undefined symbol.*pip uninstall mmcv-full'):
        host.find_mmcv()


@pytest.mark.parametrize(
    'version, message',
    [
        (None, 'mmcv-full 1.7.2 is needed and not installed: run `make install`, or `python tools/build_mmcv.py'),
        ('2.1.0', 'mmcv-full 1.7.2 is needed and mmcv 2.1.0 is installed: `pip uninstall mmcv mmcv-full mmcv-lite`'),
        ('1.3.17', 'mmcv-full 1.7.2 is needed and mmcv 1.3.17 is installed'),
    ],
)
def test_no_mmcv_or_another_one_says_what_to_do(modules, monkeypatch, version, message):
    monkeypatch.setattr(host, 'mmcv_version', lambda: version)
    with pytest.raises(ImportError) as caught:
        host.find_mmcv()
    assert message in str(caught.value)


def test_the_installed_mmcv_is_found():
    code = "from ssod.host import find_mmcv, mmcv_version; find_mmcv(); import mmcv.ops; print('found', mmcv_version())"
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ['found 1.7.2'], done.stderr


@pytest.mark.parametrize('version, found', [('0.30.0', True), ('1.2.2', False), (None, False)])
def test_segmentation_is_there_with_the_mmseg_that_it_is_written_for(version, found, monkeypatch):
    distributions = [SimpleNamespace(version=version)] if version else []
    monkeypatch.setattr(host, 'distributions', lambda name: distributions)
    assert host.has_mmseg() is found


WITHOUT_MMSEG = """
import importlib.metadata as metadata, sys
own = metadata.distributions
metadata.distributions = lambda **k: iter(()) if k.get('name') == 'mmsegmentation' else own(**k)
import ssod
from ssod.core.task import TASKS
print(sorted(TASKS), 'mmseg' in sys.modules)
try:
    import ssod.segmentation
except ImportError as error:
    print(error)
"""


def test_without_mmseg_detection_works_and_segmentation_says_what_to_install():
    run = subprocess.run([sys.executable, '-c', WITHOUT_MMSEG], env=ENV, capture_output=True, text=True)
    first, *rest = run.stdout.splitlines()
    assert first == "['detection'] False", run.stderr
    assert rest[0].startswith('segmentation needs mmsegmentation 0.30.0 and prettytable: run `make install`')
