"""uint8 batches become, on their device, what mmdet's pipeline ops and mmcv's collation would have made of them."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from mmcv.parallel import MMDataParallel, collate
from mmdet.datasets.pipelines import Compose
from mmdet.models import build_detector

from ssod.data import collate_views, normalize_images, normalize_inputs, normalized

SIZES = [(50, 70), (64, 33), (31, 96)]
NORMS = [
    dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False),
    dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True),
]


def pictures():
    rng = np.random.RandomState(0)
    return [rng.randint(0, 256, (h, w, 3)).astype(np.uint8) for h, w in SIZES]


def views(*ops):
    collect = dict(type='Collect', keys=['img'], meta_keys=('pad_shape', 'img_norm_cfg'))
    return [Compose([*ops, collect])(dict(img=img, filename='a', img_shape=img.shape)) for img in pictures()]


def host_batch(norm):
    pad, bundle = dict(type='Pad', size_divisor=32), dict(type='DefaultFormatBundle')
    return collate(views(pad, dict(type='Normalize', **norm), bundle), 3)['img'].data[0]


def raw_batch(norm):
    """An opened uint8 batch."""
    batch = collate_views(views(dict(type='NormalizeOnDevice', **norm, size_divisor=32)))
    return dict(img=batch['img'].data[0], img_metas=batch['img_metas'].data[0])


@pytest.mark.parametrize('norm', NORMS)
def test_a_batch_is_the_hosts(norm):
    batch, expected = raw_batch(norm), host_batch(norm)
    images = normalize_images(batch['img'], batch['img_metas'])
    assert images.shape == expected.shape == (3, 3, 64, 96) and images.dtype == torch.float32
    assert images.is_contiguous()
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-5)


def test_mmcvs_own_collation_gives_the_model_the_same_batch():
    """Outside our loop: the images arrive as a list of arrays."""
    op = dict(type='NormalizeOnDevice', **NORMS[0], size_divisor=32)
    opened = MMDataParallel(torch.nn.Identity(), device_ids=[]).scatter((), collate(views(op), 3), [-1])[1][0]
    assert isinstance(opened['img'], list) and opened['img'][0].dtype == np.uint8
    images = normalized(opened)['img']
    expected = raw_batch(NORMS[0])
    assert torch.equal(images, normalize_images(expected['img'], expected['img_metas']))


def test_a_model_says_what_is_wrong_with_images_that_nobody_normalized(make_model, make_batch):
    batch = make_batch()
    batch['sup']['img'] = (batch['sup']['img'] * 100).long()
    with pytest.raises(TypeError, match='img is torch.int64: end the view with NormalizeOnDevice, or Normalize and'):
        make_model().train_step(batch)
    batch['sup']['img'] = 'a.jpg'
    with pytest.raises(TypeError, match='img is str: end the view'):
        make_model().train_step(batch)


def test_the_strip_by_hand():
    batch = raw_batch(NORMS[1])
    images = normalized(batch)['img']
    # The first image is 50 x 70, padded to 64 x 96; the second 64 x 33 to 64 x 64, in a batch of 64 x 96.
    blue, _, red = pictures()[0][49, 69].astype(float)
    assert images[0, 0, 49, 69].item() == pytest.approx((red - 123.675) / 58.395, abs=1e-5)
    assert images[0, 2, 49, 69].item() == pytest.approx((blue - 103.53) / 57.375, abs=1e-5)
    assert images[0, 0, 50, 0].item() == images[1, 0, 0, 63].item() == pytest.approx(-123.675 / 58.395, abs=1e-5)
    assert (images[1, :, :, 64:] == 0).all() and (images[1, :, :, :64] != 0).all()
    assert batch['img'].dtype == torch.uint8


def test_each_image_is_normalized_by_its_own_record():
    one, other = (raw_batch(norm) for norm in NORMS)
    mixed = normalize_images(one['img'], [one['img_metas'][0], *other['img_metas'][1:]])
    assert torch.equal(mixed[0], normalized(one)['img'][0]) and torch.equal(mixed[1:], normalized(other)['img'][1:])


def test_what_is_no_uint8_tensor_passes_untouched(make_batch):
    for batch in (make_batch()['sup'], dict(img=[torch.zeros(1, 3, 4, 4)], img_metas=[[{}]]), dict(rescale=True)):
        assert normalized(batch) is batch
    args, kwargs = normalize_inputs(None, (1,), make_batch()['sup'] | dict(return_loss=True))
    assert args == (1,) and kwargs['return_loss'] is True and kwargs['img'].dtype == torch.float32


def attached(model):
    model.register_forward_pre_hook(normalize_inputs, with_kwargs=True)
    return model


def as_uint8(batch):
    """The batch with small whole values, and the same as it would come from a loader."""
    whole = {**batch, 'img': (batch['img'] * 40 + 128).round().clamp(0, 255)}
    return whole, {**whole, 'img': whole['img'].permute(0, 2, 3, 1).contiguous().byte()}


def test_a_plain_detector_trains_on_uint8_as_on_float(detector_cfg, make_batch):
    torch.manual_seed(0)
    model = attached(build_detector(detector_cfg)).train()
    outputs = [MMDataParallel(model, device_ids=[]).train_step(b, None) for b in as_uint8(make_batch()['sup'])]
    assert outputs[0]['loss'].item() == outputs[1]['loss'].item() > 0
    assert outputs[1]['num_samples'] == 1


def test_a_semi_detector_normalizes_its_own_input(make_model, make_batch):
    model, pairs = make_model(), {name: as_uint8(batch) for name, batch in make_batch().items()}
    outputs = []
    for i in (0, 1):
        torch.manual_seed(0)
        outputs.append(model.train_step({name: pair[i] for name, pair in pairs.items()}))
    assert outputs[0]['log_vars'] == outputs[1]['log_vars'] and outputs[0]['log_vars']['sup_loss_cls'] > 0


def test_a_detector_with_the_hook_is_copied_and_saved_as_without(make_model, make_batch):
    model = make_model()
    keys = list(model.state_dict())
    batch = {name: as_uint8(view)[1] for name, view in make_batch().items()}
    losses = []
    for twin in (copy.deepcopy(attached(model)), pickle.loads(pickle.dumps(model))):
        assert list(twin.state_dict()) == keys
        torch.manual_seed(0)
        losses.append(twin.train_step(batch)['loss'].item())
    assert losses[0] == losses[1]
    torch.save(model, io.BytesIO())
