"""Checkpoint files: nothing in them is run, and a changed byte is found."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from ssod.core.checkpoint_file import load_file
from ssod.core.errors import InputError

RAN = []


def run_me(*args):
    RAN.append(args)
    return {}


class Evil:
    """Unpickled, it calls `run_me`."""

    def __reduce__(self):
        return run_me, (1,)


class Shell:
    """Unpickled, it runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_what_checkpoints_hold_is_read(tmp_path):
    content = dict(
        state_dict=OrderedDict(w=torch.arange(3.0), h=torch.ones(2, dtype=torch.half)),
        meta=dict(CLASSES=('a', 'b'), iter=3, config='x = 1', hook_msgs=dict(best_score=np.float64(0.5)), seed=None),
        optimizer=dict(state={0: dict(step=torch.tensor(1.0))}, param_groups=[dict(lr=0.1, betas=(0.9, 0.99))]),
        array=np.arange(4),
        none=np.zeros((0, 5), np.float32),
    )
    torch.save(content, tmp_path / 'x.pth')
    loaded = load_file(tmp_path / 'x.pth')
    assert torch.equal(loaded['state_dict']['w'], torch.arange(3.0)) and loaded['meta'] == content['meta']
    assert loaded['none'].shape == (0, 5)
    assert loaded['optimizer'] == content['optimizer'] and (loaded['array'] == np.arange(4)).all()
    torch.save(content, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    assert load_file(tmp_path / 'old.pth')['meta'] == content['meta']


@pytest.mark.parametrize('place', ['top', 'meta', 'state_dict', 'optimizer'])
@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('forced', [True, False])
def test_code_in_a_checkpoint_is_refused_by_name_and_does_not_run(tmp_path, monkeypatch, place, zipped, forced):
    if forced:  # torch's own way round its check
        monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    mark = tmp_path / 'it_ran'
    path = tmp_path / 'evil.pth'
    for evil, name in ((Shell(f'touch {mark}'), 'posix.system'), (Evil(), f'{__name__}.run_me')):
        weights = dict(w=torch.ones(1))
        content = evil if place == 'top' else {'state_dict': weights, place: {**weights, 'x': evil}}
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(InputError) as refused:
            load_file(path)
        sentence = f'cannot load the checkpoint {path}: it would run {name}, which is no weight, and was not run'
        assert str(refused.value).startswith(sentence)
        assert not mark.exists() and RAN == []


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_a_bare_pickle_that_runs_code_does_not_run(tmp_path):
    path = tmp_path / 'evil.pth'
    for protocol, sentence in ((2, 'it would run posix.system'), (4, 'it is none of torch')):
        path.write_bytes(pickle.dumps(Shell(f'touch {tmp_path}/it_ran'), protocol))
        with pytest.raises(InputError, match=f'evil.pth: {sentence}'):
            load_file(path)
    assert not (tmp_path / 'it_ran').exists()


def test_the_same_files_would_run_without_the_check(tmp_path):
    """Else the tests above would prove nothing."""
    torch.save({'x': Shell(f'touch {tmp_path}/it_ran')}, tmp_path / 'evil.pth')
    torch.load(tmp_path / 'evil.pth', weights_only=False)
    assert (tmp_path / 'it_ran').exists()


@pytest.fixture
def good(tmp_path):
    generator = torch.Generator().manual_seed(0)
    path = tmp_path / 'iter_4.pth'
    torch.save(dict(meta=dict(iter=3), state_dict=dict(w=torch.randn(500, generator=generator))), path)
    return path


def test_every_changed_byte_is_found_or_changes_nothing(good):
    """One bit of a byte in turn: refused, or (in padding and in dates of the archive) the content is the same."""
    content = good.read_bytes()
    expected = load_file(good)
    found = 0
    places = range(0, len(content), 7)
    for place in places:
        good.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        try:
            loaded = load_file(good)
        except InputError as error:
            assert str(good) in str(error)
            found += 1
        else:
            assert torch.equal(loaded['state_dict']['w'], expected['state_dict']['w'])
            assert loaded['meta'] == expected['meta']
    assert found > 0.6 * len(places)


@pytest.mark.parametrize('share', [0.01, 0.3, 0.6, 0.9, 0.99, 0.999])
def test_a_cut_file_is_damaged(good, share):
    content = good.read_bytes()
    good.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=f'{good}: it is damaged'):
        load_file(good)


@pytest.mark.parametrize(
    'content, sentence',
    [
        (b'', 'it is empty'),
        (b'hello, this is text', 'it is none of torch, or damaged'),
        (b'\x89PNG\r\n\x1a\n' + bytes(50), 'it is none of torch, or damaged'),
        (bytes(5000), 'x.pth'),
    ],
)
def test_what_is_no_checkpoint(tmp_path, content, sentence):
    (tmp_path / 'x.pth').write_bytes(content)
    with pytest.raises(InputError) as refused:
        load_file(tmp_path / 'x.pth')
    assert sentence in str(refused.value) and f'{tmp_path}/x.pth' in str(refused.value)
    assert '\n' not in str(refused.value)


@pytest.mark.parametrize('content', [torch.ones(3), [1, 2], 'text', 5, None])
def test_what_torch_saved_but_holds_no_dictionary(tmp_path, content):
    torch.save(content, tmp_path / 'x.pth')
    with pytest.raises(InputError, match=f'it holds a {type(content).__name__}, not weights by name'):
        load_file(tmp_path / 'x.pth')


@pytest.mark.parametrize('meta', [None, [1], 'text'])
def test_meta_that_is_none(tmp_path, meta):
    torch.save(dict(state_dict={}, meta=meta), tmp_path / 'x.pth')
    with pytest.raises(InputError, match=f'cannot load the checkpoint .*x.pth: its meta is a {type(meta).__name__}'):
        load_file(tmp_path / 'x.pth')


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / 'no.pth', tmp_path):
        with pytest.raises(InputError, match=f'no checkpoint {path}'):
            load_file(path)
