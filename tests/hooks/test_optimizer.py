"""The step of mmcv's hook, without what it leaves."""

import torch
from mmcv.runner import OptimizerHook
from torch import nn

from ssod.hooks import ReleasingOptimizerHook


def test_three_steps_are_mmcvs_and_no_gradient_stays(fake_runner):
    weights, norms = [], []
    for hook in (ReleasingOptimizerHook(dict(max_norm=0.5)), OptimizerHook(dict(max_norm=0.5))):
        model = nn.Linear(2, 1)
        nn.init.ones_(model.weight)
        nn.init.zeros_(model.bias)
        runner = fake_runner(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
        for iteration in range(3):
            loss = (iteration + 1) * model(torch.tensor([1.0, 2.0])).square().sum()
            runner.outputs = dict(loss=loss, num_samples=1)
            hook.after_train_iter(runner)
            assert (model.weight.grad is None) == isinstance(hook, ReleasingOptimizerHook)
        weights.append(model.weight.detach())
        norms.append(runner.log_buffer.val_history['grad_norm'])
    assert torch.equal(*weights) and (weights[0] != 1).all()
    assert norms[0] == norms[1] and len(norms[0]) == 3
