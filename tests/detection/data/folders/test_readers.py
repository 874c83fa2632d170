import json
import math

import pytest
from raw_folders import make_coco, make_voc, make_yolo, save_image, voc_xml, write

from ssod.core.errors import InputError
from ssod.detection.data.folders import read_labels


def content(source):
    """{split: {image: [(class, corners), ...]}}"""
    return {
        split: {i.path.name: [(b.name, tuple(round(v, 4) for v in b.xyxy)) for b in i.boxes] for i in images}
        for split, images in source.splits.items()
    }


@pytest.mark.parametrize(
    'xml_folder, image_folder',
    [('Annotations', 'JPEGImages'), ('annotations', 'images'), ('annots', 'images'), ('.', '.'), ('data/xml', 'pics')],
)
def test_voc_without_lists_by_content(tmp_path, xml_folder, image_folder):
    make_voc(tmp_path, [1, 2], xml_folder, image_folder, suffix='.PNG')
    source = read_labels(tmp_path)
    assert (source.kind, source.classes, source.relative) == ('Pascal VOC', ['cat', 'dog'], False)
    # VOC counts from 1 and includes the last pixel.
    cat, dog = ('cat', (10, 12, 30, 24)), ('dog', (0, 0, 20, 20))
    assert content(source) == {'train': {'1.PNG': [cat], '2.PNG': [cat, dog]}}
    assert source.splits['train'][0].size == (64, 48)
    assert source.notes == []


def test_voc_lists_and_what_they_lack(tmp_path):
    make_voc(tmp_path, range(1, 7), 'Annotations', 'JPEGImages')
    for mask in range(1, 7):  # VOC has masks under the same names
        save_image(tmp_path / 'SegmentationClass' / f'{mask}.png', mask)
    for split, names in (('train', '1\n2\n'), ('val', '3\n'), ('test', '4 1\n'), ('trainval', '1\n2\n3\n5\n9\n')):
        write(tmp_path / 'ImageSets' / 'Main' / f'{split}.txt', names)
    source = read_labels(tmp_path)
    names = {split: sorted(images) for split, images in content(source).items()}
    assert names == {'train': ['1.jpg', '2.jpg', '5.jpg'], 'val': ['3.jpg'], 'test': ['4.jpg']}
    assert source.notes == [
        '1 images with labels were left out: no list in ImageSets/Main names them',
        '1 names in ImageSets/Main have no XML file with an image (9)',
    ]


def test_voc_splits_by_folder_and_difficult_objects(tmp_path):
    for split, seed in (('train', 1), ('valid', 2)):
        save_image(tmp_path / split / 'a.jpg', seed)
        write(tmp_path / split / 'a.xml', voc_xml([('cat', 5, 5, 5, 9)], difficult=1))
    write(tmp_path / 'train' / 'lost.xml', voc_xml([('cat', 1, 1, 5, 9)]))
    source = read_labels(tmp_path)
    assert content(source) == {split: {'a.jpg': [('cat', (5, 5, 5, 5))]} for split in ('train', 'val')}
    assert [image.path.parent.name for image in (*source.splits['train'], *source.splits['val'])] == ['train', 'valid']
    assert source.splits['train'][0].boxes[0].crowd
    assert source.notes == ['1 XML files without an image were left out (lost.xml)']


def test_yolo_side_by_side_with_data_yaml(tmp_path):
    images = ['images/train/a.jpg', 'images/train/b.jpg', 'images/val/c.png', 'images/test2017/d.jpg']
    names = 'names: {1: dog, 0: cat}\ntrain: ../nowhere/train\n'
    source = read_labels(make_yolo(tmp_path, images, names=names, rows='1 0.5 0.5 0.25 0.5\n\n0 0.1 0.2 0.2 0.4\n'))
    assert (source.kind, source.classes, source.relative) == ('YOLO text', ['cat', 'dog'], True)
    rows = [('dog', (0.375, 0.25, 0.625, 0.75)), ('cat', (0, 0, 0.2, 0.4))]
    assert content(source) == {'train': {'a.jpg': rows, 'b.jpg': rows}, 'val': {'c.png': rows}, 'test': {'d.jpg': rows}}
    given = read_labels(tmp_path / 'data.yaml')
    assert content(given) == content(source)


