"""`ssod doctor`: what it finds, what it advises, and its exit status."""

import importlib.metadata
import shutil
from collections import namedtuple
from types import SimpleNamespace

import pytest
import torch
from packaging.requirements import Requirement
from runs import BASELINE, SOFT_TEACHER, small, taught

from ssod.apis import InputError, doctor
from ssod.cli import COMMANDS
from ssod.core.hardware import Hardware, this_machine

ENV = {
    'Python': '3.11.7 (main)', 'PyTorch': '2.11.0', 'TorchVision': '0.26.0', 'OpenCV': '5.0', 'MMCV': '1.7.2',
    'MMCV Compiler': 'none (torchvision kernels)', 'MMCV CUDA Compiler': 'none', 'MMDetection': '2.28.2+',
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(doctor, 'collect_env', lambda: ENV)  # asks compilers


def lines(found):
    return [str(finding) for finding in found]


def run(*argv):
    COMMANDS['doctor'](list(argv), 'ssod doctor')


def test_this_installation_trains(capsys):
    run()
    said = capsys.readouterr().out
    assert 'mmcv-full 1.7.2 (operators: ssod.ops, nothing compiled), mmdet 2.28.2+' in said
    assert f'torch {ENV["PyTorch"]}, torchvision {ENV["TorchVision"]}' in said
    assert 'one training step of detection on cpu: loss ' in said and 'WRONG' not in said
    assert len([line for line in said.splitlines() if 'one training step' in line]) == 1 + torch.cuda.device_count()
    assert 'a training step of segmentation on cpu: loss ' in said


def test_the_exit_status(monkeypatch, capsys):
    def broken(task, device):
        raise RuntimeError('undefined symbol\nand more')

    monkeypatch.setattr(doctor, 'try_out', broken)
    with pytest.raises(SystemExit) as stop:
        run()
    assert stop.value.code == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith('WRONG  one training step of detection on c')
    assert 'fails with RuntimeError (undefined symbol): ' in last


def test_what_is_missing(monkeypatch):
    assert doctor.missing(Requirement('torch>=2.0')) is None
    assert str(doctor.missing(Requirement('numpy>=999'))).endswith(': pip install "numpy>=999"')
    gone = doctor.missing(Requirement('no-such-package>=2'))
    assert str(gone) == 'WRONG  no-such-package is not installed: pip install "no-such-package>=2"'

    def version(name):
        if name == 'opencv-python':
            return '5.0'
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, 'version', version)
    assert doctor.missing(Requirement('opencv-python-headless')) is None  # another build of it


def test_extras_are_not_asked_for(monkeypatch):
    wanted = ['no-such-package', 'no-such-logger; extra == "logging"']
    monkeypatch.setattr(importlib.metadata, 'requires', lambda name: wanted)
    assert [f.text for f in doctor.packages() if f.wrong] == ['no-such-package is not installed']


def test_operators_for_a_cpu_beside_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    for compiled, wrong in (('not available', True), ('13.0', False)):
        env = {**ENV, 'MMCV Compiler': 'GCC 12.2', 'MMCV CUDA Compiler': compiled}
        monkeypatch.setattr(doctor, 'collect_env', lambda env=env: env)
        found = list(doctor.packages())
        assert 'operators: compiled by GCC 12.2' in found[2].text
        assert any(f.wrong and 'compiled for a CPU alone' in f.text for f in found) == wrong


@pytest.mark.parametrize(
    'driver, cuda, text',
    [
        (True, None, 'note   there is a GPU, and torch is a build for CPUs: '),
        (True, '13.0', 'note   there is a GPU, and torch for CUDA 13.0 cannot use it: update the driver'),
        (False, '13.0', 'ok     no GPU: the CPU trains'),
    ],
)
def test_why_there_is_no_gpu(monkeypatch, driver, cuda, text):
    monkeypatch.setattr(doctor, 'this_machine', lambda: Hardware(0, 2**34, 4))
    monkeypatch.setattr(shutil, 'which', lambda name: '/usr/bin/nvidia-smi' if driver else None)
    monkeypatch.setattr(torch.version, 'cuda', cuda)
    found = lines(doctor.devices())
    assert found[0].startswith('ok     4 CPU cores') and found[-1].startswith(text)


