"""Tiny raw folders, as people have them."""

import json

import numpy as np
from PIL import Image

KEYS = ('xmin', 'ymin', 'xmax', 'ymax')


def save_image(path, seed, size=(64, 48), shift=0, **options):
    """A picture of its own for each seed; `shift` brightens it, which changes the file and not how it looks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(40, 200, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.NEAREST)
    Image.fromarray(np.asarray(image) + np.uint8(shift)).save(path, **options)
    return path


def voc_xml(objects, size=(64, 48), filename='', difficult=0):
    """A VOC file; objects: [(class, xmin, ymin, xmax, ymax), ...]."""
    text = f'<annotation><filename>{filename}</filename>'
    text += f'<size><width>{size[0]}</width><height>{size[1]}</height></size>'
    for name, *corners in objects:
        bndbox = ''.join(f'<{key}>{value}</{key}>' for key, value in zip(KEYS, corners, strict=True))
        text += f'<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{bndbox}</bndbox></object>'
    return text + '</annotation>'


def write(path, text):
    """Write a text file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def make_voc(root, names, xml_folder='annots', image_folder='images', suffix='.jpg'):
    """A VOC folder without lists: in each image a `cat`, from (10, 12) to (30, 24), and in every second a `dog`."""
    for i, name in enumerate(names):
        save_image(root / image_folder / f'{name}{suffix}', name)
        objects = [('cat', 11, 13, 30, 24)] + [('dog', 1, 1, 20, 20)] * (i % 2)
        write(root / xml_folder / f'{name}.xml', voc_xml(objects))
    return root


def make_yolo(root, images, labels=None, names='names: [cat, dog]', rows='0 0.5 0.5 0.25 0.5\n'):
    """A YOLO folder; images: name of each image under root; its label file lies where `labels(name)` says."""
    labels = labels or (lambda name: name.replace('images', 'labels'))
    for i, name in enumerate(images):
        path = save_image(root / name, i)
        write((root / labels(name)).with_suffix('.txt'), rows)
        assert path.is_file()
    if names:
        write(root / ('data.yaml' if names.startswith('names') else 'classes.txt'), names)
    return root


def make_coco(path, images, annotations=None, names=('dog', 'cat'), sizes=None, folder='images'):
    """A COCO JSON and its images beside it; `annotations` are completed with ids."""
    for i, name in enumerate(images):
        save_image(path.parent / folder / name, name if isinstance(name, int) else i)
    entries = [
        {'id': i, 'file_name': name, 'width': 64, 'height': 48, **(sizes or {}).get(name, {})}
        for i, name in enumerate(images, 1)
    ]
    if annotations is None:
        annotations = [{'image_id': i, 'category_id': 7, 'bbox': [8, 6, 16, 24]} for i in range(1, len(images) + 1)]
    content = {
        'images': entries,
        'annotations': [{'id': i, **a} for i, a in enumerate(annotations, 1)],
        'categories': [{'id': 7 + i, 'name': name} for i, name in enumerate(names)],
    }
    return write(path, json.dumps(content))
