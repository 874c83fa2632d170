"""The warning that nothing is taught, and the picture of what is."""

import re
from types import SimpleNamespace

import detectors
import mmcv
import numpy as np
import pytest
import torch
from mmcv.parallel import MMDataParallel
from mmdet.core import BitmapMasks, PolygonMasks
from mmdet.models import build_detector

from ssod.core.errors import InputError
from ssod.detection import PseudoBoxImageHook, PseudoBoxWarningHook, PseudoLabels, SelfTraining
from ssod.detection.hooks import draw, draw_pseudo_boxes
from ssod.detection.pseudo_labels import LabeledView
from ssod.detection.pseudo_labels.sieve import Sieve
from ssod.hooks.loggers import TensorboardLoggerHook


def iterate(hook, runner, counts, score=0.4):
    for count in counts:
        runner.outputs = dict(log_vars=dict(num_pseudo_cls=count, teacher_max_score=score))
        hook.after_train_iter(runner)


def test_it_warns_every_patience_iterations_with_the_highest_score_and_what_to_do(make_model, fake_runner):
    runner, hook = fake_runner(make_model()), PseudoBoxWarningHook(patience=3)
    iterate(hook, runner, [0], score=0.71)
    iterate(hook, runner, [0, 0, 0, 0, 0])
    assert len(runner.messages) == 2
    assert runner.messages[0].startswith(
        "no pseudo box has passed for 3 iterations: the teacher's scores are too low, the highest is 0.71 and a "
    )
    assert 'for 6 iterations' in runner.messages[1] and 'candidate_score_thr=0.3' in runner.messages[1]


def test_a_single_pseudo_box_starts_the_count_anew(make_model, fake_runner):
    runner, hook = fake_runner(make_model()), PseudoBoxWarningHook(patience=3)
    iterate(hook, runner, [0, 0, 0.25, 0, 0])
    assert runner.messages == []
    iterate(hook, runner, [0])
    assert len(runner.messages) == 1


def test_of_a_burn_in_it_speaks_once(make_model, fake_runner):
    runner, hook = fake_runner(make_model(unsup_weight=0.0)), PseudoBoxWarningHook(patience=2)
    iterate(hook, runner, [0] * 6)
    (said,) = runner.messages
    assert said.startswith('no pseudo boxes yet, the burn-in lasts: ') and 'UnsupWeightHook.burn_in' in said


def train(model, batch, runner, iterations=3):
    """Steps of a model with the hook behind each; what it says."""
    hook = PseudoBoxWarningHook(patience=iterations)
    hook.before_run(runner)
    for _ in range(iterations):
        runner.outputs = dict(log_vars=model.train_step(batch)['log_vars'])
        hook.after_train_iter(runner)
    return runner.messages


@pytest.mark.parametrize(
    'settings, sentence',
    [
        (dict(), None),
        (
            dict(candidate_score_thr=1.0),
            r'scores are too low, the highest is (?!0\.00)\d\.\d\d and a candidate needs .*candidate_score_thr=1.0: ',
        ),
        (
            dict(min_pseudo_bbox_size=500),
            r'all [1-9]\d* detections are too small, .* semi_train_cfg.min_pseudo_bbox_size=500 pixels .*: lower it',
        ),
        (
            dict(cls_filter=dict(type='ScoreFilter', thr=1.0)),
            r'semi_train_cfg.cls_filter, ScoreFilter\(thr=1.0\), rejects all [1-9]\d* candidates, whose highest score '
            r'is [01]\.\d\d: train longer, or lower semi_train_cfg.cls_filter.thr',
        ),
        (
            dict(cls_filter=dict(type='JitterVarianceFilter', thr=0.0, num_jitters=4), reg_filter=None),
            r'cls_filter, JitterVarianceFilter\(thr=0.0\), rejects all [1-9]\d* candidates, whose lowest regression '
            r'variance is 0\.\d\d\d: train longer, or raise semi_train_cfg.cls_filter.thr',
        ),
        (
            dict(reg_filter=dict(type='JitterVarianceFilter', thr=0.0, num_jitters=4)),
            r'no pseudo box has reached the regression branch in 3 iterations with boxes: semi_train_cfg.reg_filter, '
            r'JitterVarianceFilter\(thr=0.0\), rejects .* variance is 0\.\d\d\d: .* raise semi_train_cfg.reg_filter',
        ),
    ],
    ids=['none', 'scores', 'size', 'score filter', 'variance filter', 'regression'],
)
def test_the_cause_is_named(make_model, make_batch, fake_runner, settings, sentence):
    model = make_model(**settings)
    said = train(model, make_batch(), fake_runner(model))
    assert len(said) == (sentence is not None) and all('\n' not in line for line in said)
    if said:
        assert re.search(sentence, said[0]), said[0]