def test_yolo_together_with_classes_txt(tmp_path):
    make_yolo(tmp_path, ['a.jpg', 'b.jpg'], names='cat\ndog\n')
    save_image(tmp_path / 'unlabeled.jpg', 9)
    write(tmp_path / 'b.txt', '')  # an image without objects
    source = read_labels(tmp_path)
    assert source.classes == ['cat', 'dog']
    assert content(source) == {'train': {'a.jpg': [('cat', (0.375, 0.25, 0.625, 0.75))], 'b.jpg': []}}
    assert source.notes[0].startswith('1 images without a label file were left out (unlabeled.jpg)')


def test_yolo_parts_named_by_data_yaml(tmp_path):
    make_yolo(tmp_path, ['images/one/a.jpg', 'images/two/b.jpg', 'images/two/c.jpg'])
    write(tmp_path / 'data.yaml', 'names: [cat]\ntrain: images/one\nval: list.txt\n')
    write(tmp_path / 'list.txt', './images/two/c.jpg\n')
    names = {split: sorted(images) for split, images in content(read_labels(tmp_path)).items()}
    assert names == {'train': ['a.jpg', 'b.jpg'], 'val': ['c.jpg']}


def test_yolo_names_from_the_command_line_and_polygons(tmp_path):
    make_yolo(tmp_path, ['a.jpg'], names='', rows='0 0.1 0.2 0.3 0.2 0.3 0.6\n')
    with pytest.raises(InputError, match='no class names: add data.yaml or classes.txt'):
        read_labels(tmp_path)
    source = read_labels(tmp_path, ['thing'])
    assert content(source) == {'train': {'a.jpg': [('thing', (0.1, 0.2, 0.3, 0.6))]}}
    assert source.notes == ['1 boxes were drawn around polygons']


def test_coco_file_or_folder(tmp_path):
    path = make_coco(tmp_path / 'annotations' / 'instances.json', ['a.jpg', 'b.jpg'], folder='../pictures/in')
    expected = {'train': {name: [('dog', (8, 6, 24, 30))] for name in ('a.jpg', 'b.jpg')}}
    for place in (path, tmp_path, tmp_path / 'annotations'):
        source = read_labels(place)
        assert (source.kind, source.classes) == ('COCO JSON', ['dog', 'cat'])
        assert content(source) == expected


def test_coco_splits_with_equal_names(tmp_path):
    """Each annotation file has its own 1.jpg; names of another machine do not matter."""
    root = tmp_path / 'set'
    for split, part in (('train', 'train2017'), ('val', 'val2017')):
        make_coco(root / f'instances_{split}2017.json', ['1.jpg'], folder=part)
    path = root / 'instances_val2017.json'
    path.write_text(path.read_text().replace('"1.jpg"', '"C:\\\\\\\\data\\\\\\\\1.jpg"'))
    source = read_labels(root)
    assert {s: i[0].path.parent.name for s, i in source.splits.items()} == {'train': 'train2017', 'val': 'val2017'}
    save_image(tmp_path / 'another set' / '1.jpg', 5)
    (root / 'val2017' / '1.jpg').unlink()  # those of train2017 and of the set beside are other images
    with pytest.raises(InputError, match='none of its images is there'):
        read_labels(root)


