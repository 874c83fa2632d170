"""The mean teacher over every dense head of MMDetection, and over two stages."""

import pytest
import torch
from detectors import KINDS, dense, mask_rcnn
from mmdet.models import build_detector

from ssod.apis.train import parallelize
from ssod.core.errors import InputError
from ssod.detection import MeanTeacher, PseudoLabels, SelfTraining, SoftTeacher
from ssod.detection.heads.dense import Detections, detect

NAMES = {
    'FasterRCNN': ['loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'acc', 'loss_bbox'],
    'RetinaNet': ['loss_cls', 'loss_bbox'],
    'FCOS': ['loss_cls', 'loss_bbox', 'loss_centerness'],
    'ATSS': ['loss_cls', 'loss_bbox', 'loss_centerness'],
    'GFL': ['loss_cls', 'loss_bbox', 'loss_dfl'],
    'PAA': ['loss_cls', 'loss_bbox', 'loss_iou'],
    'VFNet': ['loss_cls', 'loss_bbox', 'loss_bbox_rf'],
    'TOOD': ['loss_cls', 'loss_bbox'],
    'YOLOX': ['loss_cls', 'loss_bbox', 'loss_obj'],
}
EVERY = tuple(NAMES)


@pytest.fixture
def make(detector_cfg):
    """``make(kind, **semi_train_cfg)``: a mean teacher in train mode whose weights let it detect something."""

    def build(kind: str, **settings) -> MeanTeacher:
        if kind == 'PAA':
            pytest.importorskip('sklearn')
        torch.manual_seed(0)
        cfg = detector_cfg if kind == 'FasterRCNN' else dense(detector_cfg, kind)
        model = MeanTeacher(cfg, settings)
        for value in model.student.parameters():
            if value.dim() > 1:
                torch.nn.init.normal_(value, std=1.3 / value[0].numel() ** 0.5)
        model.teacher.load_state_dict(model.student.state_dict())
        model.CLASSES = model.student.CLASSES = model.teacher.CLASSES = ('a', 'b', 'c')
        return model.train()

    return build


def labels_at(*boxes):
    bboxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return PseudoLabels(bboxes, torch.arange(len(bboxes)) % 3, torch.full((len(bboxes),), 0.9))


def see(monkeypatch, *images):
    """Let the teacher detect these boxes, whatever the images."""
    monkeypatch.setattr('ssod.detection.mean_teacher.detect', lambda *args: Detections(list(images), None))


@pytest.mark.parametrize('kind', EVERY)
def test_names_of_the_losses_are_the_heads_own_and_asking_leaves_no_trace(make, kind):
    model = make(kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    torch.manual_seed(3)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert list(model.loss_names()) == NAMES[kind]
    assert torch.equal(torch.rand(1), drawn)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize('kind', EVERY)
def test_with_true_boxes_as_pseudo_boxes_the_losses_are_the_heads_supervised_ones(make, make_view, kind, monkeypatch):
    """Box by box in a flipped strong view: what the teacher sees there is what a labeled image would say."""
    model = make(kind, candidate_score_thr=0.0)
    flip = [[-1.0, 0, 128], [0, 1, 0], [0, 0, 1]]
    weak, strong = make_view(['u', 'v']), make_view(['u', 'v'], matrix=flip)
    see(monkeypatch, labels_at([10, 10, 60, 70], [50, 40, 120, 90]), labels_at([20, 30, 90, 80]))
    labels = model.project_pseudo_labels(model.find_pseudo_labels(weak), strong)
    assert labels.boxes[0].bboxes.tolist() == [[68, 10, 118, 70], [8, 40, 78, 90]]
    torch.manual_seed(1)
    losses = model.unsupervised_losses(strong, labels)
    torch.manual_seed(1)
    truth = dict(
        gt_bboxes=[torch.tensor([[68.0, 10, 118, 70], [8, 40, 78, 90]]), torch.tensor([[38.0, 30, 108, 80]])],
        gt_labels=[torch.tensor([0, 1]), torch.tensor([0])],
    )
    expected = model.student.forward_train(**make_view(['u', 'v'], matrix=flip), **truth)
    assert list(losses) == NAMES[kind]
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], sum(value) if isinstance(value, list) else value.mean())
        assert losses[name] > 0, f'{name} says nothing here'


