"""Files that are there whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import ENV

from ssod.core import files
from ssod.core.errors import InputError
from ssod.core.files import point_to, remove_leftovers, replacing, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_text_bytes_and_folders(tmp_path):
    write_whole(tmp_path / 'a/b/text.txt', 'é')
    write_whole(str(tmp_path / 'bytes'), b'\x00\xff')
    assert (tmp_path / 'a/b/text.txt').read_bytes() == b'\xc3\xa9' and (tmp_path / 'bytes').read_bytes() == b'\x00\xff'
    write_whole(tmp_path / 'bytes', '')
    assert (tmp_path / 'bytes').read_bytes() == b'' and names(tmp_path) == ['a', 'bytes']


def test_a_link_stays_one(tmp_path):
    (tmp_path / 'real.txt').write_text('old')
    (tmp_path / 'link.txt').symlink_to('real.txt')
    write_whole(tmp_path / 'link.txt', 'new')
    assert (tmp_path / 'real.txt').read_text() == 'new' and (tmp_path / 'link.txt').is_symlink()


def test_an_error_in_the_block_leaves_what_was_there(tmp_path):
    (tmp_path / 'x.json').write_text('old')
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / 'x.json') as temporary:
        temporary.write_text('half')
        assert temporary.suffix == '.json' and (tmp_path / 'x.json').read_text() == 'old'
        raise ZeroDivisionError
    assert (tmp_path / 'x.json').read_text() == 'old' and names(tmp_path) == ['x.json']


@pytest.mark.parametrize('there', [False, True])
@pytest.mark.parametrize('fails', ['fsync', 'replace'])
def test_a_full_disk_is_a_sentence_and_nothing_is_torn(tmp_path, monkeypatch, there, fails):
    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    if there:
        (tmp_path / 'x').write_text('old')
    monkeypatch.setattr(files.os, fails, full)
    with pytest.raises(InputError) as refused:
        write_whole(tmp_path / 'x', 'new')
    left = 'the file that was there is as it was' if there else 'nothing is there'
    assert str(refused.value) == (
        f'cannot write {tmp_path}/x: No space left on device; {left}; make room, or write elsewhere'
    )
    assert names(tmp_path) == (['x'] if there else [])
    if there:
        assert (tmp_path / 'x').read_text() == 'old'


def test_a_disk_that_takes_no_more_bytes(tmp_path):
    """The kernel itself refuses, in the middle of a file: a limit of 4096 bytes for each."""
    (tmp_path / 'x').write_text('old')
    code = (
        'import resource, sys; from ssod.core.files import write_whole\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n'
        'write_whole(sys.argv[1], b"1" * 5000)'
    )
    done = subprocess.run([sys.executable, '-c', code, tmp_path / 'x'], env=ENV, capture_output=True, text=True)
    assert f'InputError: cannot write {tmp_path}/x: File too large; the file that was there is as it was' in done.stderr
    assert (tmp_path / 'x').read_text() == 'old' and names(tmp_path) == ['x']


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='cannot write .*/file/x: '):
        write_whole(tmp_path / 'file/x', 'new')


def test_other_errors_of_the_system_keep_their_kind(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / 'x'):
        raise FileNotFoundError('of the block')


def test_the_order_is_write_flush_rename_flush_the_folder(tmp_path, monkeypatch):
    done = []
    for name in ('fsync', 'replace'):
        own = getattr(os, name)
        monkeypatch.setattr(files.os, name, lambda *args, name=name, own=own: (done.append(name), own(*args))[1])
    write_whole(tmp_path / 'x', 'new')
    point_to(tmp_path / 'link', 'x')
    assert done == ['fsync', 'replace', 'fsync', 'replace', 'fsync']


def test_a_link_moves_without_a_moment_in_which_there_is_none(tmp_path, monkeypatch):
    (tmp_path / 'a').write_text('a')
    (tmp_path / 'b').write_text('b')
    point_to(tmp_path / 'latest', 'a')
    own = os.replace
    monkeypatch.setattr(
        files.os, 'replace', lambda *args: (seen.append((tmp_path / 'latest').read_text()), own(*args))[1]
    )
    seen = []
    point_to(tmp_path / 'latest', 'b')
    assert seen == ['a'] and os.readlink(tmp_path / 'latest') == 'b' and names(tmp_path) == ['a', 'b', 'latest']


WRITER = """
import sys
from ssod.core.files import write_whole
print('ready', flush=True)
for i in range(10**9):
    write_whole(sys.argv[1], str(i % 10) * 2_000_000)
"""


def test_a_reader_never_finds_half_a_file_and_a_killed_writer_leaves_none(tmp_path):
    path = tmp_path / 'x'
    writer = subprocess.Popen([sys.executable, '-c', WRITER, path], env=ENV, stdout=subprocess.PIPE)
    writer.stdout.readline()
    seen = set()
    end = time.time() + 1
    while time.time() < end:
        if path.exists():
            text = path.read_text()
            assert len(text) == 2_000_000 and len(set(text)) == 1
            seen.add(text[0])
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert len(seen) > 1
    text = path.read_text()
    assert len(text) == 2_000_000 and len(set(text)) == 1
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ['x']


def test_leftovers_alone_are_removed(tmp_path):
    for name in ('.tmp-12-iter_4.pth', 'iter_4.pth', '.lock', 'tmp-1'):
        Path(tmp_path, name).write_text('')
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ['.lock', 'iter_4.pth', 'tmp-1']
