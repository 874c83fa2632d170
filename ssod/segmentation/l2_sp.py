"""L2-SP: a penalty on the way that weights have gone from a starting checkpoint, in place of weight decay.

Li et al., Explicit Inductive Bias for Transfer Learning with Convolutional Networks, ICML 2018; an option of Simple
Baseline's code.
"""

from torch import Tensor, nn

from ssod.core.checkpoint_file import load_file
from ssod.core.errors import InputError

from .dsbn import plain_weights


class L2SP:
    """``weight * (sum |w - w0|^2 over convolution weights + sum |w|^2 over BatchNorm weights and all biases)``.

    Args:
        network: the one that is trained.
        checkpoint: of the same network, with or without DSBN, alone or as a student.
        weight: of the penalty.

    Raises:
        InputError: a convolution that the checkpoint lacks (the authors' code leaves it out without a word).
    """

    def __init__(self, network: nn.Module, checkpoint: str, weight: float) -> None:
        self.weight = weight
        loaded = load_file(checkpoint)
        start = {key.removeprefix('student.'): value for key, value in loaded.get('state_dict', loaded).items()}
        start = plain_weights(start)
        self.start: dict[str, Tensor] = {}
        for name in convolution_weights(network):
            shape = network.get_parameter(name).shape
            if name not in start or start[name].shape != shape:
                raise InputError(f'l2_sp_checkpoint {checkpoint} has no {name} of shape {tuple(shape)}')
            self.start[name] = start[name]

    def __call__(self, network: nn.Module) -> Tensor:
        """The penalty, a scalar."""
        total = next(network.parameters()).new_zeros(())
        for name, value in network.named_parameters():
            if value.requires_grad:
                if name in self.start:
                    self.start[name] = self.start[name].to(value)  # copied once
                    value = value - self.start[name]
                total = total + value.square().sum()
        return self.weight * total


def convolution_weights(network: nn.Module) -> list[str]:
    """Names of the weights of all convolutions, fully connected layers included."""
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    return [f'{name}.weight' for name, module in network.named_modules() if isinstance(module, kinds)]
