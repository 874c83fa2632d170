"""CVAT's "CVAT for images 1.1": one XML file."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssod.core.errors import InputError
from ssod.core.files import write_whole

from .masks import alternating, box_around, decode, encode, fill, from_alternating
from .structure import LabeledImage, LabelObject

FILE = 'annotations.xml'
SHAPES = ('box', 'polygon', 'mask')


def write(images: Sequence[LabeledImage], classes: Sequence[str], out: Path) -> Path:
    """Write ``annotations.xml``: boxes, masks as run lengths, and the score as an attribute of each."""
    root = ET.Element('annotations')
    ET.SubElement(root, 'version').text = '1.1'
    task = ET.SubElement(ET.SubElement(root, 'meta'), 'task')
    for key, value in (('size', len(images)), ('mode', 'annotation')):
        ET.SubElement(task, key).text = str(value)
    labels = ET.SubElement(task, 'labels')
    for name in classes:
        label = ET.SubElement(labels, 'label')
        ET.SubElement(label, 'name').text = name
        attribute = ET.SubElement(ET.SubElement(label, 'attributes'), 'attribute')
        # Asked for by CVAT: a text that may be any.
        for key, value in dict(name='score', mutable='False', input_type='text', default_value='', values='').items():
            ET.SubElement(attribute, key).text = value
    for number, image in enumerate(images):
        width, height = image.size
        node = ET.SubElement(root, 'image', id=str(number), name=image.name, width=str(width), height=str(height))
        for one in image.objects:
            shape = ET.SubElement(node, *shape_of(one))
            if one.score is not None:
                ET.SubElement(shape, 'attribute', name='score').text = f'{one.score:.4f}'
    ET.indent(root)
    write_whole(out / FILE, '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding='unicode') + '\n')
    return out / FILE


def shape_of(one: LabelObject) -> tuple[str, dict[str, str]]:
    """Tag and attributes of an object. Run lengths go row by row through the mask's box, background first."""
    common = dict(label=one.name, source='auto', occluded='0', z_order='0')
    if one.mask is None:
        corners = zip(('xtl', 'ytl', 'xbr', 'ybr'), one.xyxy, strict=True)
        return 'box', {**common, **{key: f'{value:.2f}' for key, value in corners}}
    mask = decode(one.mask)
    left, top, right, bottom = map(int, box_around(mask))
    runs = alternating(mask[top:bottom, left:right].reshape(-1))
    place = dict(left=str(left), top=str(top), width=str(right - left), height=str(bottom - top))
    return 'mask', {**common, 'rle': ', '.join(map(str, runs)), **place}


def read(path: Path) -> tuple[list[LabeledImage], list[str], list[str]]:
    """Images, class names and notes of a CVAT file.

    Boxes, polygons and masks are read. Other shapes are left out, and a note counts them.

    Raises:
        InputError: it is not XML or not CVAT's, or a shape lacks a number.
    """
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as error:
        raise InputError(f'{path} is not XML ({error}): export it again') from error
    if root.tag != 'annotations' or root.find('track') is not None:
        raise InputError(f'{path} is not of the format "CVAT for images 1.1": export the task in it')
    classes = [name.text or '' for name in root.findall('meta//label/name')]
    images, left_out = [], 0
    for node in root.findall('image'):
        try:
            size = int(node.attrib['width']), int(node.attrib['height'])
            image = LabeledImage(node.attrib['name'], size)
            image.objects += [read_shape(shape, size) for shape in node if shape.tag in SHAPES]
        except (KeyError, ValueError) as error:
            raise InputError(
                f'{path}: image {node.get("name")} has a shape without {error}: export it again'
            ) from error
        left_out += sum(shape.tag not in SHAPES for shape in node)
        images.append(image)
    notes = [f'{left_out} shapes that are neither box, polygon nor mask were left out'] if left_out else []
    return images, list(dict.fromkeys(classes)), notes


def read_shape(shape: ET.Element, size: tuple[int, int]) -> LabelObject:
    """An object of a box, a polygon or a mask."""
    said, score = shape.attrib, shape.find("attribute[@name='score']")
    score = float(score.text) if score is not None and score.text else None
    if shape.tag == 'box':
        return LabelObject(said['label'], tuple(float(said[key]) for key in ('xtl', 'ytl', 'xbr', 'ybr')), score)
    if shape.tag == 'polygon':
        points = np.array([point.split(',') for point in said['points'].split(';')], float)
        mask = fill([points], size)
    else:
        left, top, width, height = (int(float(said[key])) for key in ('left', 'top', 'width', 'height'))
        window = from_alternating([int(run) for run in said['rle'].split(',')], width * height)
        mask = np.zeros(size[::-1], bool)
        if window is None or mask[top : top + height, left : left + width].size != width * height:
            raise ValueError('run lengths that fit its box')
        mask[top : top + height, left : left + width] = window.reshape(height, width)
    return LabelObject(said['label'], box_around(mask), score, encode(mask))
