"""CCT: who learns what from whom, the ramp by iteration, the annealed supervised loss, settings."""

import pytest
import torch
from torch.nn import functional as F

from ssod.segmentation.cross_consistency import CrossConsistency, SubPixel, easy_left_out
from ssod.segmentation.maps import logits_of
from ssod.segmentation.perturbations import ramp_up
from ssod.segmentation.trial import tiny_segmentor, view


def make(**settings):
    torch.manual_seed(0)
    return CrossConsistency(tiny_segmentor(), semi_train_cfg=settings).train()


def batch():
    unlabeled = view('unlabeled', False)
    unlabeled.pop('gt_semantic_seg')
    return dict(sup=view('labeled', False), unsup_student=unlabeled)


def test_the_aux_decoders_follow_the_main_one_which_gets_no_gradient():
    model = make()
    assert len(model.student.perturbed) == 30 and model.kinds.count('i_vat') == 2
    losses = model(**batch())
    assert list(losses) == ['sup_decode.loss_ce', 'sup_decode.acc_seg', 'unsup_loss_seg']
    losses['unsup_loss_seg'].backward()
    head = model.student.decode_head
    assert head.conv_seg.weight.grad is None  # the main classifier is followed
    assert head.sep_bottleneck[0].depthwise_conv.conv.weight.grad.any()  # the encoder learns, through every decoder
    assert model.student.backbone.layer1[0].conv1.weight.grad.any()
    assert all(p.grad is not None for p in model.student.perturbed.parameters())
    assert not any(p.requires_grad for p in model.teacher.parameters())


def test_the_loss_is_the_mean_distance_times_ramp_and_weight():
    model = make(decoders=dict(con_msk=1, obj_msk=1), ramp=100, unsup_weight=3.0)
    model.update_teacher(40)
    assert model.iteration == 40
    for m in model.modules():
        if isinstance(m, torch.nn.Dropout2d):
            m.p = 0.0
    losses = model(unsup_student=batch()['unsup_student'])
    z, main = model.project_pseudo_labels(None, batch()['unsup_student'])
    assert z.shape == (2, 16, 12, 16)  # what conv_seg is given
    torch.testing.assert_close(model.student.decode_head.conv_seg(z).shape[1], 3)
    distance = 0
    for kind, decoder in zip(model.kinds, model.student.perturbed, strict=True):
        out = F.interpolate(
            decoder(model.perturb(kind, z, main, decoder)), (48, 64), mode='bilinear', align_corners=True
        )
        distance = distance + F.mse_loss(out.softmax(1), main.softmax(1)) / 2
    torch.testing.assert_close(losses['unsup_loss_seg'], 3 * ramp_up(40, 100) * distance)


@pytest.mark.parametrize('settings', [dict(), dict(decoder='linear', consistency='kl'), dict(anneal=10)])
@pytest.mark.parametrize('names', [['sup'], ['unsup_student'], []])
def test_a_missing_branch_leaves_keys_and_gradients(settings, names):
    model = make(decoders=dict(f_drop=1, f_noise=1, dropout=1, g_cutout=1, i_vat=1), **settings)
    losses = model(**{name: batch()[name] for name in names})
    assert list(losses) == ['sup_decode.loss_ce', 'sup_decode.acc_seg', 'unsup_loss_seg']
    loss = model._parse_losses(losses)[0]
    loss.backward()
    assert torch.isfinite(loss) and all(p.grad is not None for p in model.student.parameters())


def test_inference_is_the_main_decoder_and_a_plain_checkpoint_fits_but_for_the_others():
    model = make(decoders=dict(dropout=1)).eval()
    image, metas = batch()['sup']['img'][:1], batch()['sup']['img_metas'][:1]
    (labels,) = model(img=[image], img_metas=[metas], return_loss=False, rescale=True)
    assert (labels == logits_of(model.student, image).argmax(1)[0].numpy()).all()


def test_a_subpixel_decoder_starts_without_checkerboards_and_is_never_negative():
    torch.manual_seed(0)
    decoder = SubPixel(6, 3, 8)
    assert [type(m).__name__ for m in decoder] == ['Conv2d', *['Conv2d', 'ReLU', 'PixelShuffle'] * 3]
    for bias in (decoder[i].bias for i in (1, 4, 7)):
        torch.nn.init.zeros_(bias)
    out = decoder(torch.randn(2, 6, 4, 5))
    assert out.shape == (2, 3, 32, 40) and (out >= 0).all()
    assert torch.equal(out, F.interpolate(out[..., ::8, ::8], scale_factor=8))  # eight by eight pixels alike


def test_easy_pixels_are_left_out():
    p = torch.tensor([0.1, 0.6, 0.95, 0.5], dtype=torch.float64)
    logits = torch.stack([p.log(), (1 - p).log()])[None, :, None]
    labels = torch.tensor([[[0, 0, 0, 255]]])
    torch.testing.assert_close(easy_left_out(logits, labels, 0.9), -p[:2].log().mean())
    torch.testing.assert_close(easy_left_out(logits, labels, 0.05), -p[:1].log().mean())  # one at least
    assert easy_left_out(logits, torch.full_like(labels, 255), 0.9).item() == 0


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='decoders.con_msk needs a background class'):
        make(background=None, decoders=dict(con_msk=2))
    make(background=None, decoders=dict(f_drop=2))
    with pytest.raises(ValueError, match="must be one of 'f_drop'.* got 'fdrop'"):
        make(decoders=dict(fdrop=1))
    with pytest.raises(ValueError, match='has no decoder'):
        make(decoders=dict())
