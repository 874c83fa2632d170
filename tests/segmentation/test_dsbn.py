"""DSBN: the authors' figures, two separate networks, modes, checkpoints, parts that are empty or hold one value."""

import copy

import pytest
import torch
from mmcv.cnn.utils import revert_sync_batchnorm
from segmentation_golden import OFFICIAL, case, check
from torch import nn

from ssod.segmentation.dsbn import DSBN, convert, plain_weights, weak_images


def test_names_outputs_and_evaluation_are_the_authors():
    golden = OFFICIAL['dsbn']
    net, batch, _ = case.dsbn_inputs()
    check(net.eval()(batch), golden['plain_eval_before'])
    net = convert(net).train()
    assert list(net.state_dict()) == golden['state_dict_keys']
    with weak_images(net, 2):
        check(net(batch), golden['train_output'])
    check(net.eval()(batch), golden['eval_output'])


@pytest.mark.parametrize('weak', [0, 1, 3, 4])
def test_the_halves_are_two_networks_that_share_convolutions(weak):
    net, batch, weights = case.dsbn_inputs()
    first, second = copy.deepcopy(net).train(), copy.deepcopy(net).train()
    expected = torch.cat([model(part) for model, part in ((first, batch[:weak]), (second, batch[weak:])) if len(part)])
    (expected * weights).sum().backward()
    net = convert(net).train()
    with weak_images(net, weak):
        found = net(batch)
    (found * weights).sum().backward()
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    state = net.state_dict()
    for half, model, used in (('main_bn', first, weak > 0), ('aux_bn', second, weak < 4)):
        for place in (1, 4):
            own, theirs = getattr(net[place], half), model[place]
            for name in ('running_mean', 'running_var', 'num_batches_tracked'):
                torch.testing.assert_close(state[f'{place}.{half}.{name}'], theirs.state_dict()[name])
            if used:
                torch.testing.assert_close(own.weight.grad, theirs.weight.grad, rtol=1e-10, atol=1e-12)
            else:
                assert own.weight.grad is None
    grads = [model[0].weight.grad for model in (first, second) if model[0].weight.grad is not None]
    torch.testing.assert_close(net[0].weight.grad, sum(grads), rtol=1e-10, atol=1e-12)


def test_outside_the_block_and_in_evaluation_the_weak_half_alone_works():
    net, batch, _ = case.dsbn_inputs()
    plain = copy.deepcopy(net)
    net = convert(net)
    aux = copy.deepcopy(net[1].aux_bn.state_dict())
    torch.testing.assert_close(net.train()(batch), plain.train()(batch))
    with weak_images(net, 1):
        torch.testing.assert_close(net.eval()(batch), plain.eval()(batch))
    assert all(torch.equal(value, net[1].aux_bn.state_dict()[name]) for name, value in aux.items())


def test_blocks_nest_and_end_with_an_error():
    net = convert(nn.Sequential(nn.BatchNorm2d(2)))
    with weak_images(net, 1):
        with pytest.raises(RuntimeError), weak_images(net, 2):
            assert net[0].weak == 2
            raise RuntimeError
        assert net[0].weak == 1
    assert net[0].weak is None


def test_a_plain_checkpoint_fills_both_halves_and_the_weak_half_is_a_plain_checkpoint():
    net, batch, _ = case.dsbn_inputs()
    weights = copy.deepcopy(net.state_dict())
    twin = convert(case.plain_net())
    assert twin.load_state_dict(weights, strict=True) == ([], [])
    for half in ('main_bn', 'aux_bn'):
        assert torch.equal(getattr(twin[1], half).running_var, weights['1.running_var'])
    twin[1].aux_bn.weight.data.zero_()
    assert torch.equal(twin.eval()(batch), net.eval()(batch))
    assert plain_weights(twin.state_dict()).keys() == weights.keys()
    back = case.plain_net()
    back.load_state_dict(plain_weights(twin.state_dict()))
    assert torch.equal(back.eval()(batch), net(batch))
    own = convert(case.plain_net())
    own.load_state_dict(twin.state_dict())  # its own checkpoint goes to each half
    assert not own[1].aux_bn.weight.any() and own[1].main_bn.weight.any()


def test_every_batchnorm_is_converted_once_with_its_settings():
    sync = revert_sync_batchnorm(nn.Sequential(nn.SyncBatchNorm(3)))  # a _BatchNorm that is no BatchNorm2d
    net = nn.Sequential(sync, nn.BatchNorm2d(3, eps=1e-3, momentum=0.2, affine=False), nn.GroupNorm(1, 3))
    assert convert(convert(net)) is net
    assert isinstance(net[0][0], DSBN) and isinstance(net[2], nn.GroupNorm)
    assert (net[1].aux_bn.eps, net[1].aux_bn.momentum, net[1].aux_bn.affine) == (1e-3, 0.2, False)
    assert isinstance(convert(nn.BatchNorm1d(3)), DSBN)
    assert sum(isinstance(layer, DSBN) for layer in net.modules()) == 2


def test_a_part_of_one_value_and_wrong_counts_are_refused():
    net = convert(nn.Sequential(nn.BatchNorm2d(2))).train()
    with weak_images(net, 1), pytest.raises(ValueError, match='one value per channel.*2 weak and 2 strong images'):
        net(torch.zeros(3, 2, 1, 1))
    with weak_images(net, 2), pytest.raises(ValueError, match='one value per channel'):
        net(torch.zeros(3, 2, 1, 1))
    with weak_images(net, 1):
        assert net(torch.randn(2, 2, 4, 4)).shape == (2, 2, 4, 4)  # a weak image of many pixels is enough
    with weak_images(net, 4), pytest.raises(ValueError, match='4 weak images were announced, the batch has 3'):
        net(torch.zeros(3, 2, 4, 4))
    with pytest.raises(ValueError, match='0 or more, got -1'), weak_images(net, -1):
        pass
    with pytest.raises(ValueError, match='Conv2d has no DSBN'), weak_images(nn.Conv2d(1, 1, 1), 1):
        pass
