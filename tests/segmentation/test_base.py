"""Student and teacher as a segmentor: modes, checkpoints, losses by name, what does not fit."""

import warnings

import pytest
import torch
from mmcv import ConfigDict
from mmseg.models import SEGMENTORS, build_segmentor
from torch import nn

from ssod.core import Batch
from ssod.segmentation.base import SemiSegmentor, build_model, check_same_pixels, need_weak_view
from ssod.segmentation.maps import ignore_padding, joined, logits_of, loss_names
from ssod.segmentation.supervised import SupervisedSegmentor
from ssod.segmentation.trial import tiny_segmentor, view


class Echo(SemiSegmentor):
    """The student learns the teacher's labels."""

    def find_pseudo_labels(self, teacher_batch: Batch | None) -> torch.Tensor:
        with torch.no_grad():
            return logits_of(self.teacher, teacher_batch['img']).argmax(1)

    def project_pseudo_labels(self, found, student_batch):
        return found

    def unsupervised_losses(self, student_batch, labels):
        return dict(loss_seg=nn.functional.cross_entropy(logits_of(self.student, student_batch['img']), labels))


def batch():
    unlabeled = view('unlabeled', False)
    unlabeled.pop('gt_semantic_seg')
    return dict(sup=view('labeled', False), unsup_teacher=unlabeled, unsup_student=dict(unlabeled))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Echo(tiny_segmentor()).train()


def test_the_losses_have_the_same_keys_whatever_branches_are_there(model):
    full = batch()
    keys = ['sup_decode.loss_ce', 'sup_decode.acc_seg', 'unsup_loss_seg']
    for names in (['sup'], ['unsup_teacher', 'unsup_student'], [*full], []):
        losses = model(**{name: full[name] for name in names})
        assert list(losses) == keys
        loss, _ = model._parse_losses(losses)
        model.zero_grad()
        loss.backward()
        grads = [p.grad for p in model.student.parameters()]
        assert all(grad is not None for grad in grads)
        assert any(grad.any() for grad in grads) == bool(names)
        assert all(p.grad is None for p in model.teacher.parameters())


def test_the_supervised_loss_is_the_segmentors_own(model):
    model.student.eval()  # no dropout, no statistics of the batch
    own = model.student.forward_train(**batch()['sup'])
    assert tuple(own) == loss_names(model.student)
    torch.testing.assert_close(model(sup=batch()['sup'])['sup_decode.loss_ce'], own['decode.loss_ce'])


def test_names_of_several_heads_and_losses():
    cfg = tiny_segmentor()
    head = dict(type='FCNHead', in_channels=32, in_index=2, channels=4, num_convs=1, num_classes=3)
    loss = dict(type='CrossEntropyLoss', loss_weight=0.4)
    cfg.auxiliary_head = [ConfigDict(head, loss_decode=loss), ConfigDict(head, loss_decode=loss)]
    cfg.decode_head.loss_decode = [dict(type='CrossEntropyLoss'), dict(type='DiceLoss')]
    segmentor = build_segmentor(cfg)
    assert tuple(segmentor.forward_train(**batch()['sup'])) == loss_names(segmentor)
    cfg.auxiliary_head = cfg.auxiliary_head[0]
    segmentor = build_segmentor(cfg)
    assert tuple(segmentor.forward_train(**batch()['sup'])) == loss_names(segmentor)


def test_evaluation_after_training_uses_and_keeps_the_state_of_the_chosen_model(model):
    model.eval()
    views = batch()
    test = dict(img=[views['sup']['img'][:1]], img_metas=[views['sup']['img_metas'][:1]], return_loss=False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for name in ('student', 'teacher'):
        model.predict_on = name
        (labels,) = model(**test, rescale=True)
        expected = logits_of(getattr(model, name), test['img'][0]).argmax(1)[0]
        assert labels.shape == (48, 64) and (labels == expected.numpy()).all()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    model.train()
    assert model.student.training and not any(m.training for m in model.teacher.modules())


def test_a_plain_checkpoint_fills_both(model):
    plain = build_segmentor(tiny_segmentor()).state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        model.load_state_dict(plain)
    for half in (model.student, model.teacher):
        assert all(torch.equal(value, plain[name]) for name, value in half.state_dict().items())


def test_it_is_built_by_mmseg_and_says_where_settings_belong():
    cfg = ConfigDict(type='SupervisedSegmentor', segmentor=tiny_segmentor())
    assert isinstance(build_segmentor(cfg), SupervisedSegmentor) and SEGMENTORS.get('SupervisedSegmentor')
    with pytest.raises(ValueError, match='write model.segmentor.test_cfg'):
        build_segmentor(cfg, test_cfg=dict(mode='whole'))
    with pytest.raises(ValueError, match="semi_train_cfg has no key 'emma': did you mean ema"):
        SupervisedSegmentor(tiny_segmentor(), semi_train_cfg=dict(emma=1))
    cascade = tiny_segmentor()
    cascade.update(type='CascadeEncoderDecoder', num_stages=1, decode_head=[cascade.decode_head])
    with pytest.raises(TypeError, match='an EncoderDecoder with one decode head, not CascadeEncoderDecoder'):
        SupervisedSegmentor(cascade)


@pytest.mark.skipif(torch.cuda.is_available(), reason='SyncBN stays on a GPU')
def test_without_a_gpu_sync_batchnorm_is_batchnorm_of_the_same_names():
    cfg = tiny_segmentor()
    names = build_model(cfg).state_dict().keys()
    for part in (cfg.backbone, cfg.decode_head):
        part.norm_cfg = dict(type='SyncBN', requires_grad=True)
    model = build_model(cfg)
    assert model.state_dict().keys() == names
    assert not any(isinstance(m, nn.SyncBatchNorm) for m in model.modules())


def test_maps():
    labels = torch.zeros(2, 4, 5, dtype=torch.long)
    found = ignore_padding(labels, [dict(img_shape=(3, 5, 3)), dict(img_shape=(4, 2, 3))])
    assert not labels.any()
    assert (found == 255).sum(dim=(1, 2)).tolist() == [5, 12] and (found[0, 3] == 255).all()
    both = joined([torch.ones(1, 3, 4), torch.ones(2, 2, 5)], 7)
    assert both.shape == (3, 3, 5) and both[0, :, 4].tolist() == [7] * 3 and both[1, 2].tolist() == [7] * 5


def test_views_that_differ_are_refused():
    views = batch()
    need_weak_view(views['unsup_teacher'])
    with pytest.raises(ValueError, match='needs the branch unsup_teacher'):
        need_weak_view(None)
    check_same_pixels(torch.zeros(2, 3, 48, 64), views['unsup_student'])
    with pytest.raises(ValueError, match=r'\(40, 64\) and \(48, 64\) pixels.* before MultiBranch'):
        check_same_pixels(torch.zeros(2, 3, 40, 64), views['unsup_student'])
