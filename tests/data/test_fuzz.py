"""Thousands of damaged annotation files, images and label maps: each is taken, or refused by an `InputError`."""

import copy
import json
import math
import random
from collections import Counter

import cv2
import numpy as np
import pytest
from bad_input import encoded, exif, good, picture
from mmdet.datasets import build_dataset
from mmdet.datasets.pipelines import Compose

from ssod.apis.data_checks import building_data, check_source
from ssod.core.errors import InputError
from ssod.data.reading import guard_pipeline
from ssod.segmentation.data import build_dataset as build_maps
from ssod.segmentation.map_checks import check_maps

ODD = [
    None, True, 0, -1, 1, 3, 1.5, 1e30, -1e-30, math.nan, math.inf, 2**63,
    2**200, '', '3', '../x.png', 'a\x00b', '\ud800',
    [], [1], [0, 0, 5, 5], [[1, 2, 3, 4, 5, 6]], {}, {'id': 3}, {'counts': 'x', 'size': [48, 64]},
]  # fmt: skip


def places(value, place=()):
    """Every place in nested lists and dictionaries."""
    yield place
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*place, key))


def damaged(content, draw):
    """A copy with one to three entries gone, doubled, or of another value."""
    content = copy.deepcopy(content)
    for _ in range(draw.randint(1, 3)):
        spots = list(places(content))[1:]
        if not spots:
            break
        *way, key = draw.choice(spots)
        holder = content
        for step in way:
            holder = holder[step]
        what = draw.randrange(4)
        if what == 0:
            del holder[key]
        elif what == 1 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif what == 2 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] = holder[key] * draw.choice([-1, 0.5, 10**6, 1e300])
        else:
            holder[key] = copy.deepcopy(draw.choice(ODD))
    return content


def broken(content, draw):
    """Bytes with some changed, cut off, doubled or put in."""
    content = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 5, 50])):
        place = draw.randrange(len(content) + 1)
        what = draw.randrange(6)
        if what <= 2 and place < len(content):
            content[place] = draw.randrange(256)
        elif what == 3:
            content[place:place] = draw.randbytes(draw.choice([1, 4, 100]))
        elif what == 4:
            del content[place : place + draw.choice([1, 4, 100])]
        elif draw.random() < 0.3:
            del content[place:]
    return bytes(content)


@pytest.mark.long
def test_damaged_annotation_files(tmp_path):
    draw, seen = random.Random(0), Counter()
    path = tmp_path / 'a.json'
    load = [dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False)]
    content = good()
    for annotation in content['annotations']:
        annotation['segmentation'] = [[4, 5, 24, 5, 24, 21, 4, 21]]
    cfg = dict(type='CocoDataset', ann_file=str(path), img_prefix=str(tmp_path), pipeline=load)
    for _ in range(4000):
        if draw.random() < 0.8:
            path.write_text(json.dumps(damaged(content, draw)))
        else:
            path.write_bytes(broken(json.dumps(content).encode(), draw))
        written = path.read_bytes()
        try:
            with building_data('data.train', [cfg]):
                dataset = build_dataset(cfg)
            check_source(dataset, headers=0)
            for i in range(len(dataset)):
                boxes = dataset.get_ann_info(i)['bboxes']
                assert boxes.shape[1:] == (4,) and np.isfinite(boxes).all()
                dataset.prepare_train_img(i)
            seen['taken'] += 1
        except InputError as error:
            assert str(error) and '\n' not in str(error)
            seen['refused'] += 1
        except Exception as error:
            seen[f'{type(error).__name__}: {str(error)[:80]}'] += 1
            (tmp_path / f'{sum(seen.values())}.bad').write_bytes(written)
    print(dict(seen))
    assert set(seen) == {'taken', 'refused'} and min(seen.values()) > 200, seen


KINDS = {
    'x.png': encoded(),
    'x.jpg': encoded('.jpg'),
    'turned.jpg': exif(6),
    'x.bmp': encoded('.bmp'),
    'x.tif': encoded('.tif'),
    'x.webp': encoded('.webp'),
    'gray.png': encoded('.png', picture()[..., 0]),
}


@pytest.mark.long
@pytest.mark.parametrize('name', KINDS)
def test_damaged_images(tmp_path, name):
    draw, seen = random.Random(0), Counter()
    pipeline = Compose([dict(type='LoadImageFromFile')])
    guard_pipeline(pipeline)
    for _ in range(1000):
        (tmp_path / name).write_bytes(broken(KINDS[name], draw))
        try:
            img = pipeline(dict(img_prefix=str(tmp_path), img_info=dict(filename=name)))['img']
            assert img.ndim == 3 and img.shape[2] == 3 and img.dtype == np.uint8
            seen['taken'] += 1
        except InputError as error:
            assert str(tmp_path / name) in str(error) and '\n' not in str(error)
            seen['refused'] += 1
    print(name, dict(seen))
    assert min(seen['taken'], seen['refused']) > 20, seen


@pytest.mark.long
def test_damaged_label_maps(tmp_path):
    draw, seen = random.Random(0), Counter()
    labels = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64) % 3
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
    (tmp_path / 'images/a.jpg').write_bytes(encoded('.jpg'))
    (tmp_path / 'labels/a.png').write_bytes(encoded('.png', labels))
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    common = dict(type='LabelMapDataset', data_root=str(tmp_path), img_dir='images', ann_dir='labels')
    dataset = build_maps(dict(common, classes=['a', 'b', 'c'], pipeline=pipeline))
    for turn in range(2000):
        path = tmp_path / ('labels/a.png' if turn % 2 else 'images/a.jpg')
        before = path.read_bytes()
        path.write_bytes(broken(before, draw))
        try:
            check_maps(dataset)
            sample = dataset[0]
            assert sample['gt_semantic_seg'].shape == sample['img'].shape[:2] == (48, 64)
            seen['taken'] += 1
        except InputError as error:
            assert str(tmp_path) in str(error) and '\n' not in str(error)
            seen['refused'] += 1
        path.write_bytes(before)
    print(dict(seen))
    assert cv2.imread(str(tmp_path / 'images/a.jpg')) is not None and min(seen.values()) > 50, seen