@pytest.mark.parametrize('kind', EVERY)
def test_a_step_trains_every_parameter_with_boxes_and_without(make, make_batch, kind, monkeypatch):
    for images in ([labels_at([10, 10, 60, 70])] * 2, [labels_at()] * 2):
        model = make(kind)
        see(monkeypatch, *images)
        result = model.train_step(make_batch())
        result['loss'].backward()
        log = result['log_vars']
        trained = [name for name, p in model.student.named_parameters() if p.requires_grad]
        missing = [name for name, p in model.student.named_parameters() if p.requires_grad and p.grad is None]
        assert trained and not missing
        assert all(p.grad.isfinite().all() for p in model.student.parameters() if p.grad is not None)
        for branch in ('sup', 'unsup'):
            assert [n.removeprefix(f'{branch}_') for n in log if n.startswith(f'{branch}_')] == NAMES[kind]
        boxes = len(images[0])
        assert log['num_pseudo_cls'] == boxes and log['images_with_boxes'] == boxes


@pytest.mark.parametrize('kind', EVERY)
def test_a_missing_branch_gives_the_same_keys_and_zeros(make, make_batch, kind):
    model, batch = make(kind), make_batch()
    full = list(model.train_step(batch)['log_vars'])
    unlabeled = {name: view for name, view in make_batch().items() if name != 'sup'}
    for part, absent in ((dict(sup=make_batch()['sup']), 'unsup'), (unlabeled, 'sup')):
        other = make(kind)
        result = other.train_step(part)
        assert list(result['log_vars']) == full
        assert all(result['log_vars'][f'{absent}_{name}'] == 0 for name in NAMES[kind])
        result['loss'].backward()
        assert all(p.grad is not None for p in other.student.parameters() if p.requires_grad)


@pytest.mark.parametrize('kind', EVERY)
def test_the_teacher_detects_what_the_plain_detector_does(make, make_view, kind):
    model, view = make(kind), make_view(['u', 'v'])
    plain = model.teacher.simple_test(view['img'], view['img_metas'], rescale=False)
    found = detect(model.teacher, view['img'], view['img_metas']).labels
    assert sum(map(len, found)) > 0
    for own, arrays in zip(found, plain, strict=True):
        for label, rows in enumerate(arrays):
            mine = torch.cat([own.bboxes, own.scores[:, None]], dim=1)[own.labels == label]
            assert torch.allclose(mine, torch.from_numpy(rows), atol=1e-4) and len(mine) == len(rows)


@pytest.mark.parametrize('kind', EVERY)
def test_an_image_without_detections_has_no_candidates(make, make_view, kind):
    model = make(kind)
    cfg = model.teacher.test_cfg if kind != 'FasterRCNN' else model.teacher.test_cfg.rcnn
    cfg.score_thr = 1.1
    found = model.find_pseudo_labels(make_view(['u']))
    assert [len(own) for own in found.candidates] == [0] and found.max_score <= 1


THRESHOLDS = dict(FasterRCNN=0.7, RetinaNet=0.4, FCOS=0.3, ATSS=0.3, GFL=0.4, PAA=0.4, VFNet=0.4, TOOD=0.4, YOLOX=0.5)


@pytest.mark.parametrize('kind, thr', THRESHOLDS.items())
def test_the_default_threshold_is_that_of_the_heads_score(make, kind, thr):
    assert make(kind).pseudo_filter.thr == thr
    assert make(kind, pseudo_filter=dict(type='ScoreFilter', thr=0.6)).pseudo_filter.thr == 0.6


