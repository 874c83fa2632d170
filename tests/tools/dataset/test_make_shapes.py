import json
from collections import Counter

import cv2
import make_shapes
import numpy as np
import pytest
from pycocotools import mask


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    out = tmp_path_factory.mktemp('shapes')
    return out, make_shapes.make_split(out, 'train', 120, 96)


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_same_seed_same_bytes(tmp_path):
    argv = ['--num-train', '3', '--num-val', '2', '--size', '64']
    for name, seed in (('a', '0'), ('b', '0'), ('c', '1')):
        make_shapes.main([str(tmp_path / name), *argv, '--seed', seed])
    a, b, c = (files(tmp_path / name) for name in 'abc')
    assert len(a) == 7
    assert a == b
    assert all(a[path] != c[path] for path in a)


def test_image_does_not_depend_on_the_number_of_images(shapes, tmp_path):
    out, dataset = shapes
    few = make_shapes.make_split(tmp_path, 'train', 2, 96)
    assert few['images'] == dataset['images'][:2]
    assert few['annotations'] == [a for a in dataset['annotations'] if a['image_id'] <= 2]
    name = 'images/train/000002.jpg'
    assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_splits_differ():
    train, val = (make_shapes.draw_image(64, np.random.default_rng([0, split, 1]))[0] for split in (0, 1))
    assert (train != val).mean() > 0.5


def test_boxes_lie_inside_and_are_tight(shapes):
    _, dataset = shapes
    for annotation in dataset['annotations']:
        x, y, w, h = annotation['bbox']
        assert x >= 0 and y >= 0 and x + w <= 96 and y + h <= 96
        assert min(w, h) >= 3 and max(w, h) <= 0.4 * 96 + 2
        assert 0 < annotation['area'] <= w * h


def test_classes_and_counts_are_balanced(shapes):
    _, dataset = shapes
    assert [c['name'] for c in dataset['categories']] == list(make_shapes.CLASSES)
    labels = Counter(a['category_id'] for a in dataset['annotations'])
    share = len(dataset['annotations']) / len(make_shapes.CLASSES)
    assert sorted(labels) == [1, 2, 3, 4]
    assert all(0.7 * share < n < 1.3 * share for n in labels.values())
    per_image = Counter(Counter(a['image_id'] for a in dataset['annotations']).values())
    assert sorted(per_image) == [3, 4, 5, 6, 7, 8]
    assert len({a['id'] for a in dataset['annotations']}) == len(dataset['annotations'])


def test_enough_of_each_object_is_visible():
    for i in range(30):
        for _, coverage, seen in make_shapes.place_objects(96, np.random.default_rng(i)):
            assert seen.sum() >= make_shapes.MIN_VISIBLE * (coverage > 0.5).sum() > 0


def test_a_class_leans_to_a_hue_and_varies_around_it():
    rng = np.random.default_rng(0)

    def hues(hue):
        color = np.float32([[make_shapes.shade(rng, hue) for _ in range(500)]]) / 255
        return cv2.cvtColor(color, cv2.COLOR_BGR2HSV)[0, :, 0]

    assert abs(hues(90).mean() - 90) < 5 and abs(hues(90).std() - make_shapes.HUE_SPREAD) < 4
    assert hues(None).std() > 90  # of a uniform hue: 104


def test_files(shapes):
    out, dataset = shapes
    assert json.loads((out / 'annotations' / 'instances_train.json').read_text()) == dataset
    assert all(i['width'] == i['height'] == 96 for i in dataset['images'])
    assert len(list((out / 'images' / 'train').iterdir())) == 120
    assert cv2.imread(str(out / 'images' / 'train' / '000120.jpg')).shape == (96, 96, 3)


@pytest.mark.parametrize('option', ['--num-train=0', '--size=8', '--seed=-1'])
def test_bad_arguments(tmp_path, option):
    with pytest.raises(SystemExit, match='error: train: .* need at least 1, 32 px and seed 0'):
        make_shapes.main([str(tmp_path), option])


def test_masks_are_the_visible_pixels_and_change_nothing_else(shapes, tmp_path):
    out, plain = shapes
    dataset = make_shapes.make_split(tmp_path, 'train', 12, 96, with_masks=True)
    kinds = Counter()
    for image in dataset['images']:
        name = image['file_name']
        assert (tmp_path / 'images/train' / name).read_bytes() == (out / 'images/train' / name).read_bytes()
        rng = np.random.default_rng([0, 0, image['id']])
        make_shapes.background(96, rng)  # draws first
        objects = make_shapes.place_objects(96, rng)
        own = [a for a in dataset['annotations'] if a['image_id'] == image['id']]
        semantic = cv2.imread(str(tmp_path / 'semantic/train' / name.replace('jpg', 'png')), cv2.IMREAD_UNCHANGED)
        expected = np.zeros((96, 96), int)
        for annotation, shape in zip(own, objects, strict=True):
            code = annotation['segmentation']
            kinds[type(code)] += 1
            exact = isinstance(code, dict)
            found = mask.decode(code if exact else mask.merge(mask.frPyObjects(code, 96, 96))).astype(bool)
            iou = (found & shape.seen).sum() / (found | shape.seen).sum()
            assert iou == 1 if exact else iou > 0.9
            expected[shape.seen] = annotation['category_id']
        np.testing.assert_array_equal(semantic, expected)
    assert kinds[list] > 10 and kinds[dict] > 10
    for with_mask, without in zip(dataset['annotations'], plain['annotations'], strict=False):
        assert {key: value for key, value in with_mask.items() if key != 'segmentation'} == without
