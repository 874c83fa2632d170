"""Every format: what is written is what is read back, and one hand-worked file of each."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import yaml
from PIL import Image

from ssod.core.errors import InputError
from ssod.data.labels import LabeledImage, LabelObject, read_labels, write_labels
from ssod.data.labels import formats as all_formats
from ssod.data.labels.masks import decode, encode, fill, from_brush, one_polygon, outlines, to_brush
from ssod.data.labels.structure import map_of_objects, objects_of_map

CLASSES = ['cell', 'dust & "co"']


def blob(size=(40, 30)):
    """Two parts, one with a hole."""
    mask = np.zeros(size[::-1], bool)
    mask[3:15, 4:20] = True
    mask[7:11, 8:14] = False
    mask[20:26, 30:37] = True
    return mask


def images(masks=False):
    mask = encode(blob()) if masks else None
    objects = [
        LabelObject('cell', (4.0, 3.0, 37.0, 26.0), 0.75, mask),
        LabelObject(CLASSES[1], (1.0, 20.0, 6.5, 28.25), 0.5, encode(np.eye(30, 40, 3, bool)) if masks else None),
    ]
    if masks:
        objects[1].xyxy = (3.0, 0.0, 33.0, 30.0)
    return [LabeledImage('a/one.jpg', (40, 30), objects), LabeledImage('two.jpg', (20, 50))]


def submitted(path):
    """A person submits Label Studio's predictions as they are."""
    tasks = json.loads(path.read_text())
    for task in tasks:
        task['annotations'] = [dict(result=task['predictions'][0]['result'])]
    path.write_text(json.dumps(tasks))


@pytest.mark.parametrize('masks', [False, True])
@pytest.mark.parametrize('kind', ['coco', 'yolo', 'labelstudio', 'cvat', 'png'])
def test_what_is_written_is_read_back(kind, masks, tmp_path):
    if kind == 'png' and not masks:
        with pytest.raises(InputError, match='boxes are no label maps'):
            write_labels(images(), CLASSES, kind, tmp_path)
        return
    path = write_labels(images(masks), CLASSES, kind, tmp_path)
    if kind == 'labelstudio':
        submitted(path)
    place = tmp_path if kind in ('yolo', 'png') else path
    assert all_formats.format_of(place) == kind
    found, classes, notes = read_labels(place)
    assert notes == [] and (classes == CLASSES or (kind == 'labelstudio' and set(classes) == set(CLASSES)))
    found = {one.name.removesuffix('.jpg'): one for one in found}
    assert set(found) == {'a/one', 'two'} and found['two'].objects == []
    one = found['a/one'].sized((40, 30))
    assert one.size == (40, 30)
    expected = sorted(images(masks)[0].objects, key=lambda o: o.name)
    for own, wanted in zip(sorted(one.objects, key=lambda o: o.name), expected, strict=True):
        assert own.name == wanted.name
        assert own.score == (None if kind == 'yolo' else wanted.score)
        if not masks:
            np.testing.assert_allclose(own.xyxy, wanted.xyxy, atol=1e-3)
        elif kind in ('coco', 'labelstudio', 'cvat') or (kind == 'png' and own.name == 'cell'):
            assert np.array_equal(decode(own.mask), decode(wanted.mask))
        elif kind == 'png':  # the surest object covers the others
            cell = decode(expected[0].mask)
            assert np.array_equal(decode(own.mask), decode(wanted.mask) & ~cell)
        elif wanted.name == 'cell':
            pair = decode(own.mask), decode(wanted.mask)
            assert (pair[0] & pair[1]).sum() / (pair[0] | pair[1]).sum() > 0.9


def test_hand_worked_files(tmp_path):
    for kind in ('yolo', 'cvat', 'labelstudio', 'coco'):
        write_labels(images(), CLASSES, kind, tmp_path / kind)
    first = (tmp_path / 'yolo/labels/a/one.txt').read_text().splitlines()[0]
    assert first == '0 0.512500 0.483333 0.825000 0.766667'
    assert (tmp_path / 'yolo/labels/two.txt').read_text() == ''
    assert yaml.safe_load((tmp_path / 'yolo/data.yaml').read_text())['names'] == dict(enumerate(CLASSES))
    root = ET.parse(tmp_path / 'cvat/annotations.xml').getroot()
    assert root.find('version').text == '1.1'
    box = root.find('image/box')
    assert [box.get(key) for key in ('label', 'xtl', 'ytl', 'xbr', 'ybr')] == ['cell', '4.00', '3.00', '37.00', '26.00']
    assert box.find('attribute').text == '0.7500'
    task = json.loads((tmp_path / 'labelstudio/tasks.json').read_text())[0]
    assert task['data']['image'] == '/data/local-files/?d=a/one.jpg' and task['predictions'][0]['score'] == 0.625
    value = task['predictions'][0]['result'][0]['value']
    assert [value[key] for key in ('x', 'y', 'width', 'height')] == pytest.approx([10, 10, 82.5, 76.6667], abs=1e-3)
    coco = json.loads((tmp_path / 'coco/labels.json').read_text())
    assert coco['annotations'][0] == dict(
        id=1, image_id=1, category_id=1, bbox=[4, 3, 33, 23], area=759, iscrowd=0, score=0.75
    )


