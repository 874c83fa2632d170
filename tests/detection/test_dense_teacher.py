"""Dense Teacher: its losses by hand, in plain loops, and over the three heads."""

import math

import pytest
import torch
from detectors import dense
from mmcv import Config
from mmdet.core import bbox_overlaps

from ssod.apis.train import parallelize
from ssod.core.errors import InputError
from ssod.detection import DenseTeacher
from ssod.detection.checks import check_geometry
from ssod.detection.dense_teacher import choose, cls_loss, quality_loss
from ssod.detection.heads.points import Points, points_of

KINDS = ('FCOS', 'ATSS', 'GFL')
THIRD = dict(FCOS='loss_centerness', ATSS='loss_centerness', GFL='loss_dfl')


def make(detector_cfg, kind, **settings):
    torch.manual_seed(0)
    model = DenseTeacher(dense(detector_cfg, kind), settings)
    for value in model.student.parameters():
        if value.dim() > 1:
            torch.nn.init.normal_(value, std=1.2 / value[0].numel() ** 0.5)
    model.teacher.load_state_dict(model.student.state_dict())
    model.CLASSES = model.student.CLASSES = model.teacher.CLASSES = ('a', 'b', 'c')
    return model.train()


def different(model):
    """The model with a teacher a little away from its student."""
    generator = torch.Generator().manual_seed(1)
    for value in model.teacher.parameters():
        value.data += 0.1 * value.std(correction=0) * torch.randn(value.shape, generator=generator)
    return model


def learn(model, weak, strong):
    labels = model.project_pseudo_labels(model.find_pseudo_labels(weak), strong)
    return model.unsupervised_losses(strong, labels), labels


def logit(p):
    return math.log(p / (1 - p))


class TestThreePointsByHand:
    """Two classes; the teacher is surest of the second point: 0.8 and 0.1."""

    teacher = Points(
        torch.tensor([[logit(0.3), logit(0.2)], [logit(0.8), logit(0.1)], [logit(0.05), logit(0.5)]]),
        torch.tensor([[0.0, 0, 1, 1], [0, 0, 10, 10], [0, 0, 2, 2]]),
        torch.tensor([0.0, logit(0.7), 0.0]),
    )
    student = Points(
        torch.tensor([[logit(0.5), logit(0.1)], [logit(0.6), logit(0.3)], [logit(0.2), logit(0.2)]]),
        torch.tensor([[5.0, 5, 6, 6], [0, 0, 10, 5], [7, 7, 8, 8]]),
        torch.tensor([1.0, logit(0.4), 1.0]),
    )

    def test_the_surest_point_is_chosen(self):
        labels = choose(self.teacher, 0.34)  # 1.02 of 3 points: one
        assert labels.chosen.tolist() == [1]
        torch.testing.assert_close(labels.scores, torch.tensor([[0.8, 0.1]]))
        assert choose(self.teacher, 0.01).chosen.tolist() == [1]  # at least one
        assert sorted(choose(self.teacher, 0.7).chosen.tolist()) == [1, 2]  # by the surest class of each

    def test_classes_count_at_all_points(self):
        def term(target, p):
            return (target - p) ** 2 * -(target * math.log(p) + (1 - target) * math.log(1 - p))

        expected = sum(term(*pair) for pair in [(0, 0.5), (0, 0.1), (0.8, 0.6), (0.1, 0.3), (0, 0.2), (0, 0.2)])
        found = cls_loss(self.student.logits, choose(self.teacher, 0.34))
        assert found.item() == pytest.approx(expected / 0.8, rel=1e-5)

    def test_quality_counts_at_the_chosen_point(self):
        found = quality_loss(self.student, choose(self.teacher, 0.34))
        assert found.item() == pytest.approx(-(0.7 * math.log(0.4) + 0.3 * math.log(0.6)), rel=1e-5)

    def test_sides_of_gfl_count_by_the_teachers_distribution(self):
        def sides(*rows):
            return torch.tensor(rows).view(1, 4, 2)

        teacher = self.teacher._replace(quality=None, sides=sides([0.0, 0.0], [0.0, 100], [0.0, 0.0], [0.0, 0.0]))
        student = self.student._replace(
            quality=None, sides=sides([0.0, 0.0], [0.0, 0.0], [0.0, logit(0.75)], [0.0, 0.0])
        )
        one = slice(1, 2)
        teacher = Points(teacher.logits[one], teacher.bboxes[one], None, teacher.sides)
        student = Points(student.logits[one], student.bboxes[one], None, student.sides)
        half = math.log(2)  # of an even distribution, whatever the target
        expected = (3 * half - (0.5 * math.log(0.25) + 0.5 * math.log(0.75))) / 4
        assert quality_loss(student, choose(teacher, 1.0)).item() == pytest.approx(expected, rel=1e-5)

    def test_no_score_at_all_is_no_division_by_zero(self):
        nothing = self.teacher._replace(logits=torch.full((3, 2), -200.0))
        assert cls_loss(self.student.logits, choose(nothing, 0.34)).isfinite()