def test_gpus_are_named(monkeypatch):
    monkeypatch.setattr(doctor, 'this_machine', lambda: Hardware(1, 2**33, 4))
    facts = SimpleNamespace(name='A', total_memory=2**33)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda gpu: facts)
    assert lines(doctor.devices())[1] == 'ok     GPU 0: A, 8.0 GiB of memory'


def test_shared_memory(monkeypatch, tmp_path):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(doctor, 'SHARED_MEMORY', tmp_path)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(2**26, 0, 2**26))  # what docker gives
    (line,) = lines(doctor.shared_memory())
    assert line.startswith('note   0.06 of 0.06 GiB of shared memory') and '--shm-size=8g' in line
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(2**33, 0, 2**31))
    assert lines(doctor.shared_memory())[0].startswith('ok     2.00 of 8.00 GiB')
    monkeypatch.setattr(doctor, 'SHARED_MEMORY', tmp_path / 'none')
    assert lines(doctor.shared_memory()) == []


@pytest.mark.parametrize(
    'config, options, images', [(SOFT_TEACHER, taught, '6 labeled, 18 unlabeled'), (BASELINE, small, '6 labeled')]
)
def test_a_config_is_tried_out(config, options, images, monkeypatch, capsys):
    monkeypatch.setattr(doctor, 'try_out', lambda task, device: '')
    run(config, *options(data__samples_per_gpu=2))
    said = capsys.readouterr().out.splitlines()[-4:]
    assert said[0].startswith(
        f'ok     {config}: its settings fit together, its files are there; lr and schedule are for'
    )
    assert said[1] == f'ok     data and model of {config}: {images} images'
    assert (
        said[2].startswith(f'ok     training of {config}, one process: effective: ') and ', 8 iterations, ' in said[2]
    )
    assert said[3].startswith(f'ok     one training step of {config}: batch ') and ' loss ' in said[3]


def test_a_config_is_scaled_as_in_training(monkeypatch, capsys):
    """Steps of an eighth of the images: eight times the iterations, the burn-in's too."""
    monkeypatch.setattr(doctor, 'try_out', lambda task, device: '')
    run(SOFT_TEACHER, *taught(base_batch__labeled=16, base_batch__unlabeled=16), 'auto_scale=True')
    said = capsys.readouterr().out.splitlines()[-4:]
    assert 'auto_scale: for steps of 16 labeled + 16 unlabeled images, this run has 2 labeled' in said[0]
    assert ', 64 iterations, ' in said[2] and 'burn-in 16 iterations' in said[2]


def test_a_config_that_does_not_fit(monkeypatch, capsys):
    monkeypatch.setattr(doctor, 'try_out', lambda task, device: '')
    with pytest.raises(SystemExit):
        run(SOFT_TEACHER, *taught(), 'data_root=nowhere/')
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f'WRONG  {SOFT_TEACHER}: data.train.labeled.ann_file: nowhere/')
    with pytest.raises(SystemExit):
        run('nowhere.py')
    assert capsys.readouterr().out.splitlines()[-1] == 'WRONG  nowhere.py: no config file nowhere.py'


def test_a_loss_that_is_no_number(make_model, make_batch):
    model, batch = make_model(), make_batch()
    batch['sup']['img'][:] = float('nan')
    with pytest.raises(InputError, match='the loss is nan'):
        doctor.one_step(model, batch, 'cpu', dict(type='SGD', lr=0.01))


def test_a_step_moves_the_student_and_copies_it_to_the_teacher(make_model, make_batch):
    model = make_model()
    before = {name: value.clone() for name, value in model.student.named_parameters()}
    said = doctor.one_step(model, make_batch(), 'cpu', dict(type='SGD', lr=0.01))
    assert said.startswith('loss ') and ' forward ' in said and ' backward ' in said and ' update ' in said
    moved = {n for n, value in model.student.named_parameters() if not torch.equal(value, before[n])}
    assert moved == {n for n, value in model.student.named_parameters() if value.requires_grad}
    assert all(torch.equal(value, before[n]) for n, value in model.teacher.named_parameters())


def test_this_machine():
    found = this_machine()
    assert found.gpus == torch.cuda.device_count() and found.cores >= 1 and found.memory > 2**28
    assert str(Hardware(0, 2**34, 1)) == '1 CPU core with 16 GiB and no GPU'
    assert str(Hardware(2, 2**34, 8)) == '2 GPUs with 16 GiB each, 8 CPU cores'
    assert str(Hardware(1, 2**34, 8)) == 'a GPU with 16 GiB, 8 CPU cores'
