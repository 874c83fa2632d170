"""Split a COCO annotation file into a labelled part and an unlabelled rest.

    python tools/dataset/semi_coco.py data/coco/annotations/instances_train2017.json --percent 1 2 5 10 --fold 1 2 3 4 5

writes `semi_supervised/instances_train2017.{fold}@{percent}.json` and `...{fold}@{percent}-unlabeled.json` beside the
annotation file, one pair for each fold and percent. With `--unlabeled-info image_info_unlabeled2017.json`, alone or
with the above, it also writes `instances_unlabeled2017.json`: the images of that file with the categories of ANN.json.
"""

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def read_json(path: Path) -> dict:
    """Read a JSON file that holds one object.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, or not an object.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: give the path of a COCO annotation file')
    try:
        with path.open(encoding='utf-8') as file:
            dataset = json.load(file)
    except ValueError as e:
        raise ValueError(f'{path} is not JSON ({e}): download or export it again') from e
    if not isinstance(dataset, dict):
        raise ValueError(f'{path} holds a {type(dataset).__name__}, not a COCO dictionary: give a COCO annotation file')
    return dataset


def write_json(dataset: dict, path: Path) -> None:
    """Write `dataset` to `path`, making its folder; a killed run leaves the old file or none, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        # dumps, not dump: only dumps uses the C encoder, ten times faster on COCO.
        temporary.write_text(json.dumps(dataset), encoding='utf-8')
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    """Ids of the labelled images: max(1, round(n * percent / 100)) of them.

    A function of the set of ids, the percent and the fold only. Within a fold all percents take the head of one
    permutation, so a smaller percent is a subset of a larger one.

    Raises:
        ValueError: percent is not between 0 and 100, fold is negative, or no image would be left unlabelled.
    """
    if not 0 < percent < 100:
        raise ValueError(f'percent is {percent}: it must be above 0 and below 100')
    if fold < 0:
        raise ValueError(f'fold is {fold}: it must be 0 or more')
    number = max(1, round(len(ids) * percent / 100))
    if number >= len(ids):
        raise ValueError(f'{percent} percent of {len(ids)} images leaves none unlabelled: take a smaller percent')
    ordered = sorted(ids)
    return {ordered[i] for i in np.random.default_rng(fold).permutation(len(ordered))[:number]}


def split(
    dataset: dict, percent: float, fold: int, groups: dict[int | str, list[dict]] | None = None
) -> tuple[dict, dict]:
    """Split a COCO dataset, which is not changed, into labelled and unlabelled.

    Args:
        dataset: COCO dictionary with images, annotations, categories (and anything else, which both parts keep).
        percent: share of the images that keep their annotations, in (0, 100).
        fold: number of the draw.
        groups: `group_by_image(dataset)`, to group once for many splits.

    Returns:
        The labelled part, with its annotations, and the rest, without any; images in the order of their ids.

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


def split_name(stem: str, percent: float, fold: int) -> str:
    """File name, without its ending, of a labelled part: instances_train2017.1@10, instances_train2017.1@0.5."""
    return f'{stem}.{fold}@{percent:g}'


def write_splits(dataset: dict, stem: str, percents: Sequence[float], folds: Sequence[int], out: Path) -> None:
    """Write the labelled and unlabelled file of each fold and percent into the folder `out`, a line on stdout each."""
    groups = group_by_image(dataset)
    for fold in folds:
        for percent in percents:
            labeled, unlabeled = split(dataset, percent, fold, groups)
            path = out / f'{split_name(stem, percent, fold)}.json'
            write_json(labeled, path)
            write_json(unlabeled, path.with_name(f'{path.stem}-unlabeled.json'))
            counts = f'{len(labeled["images"])} labelled images, {len(labeled["annotations"])} annotations'
            print(f'{path}: {counts}, {len(unlabeled["images"])} unlabelled')


def add_categories(image_info: dict, categories: list[dict]) -> dict:
    """An image list (image_info_*.json) as a dataset: its images, the `categories`, no annotation."""
    return {**image_info, 'annotations': [], 'categories': categories}


def unlabeled_path(image_info: Path, out: Path | None = None) -> Path:
    """image_info_X.json -> instances_X.json in the same folder or in `out`."""
    return (out or image_info.parent) / f'instances_{image_info.stem.removeprefix("image_info_")}.json'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line; exits with usage when nothing is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('ann', type=Path, metavar='ANN.json', help='COCO annotations')
    parser.add_argument(
        '--percent', type=float, nargs='+', default=[], help='labelled share of the images, in (0, 100)'
    )
    parser.add_argument('--fold', type=int, nargs='+', default=[], help='number of the draw')
    parser.add_argument('--unlabeled-info', type=Path, metavar='INFO.json', help='list of further, unlabelled images')
    parser.add_argument('--out', type=Path, help='output folder (default: semi_supervised/ beside ANN.json)')
    args = parser.parse_args(argv)
    if bool(args.percent) != bool(args.fold):
        parser.error('--percent and --fold go together')
    if not args.percent and not args.unlabeled_info:
        parser.error('give --percent and --fold, or --unlabeled-info, or all three')
    return args


def run(args: argparse.Namespace) -> None:
    """Read ANN.json once and write what was asked for."""
    dataset = read_json(args.ann)
    if args.percent:
        check(dataset, ('images', 'annotations', 'categories'), str(args.ann))
        write_splits(dataset, args.ann.stem, args.percent, args.fold, args.out or args.ann.parent / 'semi_supervised')
    if args.unlabeled_info:
        check(dataset, ('categories',), str(args.ann))
        image_info = read_json(args.unlabeled_info)
        check(image_info, ('images',), str(args.unlabeled_info))
        path = unlabeled_path(args.unlabeled_info, args.out)
        write_json(add_categories(image_info, dataset['categories']), path)
        print(f'{path}: {len(image_info["images"])} unlabelled images')


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; bad input ends in one line on stderr and exit status 1."""
    args = parse_args(argv)
    try:
        run(args)
    except (OSError, ValueError) as e:
        sys.exit(f'error: {e}')


if __name__ == '__main__':
    main()