@pytest.mark.parametrize(
    'mask_filter', [None, dict(type='ScoreFilter', thr=1.0)], ids=['that of regression', 'its own']
)
def test_a_mask_filter_of_its_own_that_rejects_all_is_named(
    detector_cfg, make_model, make_batch, fake_runner, mask_filter
):
    model = make_model(detectors.mask_rcnn(detector_cfg), mask_filter=mask_filter)
    batch = make_batch()
    batch['sup'] = detectors.with_masks(batch['sup'])
    said = train(model, batch, fake_runner(model))
    sentence = (
        r'reached the mask branch in 3 iterations with boxes: semi_train_cfg.mask_filter, ScoreFilter\(thr=1.0\), '
    )
    assert len(said) == (mask_filter is not None) and all(re.search(sentence, line) for line in said)


def test_boxes_that_leave_the_view_are_named(make_model, make_batch, fake_runner):
    batch = make_batch()
    for meta in batch['unsup_student']['img_metas']:
        meta['transform_matrix'][0, 2] = 10000
    model = make_model()
    (said,) = train(model, batch, fake_runner(model))
    assert re.search(r'all [1-9]\d* boxes that semi_train_cfg.cls_filter keeps lie outside the strong views: ', said)


def test_the_count_begins_anew_with_a_box():
    sieve, keep = Sieve(), SimpleNamespace(thr=0.9)
    one = PseudoLabels(torch.ones(2, 4), torch.zeros(2).long(), torch.tensor([0.4, 0.6]), torch.tensor([0.3, 0.2]))
    for placed in (0, 1, 0, 0):
        sieve.add(detected=3, candidates=[one, one[:0]], kept=0, placed=placed)
    assert (sieve.detected, sieve.candidates, sieve.kept) == (6, 4, 0)
    assert (float(sieve.best_score), float(sieve.least_variance)) == pytest.approx((0.6, 0.2))
    assert 'rejects all 4 candidates, whose highest score is 0.60: ' in sieve.cause('cls', keep, None, 0.7)
    own = object()
    assert sieve.cause('cls', own, None, 0.7).endswith('whose highest score is 0.60: change semi_train_cfg.cls_filter')


@pytest.fixture
def model(make_model):
    return make_model()


def test_a_picture_is_written_every_interval_and_given_to_tensorboard(model, make_batch, fake_runner, tmp_path):
    tensorboard = TensorboardLoggerHook()
    logged = []
    tensorboard.writer = SimpleNamespace(add_image=lambda *args, **kwargs: logged.append(args))
    hook = PseudoBoxImageHook(interval=2)
    for iteration in range(4):
        runner = fake_runner(MMDataParallel(model, device_ids=[]), iter=iteration, hooks=[tensorboard])
        runner.data_batch = make_batch()
        hook.after_train_iter(runner)
    files = sorted(path.name for path in (tmp_path / 'pseudo_boxes').iterdir())
    assert files == ['iter_2.jpg', 'iter_4.jpg']
    assert mmcv.imread(str(tmp_path / 'pseudo_boxes/iter_2.jpg')).shape == (96, 256, 3)
    assert [(tag, step) for tag, _, step in logged] == [('pseudo_boxes', 2), ('pseudo_boxes', 4)]


def test_a_batch_without_unlabeled_images_is_passed_over(model, make_batch, fake_runner, tmp_path):
    runner = fake_runner(MMDataParallel(model, device_ids=[]), data_batch=dict(sup=make_batch()['sup']))
    PseudoBoxImageHook(interval=1).after_train_iter(runner)
    assert not (tmp_path / 'pseudo_boxes').exists()