def test_few_images_with_boxes_count_by_the_empty_weight(make, make_view, monkeypatch):
    view, box = ['u', 'v', 'w', 'x'], labels_at([10, 10, 60, 70])
    totals = []
    for weight in (1.0, 0.25):
        for with_boxes in (1, 2):
            model = make('RetinaNet', empty_weight=weight)
            see(monkeypatch, *[box] * with_boxes, *[labels_at()] * (4 - with_boxes))
            strong = make_view(view)
            labels = model.project_pseudo_labels(model.find_pseudo_labels(make_view(view)), strong)
            totals.append(model.unsupervised_losses(strong, labels)['loss_cls'].item())
    one, half, one_weighted, half_weighted = totals
    assert one_weighted == pytest.approx(0.25 * one) and half_weighted == pytest.approx(half)


def test_boxes_that_are_small_or_outside_the_strong_view_are_dropped(make, make_view, monkeypatch):
    model = make('FCOS', min_pseudo_bbox_size=10, candidate_score_thr=0.0)
    see(monkeypatch, labels_at([20, 20, 60, 60], [20, 20, 60, 30], [8, 20, 20, 60], [0, 20, 11, 60]))
    strong = make_view(['u'], matrix=[[1.0, 0, -12], [0, 1, 0], [0, 0, 1]])
    found = model.find_pseudo_labels(make_view(['u']))
    assert found.detected == 4 and len(found.candidates[0]) == 3  # the second is 10 high: not more than 10
    assert model.project_pseudo_labels(found, strong).boxes[0].bboxes.tolist() == [[8, 20, 48, 60]]


def test_figures_are_means_per_image(make, make_view, monkeypatch):
    model = make('FCOS')
    low = labels_at([10, 10, 60, 70], [5, 5, 40, 40])
    low = PseudoLabels(low.bboxes, low.labels, torch.tensor([0.5, 0.2]))
    see(monkeypatch, low, labels_at())
    view = make_view(['u', 'v'])
    figures = model.figures(model.project_pseudo_labels(model.find_pseudo_labels(view), view))
    assert {name: round(float(value), 4) for name, value in figures.items()} == dict(
        num_pseudo_candidates=1.0, num_pseudo_cls=0.5, images_with_boxes=0.5, teacher_score=0.35, teacher_max_score=0.5
    )
    assert model.zero_figures().keys() == figures.keys()


def test_why_there_are_no_pseudo_boxes(make, make_view, monkeypatch):
    model, view = make('FCOS'), make_view(['u'])
    see(monkeypatch, PseudoLabels(torch.tensor([[10.0, 10, 60, 70]]), torch.tensor([0]), torch.tensor([0.2])))
    model.project_pseudo_labels(model.find_pseudo_labels(view), view)
    why = model.why_no_pseudo_boxes(0.2)
    assert 'semi_train_cfg.pseudo_filter, ScoreFilter(thr=0.3), rejects all 1 candidates' in why
    assert 'lower semi_train_cfg.pseudo_filter.thr' in why


@pytest.mark.parametrize('kind', EVERY)
def test_a_checkpoint_loads_into_the_plain_detector(make, detector_cfg, kind):
    model = make(kind)
    plain = build_detector(detector_cfg if kind == 'FasterRCNN' else dense(detector_cfg, kind))
    weights = {k.removeprefix('student.'): v for k, v in model.state_dict().items() if k.startswith('student.')}
    plain.load_state_dict(weights, strict=True)
    assert all(k.startswith(('student.', 'teacher.')) for k in model.state_dict())


