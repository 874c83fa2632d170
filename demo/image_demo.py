"""Detect on images: `python demo/image_demo.py IMAGE CONFIG CHECKPOINT --output DIR`.

IMAGE is one image, a folder (with the folders in it) or a glob; there may be several. For each image DIR gets a picture
with class names and scores under the image's name, and beside it a JSON file of the same detections:

    {"file": "data/a.jpg", "detections": [{"class": "cell", "score": 0.97, "bbox": [x1, y1, x2, y2]}, ...]}

boxes in pixels of the image, highest score first, those of at least --score-thr. DIR keeps the folders below the first
one that all images share, so that a/1.jpg and b/1.jpg are both kept.
"""

import argparse
import glob
import json
import os.path as osp
import sys
from pathlib import Path
from typing import Any

import ssod  # noqa: F401  first: it keeps MMDetection quiet

# isort: split
import torch

from ssod.apis import InputError, detect, init_detector
from ssod.apis.checks import run_command
from ssod.apis.config import Options

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('image', nargs='+', help='an image, a folder, or a glob')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--output', required=True, metavar='DIR', help='where pictures and JSON files go')
    parser.add_argument('--device', default='cuda:0' if torch.cuda.is_available() else 'cpu', help='cpu, cuda:0 ...')
    parser.add_argument('--score-thr', type=float, default=0.3, help='lowest score shown and written (0.3)')
    parser.add_argument('--eval-on', choices=['student', 'teacher'], help="default: the config's predict_on")
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    return parser.parse_args()


def find_images(patterns: list[str]) -> list[Path]:
    """The images that the first arguments mean.

    Raises:
        InputError: there is none.
    """
    paths = []
    for pattern in patterns:
        found = [pattern] if osp.isfile(pattern) else sorted(glob.glob(pattern))
        images = [path for name in found for path in walk(Path(name))]
        if not images:
            raise InputError(f'no image matches {pattern}: give images ({", ".join(SUFFIXES)}), a folder, or a glob')
        paths += images
    return list(dict.fromkeys(paths))


def walk(path: Path) -> list[Path]:
    """The path itself if it is a file, else the images in the folder and in those below, sorted."""
    paths = [path] if path.is_file() else sorted(path.rglob('*'))
    return [path for path in paths if path.is_file() and path.suffix.lower() in SUFFIXES]


def outputs(images: list[Path], folder: Path) -> list[Path]:
    """Where each image's picture goes: under ``folder``, by its path below the folder that all share.

    Raises:
        InputError: that is where an image is.
    """
    parents = [path.resolve().parent for path in images]
    shared = osp.commonpath(parents)
    pictures = [folder / parent.relative_to(shared) / path.name for parent, path in zip(parents, images, strict=True)]
    for picture, image in zip(pictures, images, strict=True):
        if picture.resolve() == image.resolve():
            raise InputError(f'the picture would overwrite {image}: choose another --output')
    return pictures


def to_records(result: list, classes: tuple[str, ...], score_thr: float) -> list[dict[str, Any]]:
    """A detector's result, for each class an (n, 5) array, as dictionaries: class, score, bbox; best first."""
    records = [
        {'class': name, 'score': round(float(score), 4), 'bbox': [round(float(side), 2) for side in box]}
        for name, boxes in zip(classes, result, strict=True)
        for *box, score in boxes
        if score >= score_thr
    ]
    return sorted(records, key=lambda record: -record['score'])


def write(image: Path, picture: Path, result: Any, model: torch.nn.Module, score_thr: float) -> int:
    """Write the picture and the JSON of one image; returns the number of detections."""
    boxes = result[0] if isinstance(result, tuple) else result  # with masks
    records = to_records(boxes, model.CLASSES, score_thr)
    picture.parent.mkdir(parents=True, exist_ok=True)
    model.show_result(str(image), result, score_thr=score_thr, font_size=10, thickness=2, out_file=str(picture))
    # a.jpg.json: a.jpg and a.png may lie side by side.
    with open(f'{picture}.json', 'w', encoding='utf-8') as file:
        json.dump({'file': str(image), 'detections': records}, file, indent=1, ensure_ascii=False)
    return len(records)


def main() -> None:
    """Detect on every image; one that cannot be read is named and left out."""
    args = parse_args()
    images = find_images(args.image)
    pictures = outputs(images, Path(args.output))
    if args.device.startswith('cuda') and not torch.cuda.is_available():
        raise InputError(f'no GPU for --device {args.device}: use --device cpu')
    model = init_detector(args.config, args.checkpoint, args.device, args.cfg_options, args.eval_on)
    skipped = 0
    for number, (image, picture) in enumerate(zip(images, pictures, strict=True), 1):
        try:
            count = write(image, picture, detect(model, str(image)), model, args.score_thr)
        except InputError as error:
            skipped += 1
            print(f'[{number}/{len(images)}] skipped: {error}', file=sys.stderr)
            continue
        print(f'[{number}/{len(images)}] {image}: {count} detections -> {picture}', flush=True)
    if skipped == len(images):
        raise InputError('none of the images could be read')


if __name__ == '__main__':
    run_command(main)
