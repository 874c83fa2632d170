"""Which images a data set has: those of a folder or of a list file, and every N-th of them for the labels."""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from ssod.core.errors import InputError
from ssod.data.images import is_image, walk


def images_in(folder: str, suffix: str | None) -> dict[str, str]:
    """The images under a folder: for each name without its suffix, ``city/name`` say, the file relative to the folder.

    Args:
        folder: with those below it.
        suffix: end of the files' names, which also tells images from what lies beside them; None: any image.

    Raises:
        InputError: no image, or two that differ in their suffix alone.
    """
    files = [path.relative_to(folder) for path in walk(Path(folder))]
    found: dict[str, str] = {}
    for file in files:
        if not (file.name.endswith(suffix) if suffix else is_image(file)):
            continue
        name = file.as_posix().removesuffix(suffix) if suffix else file.with_suffix('').as_posix()
        if name in found:
            raise InputError(f'{folder} has {found[name]} and {file}, two images of one name: rename one')
        found[name] = file.as_posix()
    if not found:
        raise InputError(
            f'{folder} has no image{f" that ends in {suffix}" if suffix else ""}: check img_dir, img_suffix'
        )
    return found


def read_list(path: str, known: Iterable[str], suffixes: Sequence[str | None]) -> list[str]:
    """The names that a list file means, in its order.

    A line is a bare name, or image and label file with a blank or a tab between them; either may be a path, of which
    the part below the image folder is the name: ``leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png``.

    Args:
        path: the list file; empty lines are skipped.
        known: names of :func:`images_in`.
        suffixes: what names of image and label files may end in.

    Raises:
        InputError: no line, a line that names no image of the folder, or one image twice.
    """
    known = set(known)
    names: dict[str, None] = {}
    for number, line in enumerate(Path(path).read_text(encoding='utf-8').splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        name = find_name(fields[0], known, suffixes)
        if name is None:
            raise InputError(f'{path}, line {number}: {fields[0]} is no image of the folder: check img_dir, img_suffix')
        if name in names:
            raise InputError(f'{path}, line {number}: {fields[0]} is in the list twice')
        names[name] = None
    if not names:
        raise InputError(f'{path} names no image')
    return list(names)


def find_name(field: str, known: set[str], suffixes: Sequence[str | None]) -> str | None:
    """The known name that a path in a list means: the longest end of the path, without a suffix, that is one."""
    path = field.replace('\\', '/')
    stems = {path, str(PurePosixPath(path).with_suffix(''))}
    stems |= {path.removesuffix(suffix) for suffix in suffixes if suffix}
    ends = {'/'.join(stem.split('/')[start:]) for stem in stems for start in range(stem.count('/') + 1)}
    return max(ends & known, key=len, default=None)


def every_nth(names: Sequence[str], n: int, labeled: bool) -> list[str]:
    """Of the sorted names, those at 0, N, 2N ... (``labeled``), or all others.

    Cross Pseudo Supervision's lists of PASCAL VOC are these, of the 10,582 names of trainaug.

    Raises:
        InputError: N is below 2, or leaves no name.

    Examples:
        >>> every_nth('abcde', 2, True), every_nth('abcde', 2, False)
        (['a', 'c', 'e'], ['b', 'd'])
    """
    if not isinstance(n, int) or n < 2:
        raise InputError(f'every_nth[0] is a whole number, 2 or more, got {n!r}')
    chosen = [name for place, name in enumerate(sorted(names)) if (place % n == 0) == labeled]
    if not chosen:
        raise InputError(f'every_nth={n} leaves no {"" if labeled else "un"}labeled image of {len(names)}')
    return chosen
