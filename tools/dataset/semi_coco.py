"""Split a COCO annotation file into a labeled part and an unlabeled rest.

    python tools/dataset/semi_coco.py data/coco/annotations/instances_train2017.json --percent 1 2 5 10 --fold 1 2 3 4 5

writes `semi_supervised/instances_train2017.{fold}@{percent}.json` and `...{fold}@{percent}-unlabeled.json` beside the
annotation file, one pair for each fold and percent. With `--unlabeled-info image_info_unlabeled2017.json`, alone or
with the above, it also writes `instances_unlabeled2017.json`: the images of that file with the categories of ANN.json.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from ssod.core.screen import track
from ssod.data.coco import add_categories, check, draw, group_by_image, split
from ssod.data.files import read_json, write_json

__all__ = ['add_categories', 'check', 'draw', 'group_by_image', 'read_json', 'split', 'write_json', 'write_splits']


def split_name(stem: str, percent: float, fold: int) -> str:
    """File name, without its ending, of a labeled part: instances_train2017.1@10, instances_train2017.1@0.5."""
    return f'{stem}.{fold}@{percent:g}'


def write_splits(dataset: dict, stem: str, percents: Sequence[float], folds: Sequence[int], out: Path) -> None:
    """Write the labeled and unlabeled file of each fold and percent into the folder `out`, a line on stdout each."""
    groups = group_by_image(dataset)
    for fold, percent in track(list(itertools.product(folds, percents)), 'splitting'):
        labeled, unlabeled = split(dataset, percent, fold, groups)
        path = out / f'{split_name(stem, percent, fold)}.json'
        write_json(labeled, path)
        write_json(unlabeled, path.with_name(f'{path.stem}-unlabeled.json'))
        counts = f'{len(labeled["images"])} labeled images, {len(labeled["annotations"])} annotations'
        print(f'{path}: {counts}, {len(unlabeled["images"])} unlabeled')


def unlabeled_path(image_info: Path, out: Path | None = None) -> Path:
    """image_info_X.json -> instances_X.json in the same folder or in `out`."""
    return (out or image_info.parent) / f'instances_{image_info.stem.removeprefix("image_info_")}.json'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line; exits with usage when nothing is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('ann', type=Path, metavar='ANN.json', help='COCO annotations')
    parser.add_argument('--percent', type=float, nargs='+', default=[], help='labeled share of the images, in (0, 100)')
    parser.add_argument('--fold', type=int, nargs='+', default=[], help='number of the draw')
    parser.add_argument('--unlabeled-info', type=Path, metavar='INFO.json', help='list of further, unlabeled images')
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
        print(f'{path}: {len(image_info["images"])} unlabeled images')


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; bad input ends in one line on stderr and exit status 1."""
    args = parse_args(argv)
    try:
        run(args)
    except (OSError, ValueError) as e:
        sys.exit(f'error: {e}')


if __name__ == '__main__':
    main()