def test_coco_repairs_and_what_is_kept(tmp_path):
    annotations = [
        {'id': 1, 'image_id': 1, 'category_id': 7, 'bbox': [1, 2, 3, 4], 'segmentation': [[1, 2, 3, 4, 5, 6]]},
        {'id': 1, 'image_id': 1, 'category_id': 8, 'bbox': [1, 2, None, 4], 'iscrowd': 1},
        {'id': 3, 'image_id': 99, 'category_id': 8, 'bbox': [1, 2, 3, 4]},
    ]
    path = make_coco(tmp_path / 'a.json', ['a.jpg', 'b.jpg'], annotations)
    (tmp_path / 'images' / 'b.jpg').unlink()
    source = read_labels(path)
    first, second = source.splits['train'][0].boxes
    assert (first.crowd, second.crowd) == (False, True)
    assert first.extra == {'segmentation': [[1, 2, 3, 4, 5, 6]]}
    assert all(math.isnan(value) for value in second.xyxy)
    assert source.notes == [
        'a.json: 1 annotations with an id used before were numbered anew',
        'a.json: 1 annotations that belong to no image of the file were left out',
        'a.json: 1 images that are not there were left out (b.jpg)',
    ]


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda c: c['annotations'][0].update(category_id=3), '1 annotations have the category id 3'),
        (lambda c: c['categories'][1].update(name='dog'), "2 categories of the name 'dog'"),
        (lambda c: c['categories'][1].update(id=7), '2 categories of the id 7'),
        (lambda c: c['categories'][1].pop('name'), "a category without 'id' or 'name'"),
        (lambda c: c['images'][1].update(id=1), '2 images with the id 1'),
        (lambda c: c['annotations'].append(5), 'an annotation that is no dictionary'),
        (lambda c: [image.update(file_name='lost.jpg') for image in c['images']], 'none of its images is there (lost'),
    ],
)
def test_broken_coco(tmp_path, change, words):
    path = make_coco(tmp_path / 'a.json', ['a.jpg', 'b.jpg'])
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        read_labels(path)
    assert str(path) in str(error.value) and words in str(error.value)


@pytest.mark.parametrize(
    'row, words',
    [
        ('0 0.5 0.5 0.5 0.5\n0 0.5 0.5', 'a.txt, line 2 has 3 numbers'),
        ('0 0.5 0.5 0.5 0.5 0.9', 'a.txt, line 1 has 6 numbers'),
        ('0 0.5 0.5 0.5 0.5\ncat 0.5 0.5 0.5 0.5', 'a.txt, line 2: .* is no row of numbers'),
        ('2 0.5 0.5 0.5 0.5', 'line 1 has the class 2, but 2 class names are given'),
        ('0 120 80 40 30', 'has 120: YOLO has shares of the image'),
    ],
)
def test_broken_yolo(tmp_path, row, words):
    with pytest.raises(InputError, match=words):
        read_labels(make_yolo(tmp_path, ['a.jpg'], rows=row))


@pytest.mark.parametrize(
    'xml, words',
    [
        ('<annotation><object>', 'a.xml is not XML'),
        ('<annotation><object><name>cat</name></object></annotation>', 'without a complete <bndbox>'),
        (voc_xml([('', 1, 2, 3, 4)]), 'without a <name>'),
    ],
)
def test_broken_voc(tmp_path, xml, words):
    save_image(tmp_path / 'a.jpg', 1)
    write(tmp_path / 'a.xml', xml)
    with pytest.raises(InputError, match=words):
        read_labels(tmp_path)


def test_what_is_no_labeled_set(tmp_path):
    with pytest.raises(InputError, match='nowhere does not exist'):
        read_labels(tmp_path / 'nowhere')
    save_image(tmp_path / 'a.jpg', 1)
    write(tmp_path / 'b.json', '{"version": "5.0", "shapes": []}')
    with pytest.raises(InputError, match='holds no labels: looked for a COCO JSON .*, Pascal VOC .*, or YOLO'):
        read_labels(tmp_path)
    with pytest.raises(InputError, match='a.jpg is no label file'):
        read_labels(tmp_path / 'a.jpg')
    make_voc(tmp_path, [1])
    make_coco(tmp_path / 'c.json', ['1.jpg'])
    with pytest.raises(InputError, match=r'several formats, COCO JSON \(c.json\) and Pascal VOC'):
        read_labels(tmp_path)
    (tmp_path / 'annots' / '1.xml').unlink()
    make_coco(tmp_path / 'd.json', ['1.jpg'])
    with pytest.raises(InputError, match='several files that may be the part `train`, c.json and d.json'):
        read_labels(tmp_path)
    assert len(read_labels(tmp_path / 'd.json').splits['train']) == 1