class TestRefusals:
    def test_soft_teacher_on_one_stage_names_the_mean_teacher(self, detector_cfg):
        with pytest.raises(TypeError, match='RetinaNet has none; MeanTeacher trains one-stage detectors'):
            SoftTeacher(dense(detector_cfg, 'RetinaNet'))

    def test_an_unknown_key_is_refused_with_the_one_that_was_meant(self, detector_cfg):
        with pytest.raises(ValueError, match="no key 'cls_filter': write pseudo_filter"):
            MeanTeacher(dense(detector_cfg, 'FCOS'), dict(cls_filter=dict(type='ScoreFilter')))
        with pytest.raises(ValueError, match='did you mean empty_weight'):
            MeanTeacher(dense(detector_cfg, 'FCOS'), dict(emtpy_weight=1))

    def test_values_out_of_range(self, detector_cfg):
        with pytest.raises(ValueError, match='candidate_score_thr is in'):
            MeanTeacher(detector_cfg, dict(candidate_score_thr=2))
        with pytest.raises(ValueError, match='empty_weight must be a number, 0 or more'):
            MeanTeacher(detector_cfg, dict(empty_weight=-1))

    def test_masks(self, detector_cfg):
        with pytest.raises(TypeError, match='trains boxes alone; MaskRCNN has a mask head'):
            MeanTeacher(mask_rcnn(detector_cfg))

    def test_a_yolox_that_resizes_its_batches(self, detector_cfg):
        cfg = dense(detector_cfg, 'YOLOX')
        cfg.random_size_range = (15, 25)
        with pytest.raises(ValueError, match=r'set model.detector.random_size_range=\(4, 4\)'):
            MeanTeacher(cfg)

    def test_a_tood_that_counts_epochs(self, detector_cfg):
        cfg = dense(detector_cfg, 'TOOD')
        cfg.train_cfg.initial_epoch = 4
        with pytest.raises(ValueError, match='set model.detector.train_cfg.initial_epoch=0'):
            MeanTeacher(cfg)

    def test_a_detector_without_boxes_to_threshold(self, detector_cfg):
        cfg = dense(detector_cfg, 'RetinaNet')
        rpn = dict(detector_cfg.rpn_head)
        cfg = type(cfg)(
            type='RPN', backbone=cfg.backbone, neck=cfg.neck, rpn_head=rpn,
            train_cfg=dict(rpn=detector_cfg.train_cfg.rpn), test_cfg=dict(rpn=detector_cfg.test_cfg.rpn),
        )  # fmt: skip
        with pytest.raises(TypeError, match='needs a dense head with loss and get_bboxes, or two stages; RPN has'):
            MeanTeacher(cfg)


def test_kinds_are_those_of_the_helpers():
    assert set(KINDS) == set(EVERY) - {'FasterRCNN'}


def train_on_a_rank(model: MeanTeacher, batch: dict, rank: int) -> torch.Tensor:
    """Two steps of SGD in DDP, the first within a burn-in; rank 1 gets no pseudo box. The student's weights."""
    wrapped = parallelize(model, distributed=True)
    optimizer = torch.optim.SGD(model.student.parameters(), lr=1e-3)
    if rank == 1:
        model.pseudo_filter.thr = 1.0
    for iteration, unsup_weight in enumerate((0.0, 2.0)):
        model.unsup_weight = unsup_weight
        model.update_teacher(iteration)
        views = {name: {**view, 'img': view['img'] * (1 + 0.1 * rank)} for name, view in batch.items()}
        result = wrapped.train_step(views, optimizer)
        optimizer.zero_grad()
        result['loss'].backward()
        optimizer.step()
    assert result['loss'].isfinite()
    return torch.cat([p.detach().flatten() for p in model.student.parameters()])


@pytest.mark.parametrize('kind', EVERY)
def test_two_ranks_train_alike_through_a_burn_in_and_with_pseudo_boxes_on_one_of_them(
    make, make_batch, on_two_ranks, kind
):
    model, batch = make(kind), make_batch()
    before = torch.cat([p.detach().flatten() for p in model.student.parameters()])
    first, second = on_two_ranks(lambda rank: train_on_a_rank(model, batch, rank))
    assert torch.equal(first, second) and first.isfinite().all() and not torch.equal(first, before)


def test_a_rank_without_unlabeled_images_is_refused_before_the_others_wait(make, make_batch, on_two_ranks):
    model, batch = make('FCOS'), make_batch()
    del batch['unsup_student']

    def refusal(rank: int) -> torch.Tensor:
        with pytest.raises(InputError, match='set data.sampler.at_least_one=True'):
            model(**batch)
        torch.distributed.barrier()  # neither leaves before the other has come
        return torch.ones(())

    assert all(on_two_ranks(refusal))