def test_masks_of_cvat_are_rows_within_their_box(tmp_path):
    mask = np.zeros((4, 6), bool)
    mask[1, 2:4] = mask[2, 3] = True
    write_labels([LabeledImage('a.png', (6, 4), [LabelObject('cell', (2, 1, 4, 3), None, encode(mask))])], CLASSES,
                 'cvat', tmp_path)  # fmt: skip
    shape = ET.parse(tmp_path / 'annotations.xml').getroot().find('image/mask')
    assert [shape.get(key) for key in ('rle', 'left', 'top', 'width', 'height')] == ['0, 2, 1, 1', '2', '1', '2', '2']


def test_label_studios_code_by_hand():
    """Of one pixel in the mask: 4 values, 8 bits each; lengths of 3, 4, 8, 16 bits; a run of 4 times 255."""
    bits = f'{4:032b}' + '00111' + '0010' + '0011' + '0111' + '1111' + '1' + '00' + '011' + '11111111'
    bits += '0' * (-len(bits) % 8)
    assert to_brush(np.ones((1, 1), bool)) == [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    single = f'{8:032b}' + '00111' + '0010' + '0011' + '0111' + '1111' + '0' + '00' + '111'
    single += ''.join(f'{value:08b}' for value in (0, 0, 0, 0, 9, 9, 9, 200))
    single += '0' * (-len(single) % 8)
    code = [int(single[i : i + 8], 2) for i in range(0, len(single), 8)]
    assert from_brush(code, (2, 1)).tolist() == [[False, True]]
    assert from_brush(code, (3, 1)) is None
    big = np.random.default_rng(0).random((300, 200)) > 0.5
    big[:150] = False  # runs of more than 2 ** 16 values
    assert np.array_equal(from_brush(to_brush(big), (200, 300)), big)


def test_outlines_run_along_pixels():
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    (points,) = outlines(mask)
    assert points.min(axis=0).tolist() == [2, 1] and points.max(axis=0).tolist() == [7, 4]
    assert np.array_equal(fill([one_polygon(mask)], (8, 6)), mask)
    assert len(outlines(blob())) == 3 and one_polygon(np.zeros((4, 4), bool)).shape == (0, 2)


def test_label_maps_as_objects_and_back(tmp_path):
    labels = np.full((5, 7), 255, np.uint8)
    labels[:2], labels[3:, 2:5] = 1, 0
    image = LabeledImage('m.png', (7, 5), objects_of_map(labels, CLASSES), labels)
    assert [one.name for one in image.objects] == CLASSES
    assert np.array_equal(map_of_objects(image, CLASSES), labels)
    write_labels([image], CLASSES, 'png', tmp_path)
    with Image.open(tmp_path / 'maps/m.png') as file:
        assert np.array_equal(np.array(file), labels)
    found, classes, _ = read_labels(tmp_path)
    assert classes == CLASSES and np.array_equal(found[0].labels, labels)


@pytest.mark.parametrize(
    'name, content, sentence',
    [
        ('a.json', '{', 'is not JSON'),
        ('a.json', '[{"data": {"image": "x.jpg"}, "predictions": []}]', 'predictions alone'),
        ('a.json', '[1]', 'no list of Label Studio tasks'),
        ('a.json', '{"images": []}', "no list 'categories'"),
        ('a.xml', '<a', 'is not XML'),
        ('a.xml', '<annotations><track/></annotations>', 'CVAT for images 1.1'),
        (
            'a.xml',
            '<annotations><image name="i" width="2" height="2"><box label="a" xtl="1"/></image></annotations>',
            "image i has a shape without 'ytl'",
        ),
        ('a.txt', '', 'no known format'),
        ('data.yaml', 'names: []', 'has no names'),
    ],
)
def test_bad_files(name, content, sentence, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=sentence):
        read_labels(tmp_path / name)


@pytest.mark.parametrize(
    'row, sentence',
    [('0 1 2', 'neither class'), ('5 .1 .1 .1 .1', 'class 5'), ('0 10 20 30 40', '40 is no share'), ('a b', 'no row')],
)
def test_bad_rows_of_yolo(row, sentence, tmp_path):
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'data.yaml').write_text('names: [cell]')
    (tmp_path / 'labels/a.txt').write_text(row)
    with pytest.raises(InputError, match=f'a.txt, line 1: .*{sentence}'):
        read_labels(tmp_path)


def test_a_turned_rectangle_and_a_polygon_of_label_studio(tmp_path):
    size = dict(original_width=200, original_height=100)
    turned = dict(x=50, y=50, width=10, height=20, rotation=90, rectanglelabels=['cell'])
    points = dict(points=[[0, 0], [10, 0], [10, 20], [0, 20]], polygonlabels=['dust'])
    result = [dict(size, type='rectanglelabels', value=turned), dict(size, type='polygonlabels', value=points)]
    task = dict(data=dict(image='/data/upload/3/0123abcd-x y.jpg'), annotations=[dict(result=result)])
    (tmp_path / 'a.json').write_text(json.dumps([task, dict(data=dict(image='b'), annotations=[])]))
    (image,), classes, notes = read_labels(tmp_path / 'a.json')
    assert image.name == 'x y.jpg' and classes == ['cell', 'dust'] and notes[0].startswith('1 tasks')
    np.testing.assert_allclose(image.objects[0].xyxy, (80, 50, 100, 70), atol=1e-6)
    assert decode(image.objects[1].mask).sum() == 400 and image.objects[1].xyxy == (0, 0, 20, 20)
