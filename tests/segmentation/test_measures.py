"""Label maps' side of a comparison: counts, mIoU of samples, quality of pseudo labels, by hand and beside loops."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv import Config
from mmseg.core.evaluation import mean_iou
from PIL import Image
from segmentation_runs import CONFIGS

from ssod.apis import InputError, load_config
from ssod.apis.comparison import derive
from ssod.core.task import TASKS, task_of
from ssod.segmentation.base import ScoredMap, scored_maps
from ssod.segmentation.measures import MapMeasures

FIXMATCH = str(CONFIGS / 'fixmatch/deeplabv3plus_r18_shapes.py')
MEASURES = MapMeasures()


class Maps:
    """Stands for a data set: its label maps."""

    CLASSES = ('a', 'b', 'c')

    def __init__(self, maps):
        self.maps = np.asarray(maps, np.uint8)

    def __len__(self):
        return len(self.maps)

    def get_gt_seg_map_by_idx(self, index):
        return self.maps[index]


def kept(dataset, labels, scores, thresholds):
    results = [
        ScoredMap(np.asarray(one), np.asarray(sure, np.float32)) for one, sure in zip(labels, scores, strict=True)
    ]
    return [MEASURES.kept(dataset, i, one, thresholds) for i, one in enumerate(results)]


def test_one_image_by_hand():
    dataset = Maps([[[0, 0, 1], [1, 255, 1]]])
    (counts,) = kept(dataset, [[[0, 1, 1], [1, 2, 0]]], [[[0.9, 0.6, 0.7], [0.4, 0.99, 0.5]]], [0.5, 0.65])
    assert counts['confusion'].tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert counts['above'].tolist() == [4, 3] and counts['pixels'] == 6  # a score of 0.5 is not above 0.5
    assert counts['found'].tolist() == [[1, 2, 0], [1, 1, 0]]
    assert counts['right'].tolist() == [[1, 1, 0], [1, 1, 0]]
    score = MEASURES.class_scores(dataset, [counts])
    np.testing.assert_allclose(score(np.ones(1, int)), [1 / 3, 2 / 4, np.nan])
    np.testing.assert_allclose(
        MapMeasures('mDice').class_scores(dataset, [counts])(np.ones(1, int))[:2], [2 / 4, 4 / 6]
    )
    low, high = MEASURES.label_quality(dataset, [counts], [0.5, 0.65])
    assert (low.per_image, low.precision, low.recall) == pytest.approx((4 / 6, 2 / 3, 2 / 5))
    assert low.by_class['b'] == dict(precision=0.5, recall=pytest.approx(1 / 3))
    assert low.by_class['c'] == dict(precision=None, recall=None)
    assert (high.per_image, high.precision) == (0.5, 1.0)
    assert MEASURES.labels_per_image(dataset) == pytest.approx(5 / 6)
    with pytest.raises(ValueError, match='2 thresholds were counted, 1 are asked about'):
        MEASURES.label_quality(dataset, [counts], [0.5])


def test_samples_of_images_are_mmsegs_miou_of_those_images():
    rng = np.random.default_rng(0)
    truth, labels = rng.integers(0, 3, (2, 5, 8, 9))
    truth[rng.random(truth.shape) < 0.2] = 255
    dataset = Maps(truth)
    score = MEASURES.class_scores(dataset, kept(dataset, labels, np.ones_like(labels, float), [0.5]))
    for counts in ([1, 1, 1, 1, 1], [0, 2, 0, 1, 2]):
        images = np.repeat(np.arange(5), counts)
        expected = mean_iou([labels[i] for i in images], [truth[i] for i in images], 3, 255)['IoU']
        np.testing.assert_allclose(score(np.array(counts)), expected, rtol=1e-6)
    assert np.isnan(score(np.zeros(5, int))).all()


def test_no_labeled_pixel_and_nothing_sure():
    dataset = Maps([np.full((2, 2), 255)])
    counts = kept(dataset, [np.zeros((2, 2), int)], [np.full((2, 2), 0.4)], [0.5])
    (row,) = MEASURES.label_quality(dataset, counts, [0.5])
    assert (row.per_image, row.precision, row.recall) == (0, None, None)
    assert MEASURES.labels_per_image(dataset) == 0


def test_scored_maps_are_the_likeliest_class_and_its_probability():
    (one,) = scored_maps(torch.tensor([[[[0.2, 0.7]], [[0.8, 0.3]]]]))
    assert one.labels.tolist() == [[1, 0]] and one.scores.tolist() == pytest.approx(np.float32([[0.8, 0.7]]))


def test_which_measures_and_thresholds():
    task = TASKS['segmentation']
    assert task.measures_of(Config(dict(evaluation=dict(metric=['mDice', 'mIoU'])))).metric == 'mDice'
    assert task.measures_of(Config(dict(evaluation=dict(interval=3)))).metric == 'mIoU'
    cfg = load_config(FIXMATCH, {'model.semi_train_cfg.threshold': 0.8})
    assert MEASURES.threshold(cfg) == 0.8 and MEASURES.threshold(load_config(FIXMATCH)) == 0.95
    assert MEASURES.threshold(load_config(str(CONFIGS / 'cps/deeplabv3plus_r18_shapes.py'))) == 0


@pytest.mark.parametrize('method', ['fixmatch', 'cps'])
def test_baseline_and_label_once_are_the_method_but_for_the_unlabeled_images(method, tmp_path):
    cfg = load_config(str(CONFIGS / f'{method}/deeplabv3plus_r18_shapes.py'))
    own = derive.baseline_config(cfg)
    assert own.model.type == 'SupervisedSegmentor' and own.model.segmentor == cfg.model.segmentor
    assert [op.type for op in own.data.train.pipeline][-1] == 'Collect' and own.data.samples_per_gpu == 4
    assert own.unlabeled_dataset.img_dir == cfg.data.train.unlabeled.img_dir
    once = derive.label_once_config(cfg, 0.6, tmp_path / 'pseudo_maps')
    unlabeled, before = once.data.train.unlabeled, cfg.data.train.unlabeled
    assert (once.model.type, unlabeled.type) == ('SelfTrainingSegmentor', 'PseudoMapDataset')
    assert unlabeled.ann_dir == str(tmp_path / 'pseudo_maps') and unlabeled.every_nth == before.every_nth
    *ops, fork = unlabeled.pipeline
    assert [op.type for op in ops] == ['LoadImageFromFile', 'LoadAnnotations', 'Resize', 'RandomCrop', 'RandomFlip']
    strong = before.pipeline[-1].unsup_student
    assert list(fork) == ['type', 'unsup_student'] and fork.unsup_student[:-1] == strong[:-1]
    assert fork.unsup_student[-1]['keys'] == ['img', 'gt_semantic_seg'] and strong[-1]['keys'] == ['img']
    model = task_of(once).build_model(once.model)
    assert type(model).__name__ == 'SelfTrainingSegmentor' and once.pseudo_score_thr == 0.6


def test_refusals():
    with pytest.raises(InputError, match='learns from label maps on disk, as label-once does'):
        derive.measures_of(load_config(str(CONFIGS / 'simple_baseline/deeplabv3plus_r18_shapes.py')))
    with pytest.raises(InputError, match='compared by mIoU or mDice'):
        derive.measures_of(load_config(FIXMATCH, {'evaluation.metric': 'mFscore'}))
    with pytest.raises(TypeError, match='not of a SimpleNamespace'):
        MEASURES.prepare(SimpleNamespace())


def test_labels_on_disk_are_counted_when_they_are_whole(tmp_path):
    assert not MEASURES.is_labeled(tmp_path)
    Image.fromarray(np.array([[0, 255], [255, 2]], np.uint8)).save(tmp_path / 'one.png')
    (tmp_path / 'labels.json').write_text('{"scales": [1]}')
    assert not MEASURES.is_labeled(tmp_path) and MEASURES.count_labels(tmp_path, 0.5) == 2
    (tmp_path / 'labels.json').write_text('{"finished": true}')
    assert MEASURES.is_labeled(tmp_path)
