"""The folder of a new set: annotation files, and links to the folders of images.

No image is copied, and no annotation file holds a path of this machine: `file_name` is relative to
NAME/images/{labeled,unlabeled,val,test}, each a link to where the images are. When they move, a link is set anew
and nothing else changes. A link is relative where set and images lie under the same working folder, so that a project
can move as a whole, and absolute otherwise, so that the set alone can.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from ssod.core.errors import InputError
from ssod.data.files import write_json

PARTS = ('labeled', 'unlabeled', 'val', 'test')


def annotation_file(out: Path, part: str) -> Path:
    """Path of a part's COCO JSON."""
    return out / 'annotations' / f'{part}.json'


def image_link(out: Path, part: str) -> Path:
    """Path of the link to a part's images."""
    return out / 'images' / part


def check_place(name: str, out: Path, force: bool) -> None:
    """Refuse a name that is no folder's, a folder that has something in it, and images that are no links.

    Raises:
        InputError: see above; with `force` only what is ours may be there.
    """
    if not re.fullmatch(r'\w[\w.-]*', name):
        raise InputError(f'{name!r} is no name for a set: take letters, digits, - and _; --out says where it goes')
    if out.exists() and not out.is_dir():
        raise InputError(f'{out} is a file: take another name')
    if out.is_dir() and any(out.iterdir()) and not force:
        raise InputError(
            f'{out} is there already: take another name, or --force to write its annotations and links anew'
        )
    for part in PARTS:
        link = image_link(out, part)
        if link.exists() and not link.is_symlink():
            raise InputError(f'{link} is no link: it may hold images, so it is not replaced; take another name')


def write_parts(out: Path, datasets: Mapping[str, dict], roots: Mapping[str, Path]) -> None:
    """Write the annotation file and the link of each part, and remove those of parts that are no more.

    Args:
        out: folder of the set.
        datasets: COCO dictionary of each part.
        roots: folder that the part's file names are relative to.

    Raises:
        InputError: the file system knows no links.
    """
    for part in PARTS:
        link = image_link(out, part)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        if part not in datasets:
            annotation_file(out, part).unlink(missing_ok=True)
            continue
        write_json(datasets[part], annotation_file(out, part))
        try:
            link.symlink_to(link_target(roots[part], link.parent), target_is_directory=True)
        except OSError as e:
            raise InputError(
                f'{link} cannot be made a link to {roots[part]} ({e}): choose another place with --out'
            ) from e


def link_target(root: Path, folder: Path) -> str:
    """What a link in `folder` to `root` says; see the top of this file."""
    root, folder, here = root.resolve(), folder.resolve(), Path.cwd().resolve()
    together = root.is_relative_to(here) and folder.is_relative_to(here)
    return os.path.relpath(root, folder) if together else str(root)