@pytest.mark.parametrize('kind', KINDS)
def test_losses_equal_the_method_written_out_in_loops(detector_cfg, make_view, kind):
    model, view = different(make(detector_cfg, kind, ratio=0.02)), make_view(['u', 'v'])
    losses, _ = learn(model, view, make_view(['u', 'v']))
    with torch.no_grad():
        teacher, student = (naive_points(m, view['img']) for m in (model.teacher, model.student))
    scores = [[1 / (1 + math.exp(-z)) for z in point['logits']] for point in teacher]
    order = sorted(range(len(scores)), key=lambda i: -max(scores[i]))[: int(0.02 * len(scores))]
    total = sum(max(scores[i]) for i in order)
    cls = 0.0
    for i, point in enumerate(student):
        for c, z in enumerate(point['logits']):
            target, p = (scores[i][c] if i in order else 0.0), 1 / (1 + math.exp(-z))
            cls += (target - p) ** 2 * -(target * math.log(p) + (1 - target) * math.log(1 - p)) / total
    boxes = [1 - bbox_overlaps(student[i]['box'][None], teacher[i]['box'][None], mode='giou').item() for i in order]
    third = [naive_third(student[i]['third'], teacher[i]['third'], kind) for i in order]
    assert losses['loss_cls'].item() == pytest.approx(4 * cls, rel=1e-3)
    assert losses['loss_bbox'].item() == pytest.approx(sum(boxes) / len(boxes), rel=1e-3)
    assert losses[THIRD[kind]].item() == pytest.approx(sum(third) / len(third), rel=1e-3)
    assert all(value > 1e-4 for value in losses.values()), 'they must differ for this test to tell'


def naive_points(detector, img):
    """Image by image, level by level, pixel by pixel: logits, box, and what the third loss looks at."""
    head = detector.bbox_head
    outs = head(detector.extract_feat(img))
    points = []
    for b in range(len(img)):
        for level, stride in enumerate((8, 16, 32)):
            maps = [out[level][b] for out in outs]
            for y in range(maps[0].shape[1]):
                for x in range(maps[0].shape[2]):
                    logits, delta, *third = (m[:, y, x] for m in maps)
                    box = naive_box(head, delta, x, y, stride)
                    points.append(dict(logits=logits.tolist(), box=box, third=(third or [delta])[0]))
    return points


def naive_box(head, delta, x, y, stride):
    kind = type(head).__name__
    if kind == 'ATSSHead':  # anchors of 8 strides about the corner of the cell
        anchor = torch.tensor([x - 4.0, y - 4, x + 4, y + 4]) * stride
        return head.bbox_coder.decode(anchor[None], delta[None])[0]
    center = torch.tensor([x, y]) * float(stride)
    if kind == 'GFLHead':
        sides = torch.stack([(side.softmax(0) * torch.arange(17)).sum() for side in delta.view(4, 17)]) * stride
    else:
        center = center + stride / 2
        sides = delta * stride if head.training else delta  # MMDetection multiplies in eval mode
    return torch.cat([center - sides[:2], center + sides[2:]])


def naive_third(student, teacher, kind):
    if kind == 'GFL':
        pairs = zip(student.view(4, 17), teacher.view(4, 17), strict=True)
        return sum(-(t.softmax(0) * s.log_softmax(0)).sum().item() for s, t in pairs) / 4
    p, q = student.sigmoid().item(), teacher.sigmoid().item()
    return -(q * math.log(p) + (1 - q) * math.log(1 - p))