def test_self_training_shows_the_strong_view_with_the_boxes_of_the_file(detector_cfg, make_view, fake_runner, tmp_path):
    model = SelfTraining(detector_cfg).train()
    model.CLASSES = ('a', 'b', 'c')
    strong = make_view(['u', 'v'])
    strong.update(
        gt_bboxes=[torch.tensor([[20.0, 20, 80, 60]]), torch.zeros(0, 4)],
        gt_labels=[torch.tensor([1]), torch.zeros(0, dtype=torch.long)],
    )
    runner = fake_runner(MMDataParallel(model, device_ids=[]), data_batch=dict(unsup_student=strong))
    hook = PseudoBoxImageHook(interval=1)
    hook.before_run(runner)
    hook.after_train_iter(runner)
    assert mmcv.imread(str(tmp_path / 'pseudo_boxes/iter_1.jpg')).shape == (96, 128, 3)
    assert model(unsup_student=strong)['num_pseudo_cls'] == 0.5 and model()['num_pseudo_cls'] == 0


def test_self_training_shows_the_masks_of_the_file(detector_cfg, make_view):
    """The view is 96 x 128; its masks are padded, and shown without padding."""
    strong = make_view(['u'])
    mask = np.zeros((1, 128, 160), np.uint8)
    mask[0, 30:50, 25:60] = 1
    strong.update(gt_bboxes=[torch.tensor([[20.0, 20, 80, 60]])], gt_labels=[torch.tensor([1])])
    strong.update(gt_masks=[BitmapMasks(mask, 128, 160)])
    (view,) = SelfTraining(detector_cfg).pseudo_label_views(None, strong)
    np.testing.assert_array_equal(view.masks, mask[:, :96, :128])
    polygon = np.array([25.0, 30, 60, 30, 60, 50, 25, 50])
    strong.update(gt_masks=[PolygonMasks([[polygon]], 128, 160)])
    (view,) = SelfTraining(detector_cfg).pseudo_label_views(None, strong)
    np.testing.assert_array_equal(view.masks, mask[:, :96, :128])


def test_self_training_without_boxes_is_warned_of(detector_cfg, fake_runner):
    runner, hook = fake_runner(SelfTraining(detector_cfg)), PseudoBoxWarningHook(patience=2)
    for _ in range(2):
        runner.outputs = dict(log_vars=dict(num_pseudo_cls=0.0))
        hook.after_train_iter(runner)
    assert [message.split(':')[0] for message in runner.messages] == ['no pseudo box has passed for 2 iterations']
    assert 'score_thr of the data set' in runner.messages[0]


@pytest.mark.parametrize('hook', [PseudoBoxImageHook(), PseudoBoxWarningHook()])
def test_a_plain_detector_is_refused_before_it_trains(hook, detector_cfg, fake_runner):
    with pytest.raises(InputError, match=f'FasterRCNN shows no pseudo boxes: remove {type(hook).__name__} from'):
        hook.before_run(fake_runner(build_detector(detector_cfg)))


def test_looking_changes_neither_draws_nor_batch(model, make_batch):
    batch = make_batch()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    picture = draw_pseudo_boxes(model, batch)
    assert torch.equal(torch.rand(3), expected)
    assert picture.dtype == np.uint8 and len(batch['unsup_teacher']['img']) == 2
    assert model.student.training and not model.teacher.training


def test_a_view_is_shown_in_its_own_colours_without_padding_with_its_boxes():
    norm = dict(mean=np.array([10.0, 20, 30], np.float32), std=np.array([2.0, 2, 2], np.float32), to_rgb=True)
    color = torch.tensor([200.0, 100, 50])  # RGB
    img = ((color - torch.tensor(norm['mean'])) / 2)[:, None, None].repeat(1, 64, 64)
    meta = dict(img_norm_cfg=norm, img_shape=(48, 56, 3))
    nothing = PseudoLabels(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0))
    plain = draw(LabeledView(img, meta, nothing, np.zeros((0, 48, 56), bool)), ('a',))
    assert plain.shape == (48, 56, 3) and norm['to_rgb'] is True
    assert (plain == np.array([50, 100, 200])).all()  # BGR
    box = PseudoLabels(torch.tensor([[10.0, 10, 40, 40]]), torch.tensor([0]), torch.tensor([0.9]))
    with_box = draw(LabeledView(img, meta, box), ('a',))
    assert (with_box[20:40, 9:12] != plain[20:40, 9:12]).any()
    mask = np.zeros((1, 48, 56), bool)
    mask[0, 25:35, 30:38] = True
    changed = (draw(LabeledView(img, meta, box, mask), ('a',)) != with_box).any(axis=-1)
    assert changed[mask[0]].all() and not changed[:22].any() and not changed[:, :27].any()
