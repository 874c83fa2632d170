"""Which image of a data set a name in a file of labels means."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from ssod.core.errors import InputError


class NameMatcher:
    """Finds names by their last parts: other programs cut folders off, put some in front, or leave out the ending.

    Args:
        names: of the images, with slashes.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        for name in dict.fromkeys(names):
            self.by_stem[PurePosixPath(name).stem].append(name)

    def find(self, name: str) -> str:
        """The image that ``name`` means.

        Raises:
            InputError: none, or several that fit as well.
        """
        wanted = PurePosixPath(name.replace('\\', '/'))
        stems = {wanted.stem, wanted.name}  # a name without an ending may hold a dot
        known = [own for stem in sorted(stems) for own in self.by_stem.get(stem, [])]
        fits = [(agreement(wanted, PurePosixPath(own)), own) for own in known]
        fits = [fit for fit in fits if fit[0] > (0, 0)]
        best = max((fit[0] for fit in fits), default=None)
        found = [own for fit, own in fits if fit == best]
        if not found:
            raise InputError(f'{name} is no image of the set: give labels of its labeled or unlabeled images')
        if len(found) > 1:
            raise InputError(f'{name} may be {found[0]} or {found[1]}: write more of its folders in front')
        return found[0]


def agreement(wanted: PurePosixPath, own: PurePosixPath) -> tuple[int, int]:
    """How well two paths fit: equal last parts, and whether the ending is equal too; (0, 0): another image."""
    known = own.suffix.lower() == wanted.suffix.lower()
    bare = wanted.suffix.lower() not in ('.png', own.suffix.lower())  # an ending of its own is another image
    if wanted.name == own.stem:
        heads: Sequence[str] = (own.stem, *reversed(own.parts[:-1]))
        mine: Sequence[str] = (wanted.name, *reversed(wanted.parts[:-1]))
    elif bare and wanted.suffix.lower() in ('.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp'):
        return 0, 0
    else:
        heads, mine = (own.stem, *reversed(own.parts[:-1])), (wanted.stem, *reversed(wanted.parts[:-1]))
    equal = 0
    for one, other in zip(heads, mine, strict=False):
        if one != other:
            break
        equal += 1
    return (equal, int(known)) if equal else (0, 0)
