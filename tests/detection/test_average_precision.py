"""AP of samples of the images, against pycocotools on the images that the sample has."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ssod.detection.average_precision import ResampledAP

IMAGES = list(range(10, 22))
CLASSES = [7, 2, 5]  # not in the order of their numbers


@pytest.fixture(scope='module')
def boxes():
    """(true boxes, detections) of 12 images and 3 classes, crowds and images without either among them."""
    rng = np.random.default_rng(1)
    true, found = [], []
    for image in IMAGES[:-2]:  # the last two are empty
        for _ in range(rng.integers(0, 6)):
            category = int(rng.choice(CLASSES[:2]))  # 5 has no true box
            box = [*rng.uniform(0, 60, 2), *rng.uniform(10, 40, 2)]
            true.append(dict(image_id=image, category_id=category, bbox=box, iscrowd=int(rng.random() < 0.1)))
            for _ in range(rng.integers(0, 4)):
                near = np.add(box, rng.normal(0, 3, 4)).tolist()
                category_found = int(rng.choice([category, category, 5]))
                found.append(dict(image_id=image, category_id=category_found, bbox=near, score=float(rng.random())))
    assert 20 < len(true) and 30 < len(found)
    return true, found


def reference(true, found, images, classes=CLASSES):
    """(mAP, AP of each class) by pycocotools."""
    coco = [COCO(), COCO()]
    for one, annotations in zip(coco, (true, found), strict=True):
        boxes = [dict(a, id=i, area=a['bbox'][2] * a['bbox'][3]) for i, a in enumerate(annotations, 1)]
        one.dataset = dict(annotations=[dict(iscrowd=0) | box for box in boxes])
        with contextlib.redirect_stdout(io.StringIO()):
            one.createIndex()
    evaluation = COCOeval(iouType='bbox')
    evaluation.cocoGt, evaluation.cocoDt = coco
    evaluation.params.imgIds, evaluation.params.catIds = images, classes
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval['precision'][..., 0, -1].mean(axis=(0, 1))  # by the order of the numbers
    by_class = [precision[sorted(classes).index(category)] for category in classes]
    return evaluation.stats[0], [np.nan if value < 0 else value for value in by_class]


def repeated(boxes, counts):
    """The boxes of a data set in which each image is there as often as its count says, under new numbers."""
    copies = [(image, 1000 * k + image) for image, n in zip(IMAGES, counts, strict=True) for k in range(1, n + 1)]
    return [dict(box, image_id=new) for old, new in copies for box in boxes if box['image_id'] == old]


def test_each_image_once_is_cocos_own(boxes):
    ap = ResampledAP(*boxes, IMAGES, CLASSES)(np.ones(12, int))
    expected, by_class = reference(*boxes, IMAGES)
    assert 0.1 < expected < 0.9
    assert np.nanmean(ap) == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(ap, by_class, atol=1e-9)
    assert np.isnan(ap[2])  # has detections, but no true box


@pytest.mark.parametrize('seed', range(4))
def test_an_image_that_counts_twice_is_an_image_that_is_there_twice(boxes, seed):
    score = ResampledAP(*boxes, IMAGES, CLASSES)
    counts = np.ones(12, int)
    counts[seed] = 2
    if seed == 3:
        counts = np.bincount(np.random.default_rng(0).integers(12, size=12), minlength=12)
        assert counts.max() > 2 and counts.min() == 0
    true, found = (repeated(part, counts) for part in boxes)
    images = sorted({1000 * k + image for image, n in zip(IMAGES, counts, strict=True) for k in range(1, n + 1)})
    expected, by_class = reference(true, found, images)
    assert np.nanmean(score(counts)) == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(score(counts), by_class, atol=1e-9)


def test_by_hand_and_nothing_at_all():
    box = dict(image_id=1, category_id=1, bbox=[0, 0, 10, 10])
    exact, wrong = dict(box, score=0.5), dict(box, bbox=[50, 50, 10, 10], score=0.9)
    one = np.ones(1, int)
    assert ResampledAP([box], [exact], [1], [1])(one) == pytest.approx([1])
    assert ResampledAP([box], [exact, wrong], [1], [1])(one) == pytest.approx([0.5])
    assert ResampledAP([box], [exact, wrong], [1], [1])(3 * one) == pytest.approx([0.5])
    # IoU 0.62: right at 0.5, 0.55 and 0.6 of the ten thresholds.
    assert ResampledAP([box], [dict(exact, bbox=[0, 0, 10, 6.2])], [1], [1])(one) == pytest.approx([0.3])
    assert ResampledAP([box], [], [1], [1])(one).tolist() == [0]
    assert np.isnan(ResampledAP([], [exact], [1], [1])(one)).all()
    assert np.isnan(ResampledAP([], [], [1], [1])(one)).all()
    assert np.isnan(ResampledAP([box], [exact], [1], [1])(0 * one)).all()
