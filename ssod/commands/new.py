"""`ssod new`: a data set of raw folders."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ssod.apis import new_dataset

EPILOG = """
Writes data/NAME/annotations/{labeled,unlabeled,val[,test]}.json and links data/NAME/images/{labeled,...} to the
images, none of which is copied, and reports what is in them.

  ssod new cells --labeled cells/voc --unlabeled cells/more
  ssod new cells --labeled cells/train.json --unlabeled cells/images --val cells/val.json --classes RBC WBC
"""


def new(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Make a data set of raw folders of images and labels, and report what is in them."""
    parser = argparse.ArgumentParser(
        prog, description=new.__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    run(parser.parse_args(argv))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument('name', metavar='NAME', help='name of the set')
    labels = 'COCO JSON, Pascal VOC or YOLO text: a folder, or the .json or data.yaml'
    parser.add_argument('--labeled', type=Path, required=True, metavar='PATH', help=labels)
    aside = 'folder of images (default: part of the labeled ones is used without labels, to try)'
    parser.add_argument('--unlabeled', type=Path, metavar='PATH', help=aside)
    own = "validation images with labels (default: the labeled set's own, else a part split off)"
    parser.add_argument('--val', type=Path, metavar='PATH', help=own)
    parser.add_argument('--classes', nargs='+', metavar='CLASS', help='classes to use, in this order (default: all)')
    kept = 'without --unlabeled: share of the images that keep their labels, at least 20 or half of them (default: 10)'
    parser.add_argument('--labeled-percent', type=float, default=10, metavar='P', help=kept)
    parser.add_argument('--seed', type=int, default=0, help='of the parts that are drawn (default: 0)')
    parser.add_argument('--out', type=Path, metavar='FOLDER', help='where to write (default: data/NAME)')
    parser.add_argument('--force', action='store_true', help='write over a set that is there')


def run(args: argparse.Namespace) -> None:
    """Make the data set and print the report.

    Raises:
        InputError: one sentence on what is missing or wrong, and where.
    """
    report = new_dataset(
        args.name,
        args.labeled,
        args.unlabeled,
        args.val,
        args.classes,
        args.seed,
        args.out,
        args.force,
        args.labeled_percent,
    )
    print(report)
