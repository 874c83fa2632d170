"""COCO annotation dictionaries: checked, grouped by image, split into a labeled part and an unlabeled rest."""

import sys
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np


def check(dataset: dict, keys: Sequence[str], name: str = 'the dataset') -> None:
    """Check that `dataset` has the lists `keys` and, if it should have images, that it has some, with unique ids.

    Raises:
        ValueError: one sentence that begins with `name`.
    """
    for key in keys:
        if not isinstance(dataset.get(key), list):
            raise ValueError(f"{name} has no list '{key}': give a COCO annotation file, with {', '.join(keys)}")
    if 'images' not in keys:
        return
    if not dataset['images']:
        raise ValueError(f"{name} has no image: its list 'images' is empty")
    ids = [image.get('id') if isinstance(image, dict) else None for image in dataset['images']]
    if {type(i) for i in ids} not in ({int}, {str}):
        raise ValueError(f"{name} has an image without a proper 'id': the ids must be all numbers or all strings")
    most_common, count = Counter(ids).most_common(1)[0]
    if count > 1:
        raise ValueError(f'{name} has {count} images with the id {most_common}: make image ids unique')


def group_by_image(dataset: dict) -> dict[int | str, list[dict]]:
    """Annotations of each image id, in file order; those of no listed image are left out, with a warning on stderr."""
    ids = {image['id'] for image in dataset['images']}
    groups, orphans = defaultdict(list), 0
    for annotation in dataset['annotations']:
        if annotation.get('image_id') in ids:
            groups[annotation['image_id']].append(annotation)
        else:
            orphans += 1
    if orphans:
        print(f"warning: {orphans} annotations belong to no image of 'images' and are left out", file=sys.stderr)
    return dict(groups)


def draw(ids: Sequence[int | str], percent: float, fold: int) -> set[int | str]:
    """Ids of the labeled images: max(1, round(n * percent / 100)) of them.

    A function of the set of ids, the percent and the fold only. Within a fold all percents take the head of one
    permutation, so a smaller percent is a subset of a larger one.

    Raises:
        ValueError: percent is not between 0 and 100, fold is negative, or no image would be left unlabeled.
    """
    if not 0 < percent < 100:
        raise ValueError(f'percent is {percent}: it must be above 0 and below 100')
    if fold < 0:
        raise ValueError(f'fold is {fold}: it must be 0 or more')
    number = max(1, round(len(ids) * percent / 100))
    if number >= len(ids):
        raise ValueError(f'{percent} percent of {len(ids)} images leaves none unlabeled: take a smaller percent')
    ordered = sorted(ids)
    return {ordered[i] for i in np.random.default_rng(fold).permutation(len(ordered))[:number]}


def split(
    dataset: dict, percent: float, fold: int, groups: dict[int | str, list[dict]] | None = None
) -> tuple[dict, dict]:
    """Split a COCO dataset, which is not changed, into labeled and unlabeled.

    Args:
        dataset: COCO dictionary with images, annotations, categories (and anything else, which both parts keep).
        percent: share of the images that keep their annotations, in (0, 100).
        fold: number of the draw.
        groups: `group_by_image(dataset)`, to group once for many splits.

    Returns:
        The labeled part, with its annotations, and the rest, without any; images in the order of their ids.

    Raises:
        ValueError: see `check` and `draw`.
    """
    check(dataset, ('images', 'annotations', 'categories'))
    groups = group_by_image(dataset) if groups is None else groups
    labeled_ids = draw([image['id'] for image in dataset['images']], percent, fold)
    images = sorted(dataset['images'], key=lambda image: image['id'])
    labeled = [image for image in images if image['id'] in labeled_ids]
    unlabeled = [image for image in images if image['id'] not in labeled_ids]
    annotations = [annotation for image in labeled for annotation in groups.get(image['id'], [])]
    rest = {**dataset, 'images': unlabeled, 'annotations': []}
    return {**dataset, 'images': labeled, 'annotations': annotations}, rest


def add_categories(image_info: dict, categories: list[dict]) -> dict:
    """An image list (image_info_*.json) as a dataset: its images, the `categories`, no annotation."""
    return {**image_info, 'annotations': [], 'categories': categories}
