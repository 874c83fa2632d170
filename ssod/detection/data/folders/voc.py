"""Pascal VOC: an XML file an image, with or without ImageSets, its image found by name wherever it lies."""

import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from ssod.core.errors import InputError
from ssod.core.screen import track

from .structure import FolderIndex, LabelSource, RawBox, RawImage, folder_split, some, with_train

KIND = 'Pascal VOC'
Corners = tuple[float, float, float, float]


@dataclass
class VocObject:
    """One object of a VOC file; `bbox` is (xmin, ymin, xmax, ymax) as written there: 1-based, last pixel included."""

    name: str
    bbox: Corners
    difficult: bool


@dataclass
class VocFile:
    """A VOC file: its objects, and the image's name and (width, height) as written there, '' and (0, 0) if absent."""

    objects: list[VocObject]
    filename: str
    size: tuple[int, int]


def read_image_set(voc_root: Path, split: str) -> list[str]:
    """Image names, without ending, of ImageSets/Main/{split}.txt in its order, each once; empty if there is no list."""
    path = voc_root / 'ImageSets' / 'Main' / f'{split}.txt'
    lines = path.read_text(encoding='utf-8').splitlines() if path.is_file() else []
    # A list of one class has a second column with 1, 0 or -1.
    return list(dict.fromkeys(line.split()[0] for line in lines if line.strip()))


def read_xml(path: Path) -> VocFile:
    """Read a VOC annotation file.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is not XML, or an object lacks its name or a coordinate.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: annotate that image or take it out of ImageSets/Main')
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as e:
        raise InputError(f'{path} is not XML ({e}): export it again') from e
    objects = []
    for node in root.findall('object'):
        try:
            bbox = tuple(float(node.findtext(f'bndbox/{key}', '')) for key in ('xmin', 'ymin', 'xmax', 'ymax'))
        except ValueError as e:
            raise InputError(f'{path} has an object without a complete <bndbox>: correct it') from e
        name = node.findtext('name', '').strip()
        if not name:
            raise InputError(f'{path} has an object without a <name>: correct it')
        objects.append(VocObject(name, bbox, node.findtext('difficult', '0').strip() == '1'))
    try:
        size = tuple(int(float(root.findtext(f'size/{key}') or 0)) for key in ('width', 'height'))
    except ValueError:
        size = (0, 0)
    return VocFile(objects, root.findtext('filename', '').strip(), size)


def corners(bbox: Corners) -> Corners:
    """VOC's (xmin, ymin, xmax, ymax), which counts pixels from 1 and includes the last, measured from the corner.

    A box of one pixel's width or height is a slip of the mouse: it becomes a point, which later checks drop.
    """
    xmin, ymin, xmax, ymax = bbox
    if xmax <= xmin or ymax <= ymin:
        return xmin, ymin, xmin, ymin
    return xmin - 1, ymin - 1, xmax, ymax


def find(index: FolderIndex) -> list[Path]:
    """VOC annotation files in a folder, known by their first tag."""
    return [path for path in index.having('.xml') if is_voc(path)]


def is_voc(path: Path) -> bool:
    """Whether an XML file begins as a VOC annotation does."""
    with path.open('rb') as file:
        return b'<annotation' in file.read(2048)


def read(index: FolderIndex, paths: list[Path]) -> LabelSource:
    """Read the annotation files `paths` that `find` has found.

    Without lists in ImageSets/Main the folders' names tell the split, and a folder without splits is all training.

    Raises:
        InputError: no XML file has an image; see `read_xml`.
    """
    files = {path: read_xml(path) for path in track(paths, 'reading labels')}
    images, lost = find_images(index, files)
    if not images:
        raise InputError(f'{index.root} has no image for any of its XML files: looked for one named as {paths[0].name}')
    lists = read_lists(index)
    splits, unlisted = {'train': [], 'val': [], 'test': []}, 0
    for xml, image in images.items():
        boxes = [RawBox(o.name, corners(o.bbox), o.difficult) for o in files[xml].objects]
        split = lists.get(xml.stem) if lists else folder_split(xml, index.root) or 'train'
        unlisted += split is None
        if split:
            splits[split].append(RawImage(image, boxes, files[xml].size))
    classes = sorted({o.name for file in files.values() for o in file.objects})
    notes = [f'{len(lost)} XML files without an image were left out ({some(p.name for p in lost)})'] if lost else []
    if unlisted:
        notes.append(f'{unlisted} images with labels were left out: no list in ImageSets/Main names them')
    absent = sorted(set(lists) - {xml.stem for xml in images})
    if absent:
        notes.append(f'{len(absent)} names in ImageSets/Main have no XML file with an image ({some(absent)})')
    return LabelSource(KIND, classes, with_train(splits, index.root), notes=notes)


def read_lists(index: FolderIndex) -> dict[str, str]:
    """The split of each image name, of all ImageSets/Main under the folder; what is in trainval alone is training."""
    lists: dict[str, str] = {}
    roots = {p.parents[2] for p in index.having('.txt') if p.parts[-3:-1] == ('ImageSets', 'Main')}
    for root in sorted(roots):
        for split in ('train', 'val', 'test', 'trainval'):
            for name in read_image_set(root, split):
                lists.setdefault(name, split if split != 'trainval' else 'train')
    return lists


def find_images(index: FolderIndex, files: dict[Path, VocFile]) -> tuple[dict[Path, Path], list[Path]]:
    """The image of each XML file, and the XML files without one.

    Among images of one name that beside the XML file is taken, then one in a folder parallel to it, then one with
    the file name that the XML gives, then one in the folder that has most of the images: VOC keeps masks under the
    same names.
    """
    by_stem = defaultdict(list)
    for path in index.images:
        by_stem[path.stem].append(path)
    folders = Counter(image.parent for xml in files for image in by_stem.get(xml.stem, []))
    found, lost = {}, []
    for xml, file in files.items():
        candidates = by_stem.get(xml.stem) or by_stem.get(Path(file.filename.replace('\\', '/')).stem, [])
        if not candidates:
            lost.append(xml)
            continue
        found[xml] = max(candidates, key=lambda p: closeness(p, xml, file.filename) + (folders[p.parent],))
    return found, lost


def closeness(image: Path, xml: Path, filename: str) -> tuple[bool, bool, bool]:
    """How well an image fits an XML file: beside it, in a folder parallel to it, of the file name that it gives."""
    return image.parent == xml.parent, image.parent.parent == xml.parent.parent, image.name == filename