@pytest.mark.parametrize('kind', KINDS)
def test_a_student_equal_to_its_teacher_has_no_box_loss(detector_cfg, make_view, kind):
    model, view = make(detector_cfg, kind), make_view(['u', 'v'])
    losses, labels = learn(model, view, make_view(['u', 'v']))
    assert losses['loss_bbox'].item() == pytest.approx(0, abs=1e-5)
    assert losses['loss_cls'] > 0  # at the points that are not chosen
    everywhere, _ = learn(make(detector_cfg, kind, ratio=1.0), view, make_view(['u', 'v']))
    assert everywhere['loss_cls'].item() == pytest.approx(0, abs=1e-5)
    points = points_of(model.teacher, view['img'])
    assert len(labels.chosen) == int(0.01 * len(points.logits))


@pytest.mark.parametrize('kind', KINDS)
def test_the_images_of_the_views_may_come_in_any_order(detector_cfg, make_view, kind):
    model = different(make(detector_cfg, kind))
    sup = dict(make_view(['s']), gt_bboxes=[torch.tensor([[10.0, 10, 60, 70]])], gt_labels=[torch.tensor([1])])
    weak, strong = make_view(['u', 'v']), make_view(['v', 'u'])
    mixed = model(sup=sup, unsup_teacher=weak, unsup_student=strong)
    straight = model(sup=sup, unsup_teacher=strong, unsup_student=strong)
    for name in ('loss_cls', 'loss_bbox', THIRD[kind]):
        torch.testing.assert_close(mixed[f'unsup_{name}'], straight[f'unsup_{name}'])


@pytest.mark.parametrize('kind', KINDS)
def test_a_step_trains_every_parameter_and_a_missing_branch_gives_the_same_keys(detector_cfg, make_view, kind):
    sup = dict(make_view(['s']), gt_bboxes=[torch.tensor([[10.0, 10, 60, 70]])], gt_labels=[torch.tensor([1])])
    unlabeled = dict(unsup_teacher=make_view(['u', 'v']), unsup_student=make_view(['u', 'v']))
    keys = []
    for batch in (dict(sup=sup, **unlabeled), dict(sup=sup), unlabeled):
        model = different(make(detector_cfg, kind))
        result = model.train_step(batch)
        result['loss'].backward()
        assert all(
            p.grad is not None and p.grad.isfinite().all() for p in model.student.parameters() if p.requires_grad
        )
        keys.append(list(result['log_vars']))
    assert keys[0] == keys[1] == keys[2]
    third = THIRD[kind]
    assert [k for k in keys[0] if k.startswith('unsup_')] == ['unsup_loss_cls', 'unsup_loss_bbox', f'unsup_{third}']
    assert result['log_vars']['num_pseudo_cls'] == int(0.01 * 2 * (12 * 16 + 6 * 8 + 3 * 4))


@pytest.mark.parametrize('kind', KINDS)
def test_two_ranks_train_alike_through_a_burn_in(detector_cfg, make_view, on_two_ranks, kind):
    model = different(make(detector_cfg, kind))
    before = torch.cat([p.detach().flatten() for p in model.student.parameters()])

    def train(rank):
        wrapped = parallelize(model, distributed=True)
        optimizer = torch.optim.SGD(model.student.parameters(), lr=1e-3)
        names = [f'{name}{rank}' for name in 'uv']
        sup = dict(make_view([f's{rank}']), gt_bboxes=[torch.zeros(0, 4)], gt_labels=[torch.zeros(0).long()])
        if rank == 0:
            sup.update(gt_bboxes=[torch.tensor([[10.0, 10, 60, 70]])], gt_labels=[torch.tensor([1])])
        for model.unsup_weight in (0.0, 0.5):
            batch = dict(sup=sup, unsup_teacher=make_view(names), unsup_student=make_view(names))
            optimizer.zero_grad()
            wrapped.train_step(batch, optimizer)['loss'].backward()
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in model.student.parameters()])

    first, second = on_two_ranks(train)
    assert torch.equal(first, second) and first.isfinite().all() and not torch.equal(first, before)


