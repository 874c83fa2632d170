"""Corrected boxes and masks into a set that ``ssod new`` made."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from ssod.apis.labels.importing import Changes, backup_folder, keep
from ssod.core.errors import InputError
from ssod.data.files import read_json, write_json
from ssod.data.labels import LabeledImage
from ssod.data.labels.checking import check_classes, checked
from ssod.data.labels.coco import entry
from ssod.data.labels.matching import NameMatcher

from .output import annotation_file, image_link

# Files of images without true labels: those that were labeled leave them.
UNLABELED = ('unlabeled', 'pseudo_labels')


def import_labels(
    changes: Changes,
    images: Sequence[LabeledImage],
    sources: Sequence[Path],
    classes: Sequence[tuple[Path, list[str]]],
    dry_run: bool,
) -> None:
    """Write the images' objects into ``annotations/labeled.json``; see :func:`ssod.apis.labels.import_labels`.

    The labeled file is written first: whoever is stopped in between starts the same command again.

    Args:
        changes: of the set's folder; filled in.
        images: from the files.
        sources: the file of each image.
        classes: of each file.
        dry_run: change nothing.

    Raises:
        InputError: see :mod:`ssod.data.labels.checking`; a box without a mask among labels with masks.
    """
    folder = changes.folder
    labeled, unlabeled = (read_json(annotation_file(folder, part)) for part in ('labeled', 'unlabeled'))
    ids = {category['name']: category['id'] for category in labeled['categories']}
    new = match(images, sources, labeled, unlabeled)
    for path, names in classes:
        check_classes(names, images, ids, path)
    summary = folder / 'summary.json'
    masks = summary.is_file() and read_json(summary).get('with_masks')
    bare = next((image.name for image in new.values() for one in image.objects if masks and one.mask is None), None)
    if bare:
        raise InputError(f'{bare} has a box without a mask, and {folder} is a set that trains masks: draw it')
    before = labeled['annotations']
    apply(changes, labeled, unlabeled, new, ids, joined_prefix(folder))
    count = {number: name for name, number in ids.items()}
    changes.before, changes.after = (
        {name: Counter(count[one['category_id']] for one in own)[name] for name in ids}
        for own in (before, labeled['annotations'])
    )
    if dry_run or not (changes.added or changes.corrected):
        return
    write(changes, labeled, unlabeled)


def match(images: Sequence[LabeledImage], sources: Sequence[Path], labeled: dict, unlabeled: dict) -> dict:
    """The images by their part and name in the set, checked.

    Raises:
        InputError: an image that the set does not have, one that comes twice, or bad boxes.
    """
    entries = {entry['file_name']: entry for part in (unlabeled, labeled) for entry in part['images']}
    finder, found = NameMatcher(entries), {}
    for image, source in zip(images, sources, strict=True):
        name = finder.find(image.name)
        if name in found:
            raise InputError(f'{source}: {image.name} is {name} of the set, which comes twice: give one of them')
        found[name] = checked(image, name, (entries[name]['width'], entries[name]['height']), source)
    return found


def joined_prefix(folder: Path) -> str | None:
    """Below which folder the labeled part finds the unlabeled images; '' where both are one, None: nowhere yet."""
    links = {part: image_link(folder, part) for part in ('labeled', 'unlabeled')}
    roots = {part: link.resolve() for part, link in links.items()}
    if roots['labeled'] == roots['unlabeled']:
        return ''
    inside = links['labeled'] / 'unlabeled'
    return 'unlabeled/' if inside.is_symlink() and inside.resolve() == roots['unlabeled'] else None


def apply(
    changes: Changes, labeled: dict, unlabeled: dict, new: dict[str, LabeledImage], ids: dict, prefix: str | None
) -> None:
    """Change both dictionaries in place, and note what changes."""
    if prefix is None and any(entry['file_name'] in new for entry in unlabeled['images']):
        for entry_ in labeled['images']:  # both folders become one, each below a name of its own
            if entry_['file_name'] in new:
                new['labeled/' + entry_['file_name']] = new.pop(entry_['file_name'])
            entry_['file_name'] = 'labeled/' + entry_['file_name']
    known = {one['file_name']: one['id'] for one in labeled['images']}
    own = defaultdict(list)
    for one in labeled['annotations']:
        own[one['image_id']].append(one)
    moved = [one for one in unlabeled['images'] if one['file_name'] in new]
    next_id = max(known.values(), default=0) + 1
    for image in moved:
        name = image['file_name']
        target = ('unlabeled/' if prefix is None else prefix) + name
        if target not in known:
            known[target] = next_id
            labeled['images'].append({**image, 'id': next_id, 'file_name': target})
            next_id += 1
        own[known[target]] = [entry(one, ids) for one in new[name].objects]
        changes.added.append(name)
    unlabeled['images'] = [one for one in unlabeled['images'] if one['file_name'] not in new]
    for name in new.keys() & known.keys() - {one['file_name'] for one in moved}:
        objects = [entry(one, ids) for one in new[name].objects]
        same = essence(objects) == essence(own[known[name]])
        (changes.same if same else changes.corrected).append(name)
        if not same:
            own[known[name]] = objects
    numbered = ({**one, 'image_id': image['id']} for image in labeled['images'] for one in own[image['id']])
    labeled['annotations'] = [{**one, 'id': number} for number, one in enumerate(numbered, 1)]
    if empty := [name for name in changes.added if not new[name].objects]:
        changes.notes.append(f'{len(empty)} of them hold no object: MMDetection leaves those out in training')


def essence(annotations: Sequence[dict]) -> list[tuple]:
    """What makes two images' annotations the same."""
    return sorted(
        (one['category_id'], *(round(value, 1) for value in one['bbox']), str(one.get('segmentation', '')))
        for one in annotations
    )


def write(changes: Changes, labeled: dict, unlabeled: dict) -> None:
    """Keep what was there, and write."""
    folder = changes.folder
    changes.backup = backup_folder(folder)
    files = [annotation_file(folder, part) for part in ('labeled', *UNLABELED)]
    for path in (path for path in files if path.is_file()):
        keep(path, folder, changes.backup)
    if changes.added and joined_prefix(folder) is None:
        join_links(folder)
    write_json(labeled, files[0])
    write_json(unlabeled, files[1])
    if files[2].is_file():
        pseudo = read_json(files[2])
        gone = {one['id'] for one in pseudo['images'] if one['file_name'] in set(changes.added)}
        pseudo['images'] = [one for one in pseudo['images'] if one['id'] not in gone]
        pseudo['annotations'] = [one for one in pseudo['annotations'] if one['image_id'] not in gone]
        write_json(pseudo, files[2])
        changes.notes.append(f'{files[2].name} lost {len(gone)} of its images')


def join_links(folder: Path) -> None:
    """Let ``images/labeled`` lead to a folder with links to the labeled and to the unlabeled images.

    Raises:
        InputError: the file system knows no links.
    """
    links = {part: image_link(folder, part) for part in ('labeled', 'unlabeled')}
    both = folder / 'images/both'
    both.mkdir(exist_ok=True)
    try:
        for part, link in links.items():
            (both / part).unlink(missing_ok=True)
            (both / part).symlink_to(os.path.relpath(link.resolve(), both.resolve()), target_is_directory=True)
        temporary = links['labeled'].with_name('.labeled.new')
        temporary.unlink(missing_ok=True)
        temporary.symlink_to('both', target_is_directory=True)
        os.replace(temporary, links['labeled'])
    except OSError as error:
        raise InputError(f'{both} cannot hold links ({error.strerror}): make the set elsewhere') from error
