"""Sets of label maps that are wrong in one way each are refused with the file's name, before anything is trained."""

import numpy as np
import pytest
from bad_input import encoded, exif
from PIL import Image

from ssod.core.errors import InputError
from ssod.segmentation.data import SemiMapDataset, build_dataset
from ssod.segmentation.map_checks import check_maps
from ssod.segmentation.task import Segmentation

CLASSES = ['sky', 'road', 'car']
LABELS = np.arange(48 * 64).reshape(48, 64) % 3
OWN = LABELS.astype(np.uint8)


def png(labels):
    return encoded('.png', labels)


def with_value(value, kind=np.uint8):
    labels = LABELS.astype(kind)
    labels[7, 9] = value
    return png(labels)


def palette(root):
    Image.fromarray(OWN, 'P').save(root / 'labels/b.png')


def put(what, content):
    """Gives the second image, or its label map, other bytes; None removes the file."""

    def change(root):
        path = root / {'image': 'images/b.jpg', 'map': 'labels/b.png'}[what]
        path.unlink() if content is None else path.write_bytes(content)

    return change


CUT = ' is cut off, the end of its data is missing: replace it'
BAD = {
    'a number beyond the classes': (put('map', with_value(3)), 'labels/b.png holds [3], and the 3 classes are'),
    'several such numbers': (put('map', png(OWN + 40)), 'labels/b.png holds [40, 41, 42], and the 3 classes'),
    '16 bits beyond 255': (put('map', with_value(257, np.uint16)), 'labels/b.png holds 257: the numbers of a'),
    'colors': (put('map', png(np.dstack([OWN] * 3))), 'labels/b.png has 3 channels: a label map has one, a class'),
    'colors and alpha': (put('map', png(np.dstack([OWN] * 4))), 'labels/b.png has 4 channels: '),
    'too low': (put('map', png(OWN[:40])), 'labels/b.png has 64 x 40 pixels and its image ROOT/images/b.jpg 64 x 48: '),
    'too narrow': (put('map', png(OWN[:, :63])), 'labels/b.png has 63 x 48 pixels and its image'),
    'turned': (put('map', png(OWN.T)), '48 x 64 pixels and its image ROOT/images/b.jpg 64 x 48, perhaps'),
    'an image that its tag turns': (put('image', exif(6, undone=False)), 'b.jpg 48 x 64, perhaps because its EXIF'),
    'no map': (put('map', None), 'labels/b.png, the label map of ROOT/images/b.jpg, does not exist'),
    'an empty map': (put('map', b''), 'labels/b.png is empty: replace it'),
    'half a map': (put('map', png(OWN)[:90]), f'labels/b.png{CUT}'),
    'a text for a map': (put('map', b'0 1 2'), 'the label map ROOT/labels/b.png is no image that can be '),
    'zeros for a map': (put('map', bytes(500)), 'the label map ROOT/labels/b.png is no image that can be read'),
    'no image': (put('image', None), 'the image ROOT/images/b.jpg does not exist: check img_dir and split'),
    'an empty image': (put('image', b''), 'the image ROOT/images/b.jpg is empty: replace it'),
    'half an image': (put('image', encoded('.jpg')[:900]), f'the image ROOT/images/b.jpg{CUT}'),
    'a text for an image': (put('image', b'<html>'), 'the image ROOT/images/b.jpg is no image that OpenCV can read: '),
}  # fmt: skip
GOOD = {
    'as it is': lambda root: None,
    'ignored pixels': put('map', with_value(255)),
    '16 bits': put('map', png(LABELS.astype(np.uint16))),
    'an image turned by EXIF': put('image', exif(6)),
    'one class': put('map', png(OWN * 0)),
    'all ignored': put('map', png(OWN * 0 + 255)),
    'a palette': palette,
}


@pytest.fixture
def make(tmp_path):
    """``make(change)``: a set of three images of 64 x 48 pixels, changed after it has been built."""
    for name in 'abc':
        for folder, suffix, content in (('images', 'jpg', encoded('.jpg')), ('labels', 'png', png(OWN))):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f'{name}.{suffix}').write_bytes(content)

    def build(change, **more):
        pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
        common = dict(data_root=str(tmp_path), img_dir='images', ann_dir='labels', classes=CLASSES, pipeline=pipeline)
        dataset = build_dataset(dict(common, type='LabelMapDataset') | more)
        change(tmp_path)
        return dataset

    return build


@pytest.mark.parametrize('kind', BAD)
def test_what_is_wrong_is_named(make, tmp_path, kind):
    change, sentence = BAD[kind]
    with pytest.raises(InputError) as refused:
        check_maps(make(change))
    assert sentence.replace('ROOT', str(tmp_path)) in str(refused.value) and '\n' not in str(refused.value)


@pytest.mark.parametrize('kind', GOOD)
def test_what_is_unusual_is_taken(make, kind):
    check_maps(make(GOOD[kind]))


def test_every_part_of_a_training_set_and_a_test_set_is_looked_at(make, tmp_path):
    dataset = make(lambda root: None)
    unlabeled = dict(type='UnlabeledDataset', img_dir=str(tmp_path / 'images'), classes=CLASSES, pipeline=[])
    labeled = dict(type='LabelMapDataset', img_dir=f'{tmp_path}/images', ann_dir=f'{tmp_path}/labels', pipeline=[])
    semi = SemiMapDataset(dict(labeled, classes=CLASSES, every_nth=(2, 'labeled')), unlabeled)
    check_maps(semi)
    Segmentation().prepare_test_data(dataset, CLASSES)
    (tmp_path / 'images/b.jpg').write_bytes(b'')  # unlabeled alone, in the training set
    for look in (lambda: check_maps(semi), lambda: Segmentation().prepare_test_data(dataset, CLASSES)):
        with pytest.raises(InputError, match=r'images/b\.jpg is empty'):
            look()