def test_the_factor_of_the_authors_code(detector_cfg, make_view):
    plain, factor = (different(make(detector_cfg, 'FCOS', box_factor=kind)) for kind in ('one', 'mean_quality'))
    one, labels = learn(plain, make_view(['u']), make_view(['u']))
    other, _ = learn(factor, make_view(['u']), make_view(['u']))
    torch.testing.assert_close(other['loss_bbox'], one['loss_bbox'] * labels.quality.mean())
    assert labels.quality.mean() != 1
    with pytest.raises(ValueError, match="GFL has no centerness: set semi_train_cfg.box_factor='one'"):
        make(detector_cfg, 'GFL', box_factor='mean_quality')


def test_weights_multiply_their_losses(detector_cfg, make_view):
    names = ('loss_cls', 'loss_bbox', 'loss_centerness')
    plain, _ = learn(different(make(detector_cfg, 'FCOS', cls_weight=1.0)), make_view(['u']), make_view(['u']))
    weights = dict(cls_weight=2.0, box_weight=3.0, quality_weight=0.5)
    heavy, _ = learn(different(make(detector_cfg, 'FCOS', **weights)), make_view(['u']), make_view(['u']))
    for name, weight in zip(names, weights.values(), strict=True):
        torch.testing.assert_close(heavy[name], weight * plain[name])


def test_pictures_show_detections_and_chosen_points(detector_cfg, make_view):
    model = make(detector_cfg, 'FCOS')
    weak, strong = model.pseudo_label_views(make_view(['u', 'v']), make_view(['v', 'u']))
    assert weak.img_meta['filename'] == strong.img_meta['filename'] == 'v'
    assert len(strong.labels) == int(0.01 * (12 * 16 + 6 * 8 + 3 * 4)) and len(weak.labels) > 0
    assert 'whatever their scores' in model.why_no_pseudo_boxes(0.1)


class TestRefusals:
    def test_views_of_different_geometry(self, detector_cfg, make_view):
        model = make(detector_cfg, 'FCOS')
        found = model.find_pseudo_labels(make_view(['u']))
        flip = [[-1.0, 0, 128], [0, 1, 0], [0, 0, 1]]
        for strong in (make_view(['u'], matrix=flip), make_view(['u'], hw=(96, 96))):
            with pytest.raises(InputError, match='needs the same geometry in both views'):
                model.project_pseudo_labels(found, strong)

    @pytest.mark.parametrize('kind', ['RetinaNet', 'VFNet', 'TOOD', 'YOLOX'])
    def test_other_heads(self, detector_cfg, kind):
        with pytest.raises(TypeError, match=f'reads the points of FCOSHead, ATSSHead, GFLHead, not of a {kind[:4]}'):
            DenseTeacher(dense(detector_cfg, kind))
        with pytest.raises(TypeError, match='not of a FasterRCNN: take MeanTeacher'):
            DenseTeacher(detector_cfg)

    def test_settings(self, detector_cfg):
        for wrong, match in (
            (dict(ratio=0), 'ratio is a share of the points'),
            (dict(cls_weight=-1), 'cls_weight must be a number, 0 or more'),
            (dict(box_factor='two'), 'box_factor must be one of'),
            (dict(pseudo_filter={}), "no key 'pseudo_filter': write nothing: Dense Teacher learns from points"),
        ):
            with pytest.raises(ValueError, match=match):
                make(detector_cfg, 'FCOS', **wrong)

    @pytest.mark.parametrize('op', ['ResizeWithMatrix', 'FlipWithMatrix', 'RandomRotate', 'RandomCrop'])
    def test_ops_that_move_pixels_after_the_fork_before_training(self, op):
        def config(kind, before, inside):
            fork = dict(type='MultiBranch', unsup_teacher=[dict(type='Color')], unsup_student=inside)
            unlabeled = dict(type='RepeatDataset', dataset=dict(pipeline=[*before, fork]))
            return Config(dict(model=dict(type=kind), data=dict(train=dict(unlabeled=unlabeled))))

        nested = [dict(type='AutoAugment', policies=[[dict(type='Color')], [dict(type=op)]])]
        check_geometry(config('DenseTeacher', [dict(type=op)], [dict(type='Color')]))
        check_geometry(config('MeanTeacher', [], nested))
        with pytest.raises(InputError, match=f'MultiBranch holds {op}: put it before MultiBranch'):
            check_geometry(config('DenseTeacher', [], nested))