def ignoring(cfg):
    """The config with assigners that honor ignored boxes."""
    for part in (cfg.train_cfg, cfg.train_cfg.get('rpn', {}), cfg.train_cfg.get('rcnn', {})):
        if 'assigner' in part:
            part['assigner']['ignore_iof_thr'] = 0.5
    return cfg


class TestScoreBand:
    labels = PseudoLabels(
        torch.tensor([[10.0, 10, 60, 70], [70, 20, 120, 80], [0, 0, 20, 20]]),
        torch.tensor([0, 1, 2]),
        torch.tensor([0.9, 0.35, 0.1]),
    )

    @pytest.mark.parametrize('kind', ['RetinaNet', 'ATSS', 'GFL', 'FasterRCNN'])
    def test_what_is_between_the_thresholds_is_neither_object_nor_background(
        self, detector_cfg, make_view, monkeypatch, kind
    ):
        torch.manual_seed(0)
        cfg = ignoring(detector_cfg if kind == 'FasterRCNN' else dense(detector_cfg, kind))
        band = dict(ignore_score_thr=0.3, pseudo_filter=dict(type='ScoreFilter', thr=0.5))
        model, view = MeanTeacher(cfg, band).train(), make_view(['u'])
        see(monkeypatch, self.labels)
        labels = model.project_pseudo_labels(model.find_pseudo_labels(view), view)
        assert [own[0].labels.tolist() for own in (labels.boxes, labels.ignored)] == [[0], [1]]
        losses = model.unsupervised_losses(make_view(['u']), labels)
        truth = dict(gt_bboxes=[self.labels.bboxes[:1]], gt_labels=[self.labels.labels[:1]])
        expected = model.student.forward_train(**make_view(['u']), **truth, gt_bboxes_ignore=[self.labels.bboxes[1:2]])
        plain = model.student.forward_train(**make_view(['u']), **truth)
        name = 'loss_rpn_cls' if kind == 'FasterRCNN' else 'loss_cls'
        torch.testing.assert_close(losses[name], sum(expected[name]))
        assert not torch.allclose(losses[name], sum(plain[name]))
        figures = model.figures(labels)
        assert figures['num_pseudo_ignored'] == 1 and figures.keys() == model.zero_figures().keys()

    @pytest.mark.parametrize('kind', ['RetinaNet', 'FCOS', 'YOLOX', 'FasterRCNN'])
    def test_heads_that_ignore_nothing_are_refused(self, detector_cfg, kind):
        cfg = detector_cfg if kind == 'FasterRCNN' else dense(detector_cfg, kind)
        with pytest.raises(ValueError, match='ignores no box: set ignore_iof_thr=0.5 in the assigners'):
            MeanTeacher(cfg, dict(ignore_score_thr=0.2))

    def test_a_band_under_the_candidates_is_refused(self, detector_cfg):
        with pytest.raises(ValueError, match='is a score of candidates, from candidate_score_thr=0.05 to 1'):
            MeanTeacher(ignoring(dense(detector_cfg, 'RetinaNet')), dict(ignore_score_thr=0.01))


@pytest.mark.parametrize('kind', EVERY)
def test_label_once_learns_from_any_head_too(make, detector_cfg, make_batch, kind):
    make(kind)  # skips what is not installed
    model = SelfTraining(detector_cfg if kind == 'FasterRCNN' else dense(detector_cfg, kind), {}).train()
    batch = make_batch()
    strong = dict(
        batch['unsup_student'], gt_bboxes=batch['sup']['gt_bboxes'] * 2, gt_labels=batch['sup']['gt_labels'] * 2
    )
    log = model.train_step(dict(sup=batch['sup'], unsup_student=strong))['log_vars']
    names = [f'{branch}_{name}' for branch in ('sup', 'unsup') for name in NAMES[kind]]
    assert [name for name in log if name.startswith(('sup_', 'unsup_'))] == names
    assert log['unsup_loss_cls'] > 0
