"""Files that are there whole or not at all, whatever happens while they are written."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError

# A full disk or quota, one that cannot be written, a file too large for its system; a file where a folder should be.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CANNOT_WRITE = (*FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
MARK = '.tmp-'


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file beside ``path`` for the block to write; afterwards it is ``path``, flushed to the disk.

    Until then whoever reads ``path`` finds what was there before, and so does the next run if this one is killed. The
    temporary name has the ending of ``path``; the folder is made. A link is followed.

    Raises:
        InputError: the disk is full or cannot be written. What was there before stays.

    Examples:
        >>> with replacing('scores.json') as temporary:
        ...     size = temporary.write_text('[1, 2]')
        >>> Path('scores.json').read_text()
        '[1, 2]'
    """
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f'{MARK}{os.getpid()}-{path.name}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open('rb') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        flush_folder(path.parent)
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise
        raise InputError(f'cannot write {path}: {error.strerror}; {what_is_left(path)}') from error
    finally:
        remove(temporary)


def what_is_left(path: Path) -> str:
    """What a write that failed leaves, and what to do."""
    kept = 'the file that was there is as it was' if path.exists() else 'nothing is there'
    return f'{kept}; make room, or write elsewhere'


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes as :func:`replacing` does.

    Raises:
        InputError: the disk is full or cannot be written. What was there before stays.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def point_to(link: Path, name: str) -> None:
    """Let ``link`` be a symbolic link to the file ``name`` beside it; there is one at every moment, the old or the new.

    Raises:
        OSError: the file system knows no links.
    """
    temporary = link.with_name(f'{MARK}{os.getpid()}-{link.name}')
    try:
        temporary.symlink_to(name)
        os.replace(temporary, link)
        flush_folder(link.parent)
    finally:
        remove(temporary)


def flush_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where its file system can do that."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems: they keep names by themselves
        pass
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file if it is there and can be removed."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass


def remove_leftovers(folder: str | Path) -> None:
    """Remove what killed writers have left in a folder, in which nobody else writes."""
    for path in Path(folder).glob(f'{MARK}*'):
        remove(path)
