"""Convert a Pascal VOC folder to COCO annotations.

    python tools/dataset/voc_to_coco.py VOC_ROOT --out data/mine [--classes RBC WBC Platelets] [--copy]

reads VOC_ROOT/{Annotations/*.xml, JPEGImages, ImageSets/Main/{train,val,test}.txt} (those of the three lists that are
there) and writes OUT/annotations/instances_{train,val,test}.json, and the images under OUT/images/ as links, or as
copies with --copy or where links do not work. `file_name` is relative to OUT/images.

Boxes. VOC counts pixels from 1 and includes the last one, COCO measures from the image's corner, so
[xmin, ymin, xmax, ymax] becomes x = xmin - 1, y = ymin - 1, width = xmax - xmin + 1, height = ymax - ymin + 1, then is
clipped to the image. A box with xmax <= xmin or ymax <= ymin (a slip of the mouse; strictly, one pixel) is dropped, as
is one with nothing left inside the image. The size is that of the image file: the XML's is often wrong.

A `difficult` object gets iscrowd 1: mmdet's CocoDataset then gives it as `gt_bboxes_ignore` and COCO's evaluation
leaves it out, as VOC's does. (The key `ignore` would not do: CocoDataset drops such a box, which makes it background,
and pycocotools overwrites the key.)
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ssod.core.screen import track
from ssod.data.files import write_json
from ssod.data.images import EXIF_ORIENTATION, image_size
from ssod.detection.data.folders.cleaning import clip_box
from ssod.detection.data.folders.voc import VocObject, corners, read_image_set, read_xml

__all__ = ['EXIF_ORIENTATION', 'convert', 'convert_all', 'image_size']

SPLITS = ('train', 'val', 'test')
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.JPG', '.JPEG', '.PNG', '.BMP')


def find_image(voc_root: Path, name: str) -> Path:
    """JPEGImages/{name}.jpg, or with another image ending.

    Raises:
        FileNotFoundError: there is none.
    """
    paths = [voc_root / 'JPEGImages' / f'{name}{suffix}' for suffix in SUFFIXES]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise FileNotFoundError(f'{paths[0]} does not exist: add that image or take it out of ImageSets/Main')
    return found


def to_coco_bbox(bbox: Sequence[float], width: int, height: int) -> tuple[list[float] | None, bool]:
    """VOC box (xmin, ymin, xmax, ymax) -> COCO box [x, y, w, h] in pixels, clipped to a `width` x `height` image.

    Returns:
        The box, or None where it is to be dropped, and whether it was clipped.
    """
    measured = corners(bbox)
    kept = clip_box(measured, width, height)
    if kept is None:
        return None, False
    x1, y1, x2, y2 = kept
    return [x1, y1, x2 - x1, y2 - y1], kept != measured


def place_image(source: Path, folder: Path, copy: bool) -> None:
    """Put `source` into `folder` as a link, or as a copy if `copy` or if the file system knows no links."""
    target = folder / source.name
    # The same file, linked as asked or because `folder` is JPEGImages itself: nothing to do, and nothing to delete.
    if target.exists() and target.samefile(source) and not (copy and target.is_symlink()):
        return
    target.unlink(missing_ok=True)
    if not copy:
        try:
            target.symlink_to(source.resolve())
            return
        except OSError:
            pass
    shutil.copyfile(source, target)


def convert(
    voc_root: Path, objects: dict[str, list[VocObject]], classes: Sequence[str]
) -> tuple[dict, list[str], list[str]]:
    """COCO dictionary of one split; reads the headers of its images.

    Args:
        voc_root: the VOC folder.
        objects: objects of each image name, in the order the images shall have.
        classes: class names; the category ids are 1, 2, ... in this order.

    Returns:
        The dictionary, and for each box that was clipped, and each that was dropped, the name of its image.

    Raises:
        FileNotFoundError, ValueError: an image is missing or is none, or a class is not in `classes`.
    """
    category_ids = {name: i for i, name in enumerate(classes, 1)}
    dataset = {'images': [], 'annotations': [], 'categories': [{'id': i, 'name': n} for n, i in category_ids.items()]}
    clipped, dropped = [], []
    for image_id, (name, image_objects) in enumerate(track(objects.items(), 'converting'), 1):
        path = find_image(voc_root, name)
        width, height = image_size(path)
        dataset['images'].append({'id': image_id, 'file_name': path.name, 'width': width, 'height': height})
        for obj in image_objects:
            if obj.name not in category_ids:
                xml = voc_root / 'Annotations' / f'{name}.xml'
                raise ValueError(f"{xml} has the class '{obj.name}', which --classes lacks: add it or correct the file")
            bbox, was_clipped = to_coco_bbox(obj.bbox, width, height)
            clipped += [name] * was_clipped
            if bbox is None:
                dropped.append(name)
                continue
            annotation = {'image_id': image_id, 'category_id': category_ids[obj.name], 'bbox': bbox}
            annotation.update(id=len(dataset['annotations']) + 1, area=bbox[2] * bbox[3], iscrowd=int(obj.difficult))
            dataset['annotations'].append(annotation)
    return dataset, clipped, dropped


def describe(split: str, dataset: dict, clipped: Sequence[str], dropped: Sequence[str]) -> str:
    """One line a split: images, boxes of each class, what was clipped and dropped, with the first few images."""
    names = {category['id']: category['name'] for category in dataset['categories']}
    labels = [names[annotation['category_id']] for annotation in dataset['annotations']]
    counts = ', '.join(f'{name} {labels.count(name)}' for name in names.values())
    line = f'{split}: {len(dataset["images"])} images, {len(labels)} boxes ({counts})'
    for word, images in (('clipped', clipped), ('dropped', dropped)):
        examples = list(dict.fromkeys(images))
        more = ', ...' if len(examples) > 3 else ''
        line += f'; {len(images)} boxes {word}' + (f' (in {", ".join(examples[:3])}{more})' if images else '')
    return line


def convert_all(voc_root: Path, out: Path, classes: Sequence[str] | None = None, copy: bool = False) -> None:
    """Convert the three splits, those that have a list, and print a line for each; see the top of this file.

    Args:
        voc_root: the VOC folder, which is only read.
        out: output folder.
        classes: class names in the order wanted; None: all those found in any split, sorted.
        copy: copy the images instead of linking them.

    Raises:
        FileNotFoundError, ValueError: there is no list of images, or see `read_xml` and `convert`.
    """
    image_sets = {split: read_image_set(voc_root, split) for split in SPLITS}
    image_sets = {split: names for split, names in image_sets.items() if names}
    if not image_sets:
        wanted = voc_root / 'ImageSets' / 'Main' / 'train.txt'
        raise FileNotFoundError(f'{wanted}, val.txt, test.txt: none lists an image; write one image name a line')
    objects = {
        split: {name: read_xml(voc_root / 'Annotations' / f'{name}.xml').objects for name in names}
        for split, names in image_sets.items()
    }
    if classes is None:
        classes = sorted({o.name for images in objects.values() for found in images.values() for o in found})
    # Everything is converted before anything is written: an error leaves OUT as it was.
    converted = {split: convert(voc_root, images, classes) for split, images in objects.items()}
    (out / 'images').mkdir(parents=True, exist_ok=True)
    for split, (dataset, clipped, dropped) in converted.items():
        for image in dataset['images']:
            place_image(voc_root / 'JPEGImages' / image['file_name'], out / 'images', copy)
        write_json(dataset, out / 'annotations' / f'instances_{split}.json')
        print(describe(split, dataset, clipped, dropped))
    print(f'classes: {tuple(classes)}')


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; bad input ends in one line on stderr and exit status 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('voc_root', type=Path, metavar='VOC_ROOT')
    parser.add_argument('--out', type=Path, required=True, help='output folder')
    parser.add_argument('--classes', nargs='+', help='class names in this order (default: all that occur, sorted)')
    parser.add_argument('--copy', action='store_true', help='copy the images instead of linking them')
    args = parser.parse_args(argv)
    try:
        convert_all(args.voc_root, args.out, args.classes, args.copy)
    except (OSError, ValueError) as e:
        sys.exit(f'error: {e}')


if __name__ == '__main__':
    main()
