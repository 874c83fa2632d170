"""CCT's perturbations: the authors' figures, and what they leave alone."""

import numpy as np
import torch
from segmentation_golden import OFFICIAL, case, check
from torch.nn import functional as F

from ssod.segmentation.perturbations import (
    add_noise,
    adversarial,
    drop_active,
    guided_cutout,
    mask_context,
    mask_objects,
    ramp_up,
    softmax_kl,
    softmax_mse,
)

GOLDEN = OFFICIAL['cct']


def test_masks_drop_and_their_distances_are_the_authors():
    given, decoder = case.cct_inputs(), case.cct_decoder()
    z, main = given['x'], given['main']
    check(decoder(z), GOLDEN['decoder_output'])
    for name, found in (
        ('con_msk', mask_context(z, main)),
        ('obj_msk', mask_objects(z, main)),
        ('f_drop', drop_active(z, given['gamma'])),
    ):
        check(decoder(found), GOLDEN[name]['output'])
        check(softmax_mse(decoder(found), main), GOLDEN[name]['mse'])
    dropped = drop_active(z, given['gamma'])
    assert (dropped.any(1) == z.any(1)).int().flatten().tolist() == GOLDEN['f_drop']['kept']


def test_the_kl_divergence_is_the_mean_of_all_terms():
    given, decoder = case.cct_inputs(), case.cct_decoder()
    p, q = given['main'].softmax(1), decoder(given['x']).softmax(1)
    torch.testing.assert_close(softmax_kl(decoder(given['x']), given['main']), (p * (p / q).log()).mean())


def test_noise_multiplies_and_is_one_for_the_batch():
    given = case.cct_inputs()
    torch.testing.assert_close(add_noise(given['x'], given['noise']), given['x'] * (1 + given['noise']))
    torch.manual_seed(0)
    share = add_noise(given['x']) / given['x'] - 1
    torch.testing.assert_close(share[0], share[1])
    assert share.abs().max() <= 0.3 + 1e-9 and share.std() > 0.15


def test_the_adversarial_direction_is_the_authors_and_works_in_float32():
    given, decoder = case.cct_inputs(), case.cct_decoder()
    z, d0 = given['x'], given['d0']
    found = adversarial(z, decoder, 0.1, 2.0, d0, added=1e-8)
    check(found, GOLDEN['i_vat_r_adv_xi_0.1'])
    ours = adversarial(z.float(), decoder.float(), 0.1, 2.0, d0.float())
    torch.testing.assert_close(ours.flatten(1).norm(dim=1), torch.full((2,), 2.0))
    cosine = F.cosine_similarity(ours.double().flatten(1), found.flatten(1))
    assert (cosine > 0.999).all()
    assert all(p.grad is None for p in decoder.parameters()) and z.grad is None


def test_an_adversarial_direction_without_gradient_is_zero_not_nan():
    z = torch.zeros(2, 3, 4, 4)
    assert adversarial(z, lambda x: torch.zeros(2, 3, 4, 4) + 0 * x.sum()).eq(0).all()


def test_cutout_erases_a_box_of_each_object_of_many_points():
    given = case.cct_inputs()
    z = torch.ones_like(given['x'])

    np.random.seed(0)
    found = guided_cutout(z, given['main'])
    erased = (found == 0).all(1)
    assert erased.any(2).any(1).all()  # a disc in each image
    for image, radius in zip(erased, (34, 27), strict=True):
        rows, columns = image.any(1).sum().item(), image.any(0).sum().item()
        assert image.sum() == rows * columns
        assert abs(rows - 0.4 * 2 * radius / 8) <= 1.5 and abs(columns - 0.4 * 2 * radius / 8) <= 1.5
    nothing = torch.zeros_like(given['main'])
    nothing[:, 0] = 9
    assert torch.equal(guided_cutout(z, nothing), z)
    assert torch.equal(mask_objects(z, nothing), z) and not mask_context(z, nothing).any()


def test_the_ramp_is_the_authors():
    golden = OFFICIAL['cct_ramp']
    length = golden['ramp_up'] * golden['epochs'] * golden['iters_per_epoch']
    for name, value in golden['values'].items():
        epoch, iteration = map(int, name.split(':'))
        found = golden['final_w'] * ramp_up(epoch * golden['iters_per_epoch'] + iteration, int(length))
        assert abs(found - value) < 1e-10 * value
    assert ramp_up(0, 0) == 1
