"""Weights of convolutions times the factors of the frozen BatchNorms after them, kept until one of either changes."""

from typing import Any

import torch
from torch import Tensor, nn

State = tuple[tuple[int, int], ...]  # address and version of each tensor


class FoldedWeights:
    """The products of a group of convolutions, computed all at once: a handful of kernels for any number of them.

    For a device where launches are what counts. Two forward passes of one step share the products, and their gradients
    are summed before they are scaled. They take as much memory as the weights.
    """

    def __init__(self) -> None:
        self.pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
        self._forget()

    def add(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        """A convolution, and the BatchNorm that follows it, join the group."""
        if all(conv is not known for known, _ in self.pairs):
            self.pairs.append((conv, norm))

    def of(self, conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
        """Weight and bias of one convolution that does the work of its BatchNorm, too."""
        place = next(i for i, (own, _) in enumerate(self.pairs) if own is conv)
        _, norm = self.pairs[place]
        factors = state(norm.weight, norm.bias, norm.running_mean, norm.running_var)
        weights = state(conv.weight), torch.is_grad_enabled() and conv.weight.requires_grad
        if self.factor_states.get(place) != factors:
            self._fold_factors()
            self.weight_states.clear()
        if self.weight_states.get(place) != weights:
            self._fold_weights()
        shift = self.shifts[place]
        if conv.bias is not None:
            shift = shift + conv.bias * self.scales[place].flatten()
        return self.weights[place], shift

    @torch.no_grad()
    def _fold_factors(self) -> None:
        """The factor and the shift of every BatchNorm."""
        norms = [norm for _, norm in self.pairs]
        scales = torch._foreach_add([norm.running_var for norm in norms], [norm.eps for norm in norms])
        torch._foreach_rsqrt_(scales)
        torch._foreach_mul_(scales, [norm.weight for norm in norms])
        shifts = torch._foreach_mul([norm.running_mean for norm in norms], scales)
        self.shifts = torch._foreach_sub([norm.bias for norm in norms], shifts)
        self.scales = [scale.view(-1, 1, 1, 1) for scale in scales]
        self.factor_states = {
            i: state(norm.weight, norm.bias, norm.running_mean, norm.running_var) for i, norm in enumerate(norms)
        }

    def _fold_weights(self) -> None:
        """The product of every convolution; in the graph, as one node of it."""
        own = [conv.weight for conv, _ in self.pairs]
        self.weights = ScaledTogether.apply(self.scales, *own)
        with_graph = torch.is_grad_enabled()
        self.weight_states = {i: (state(w), with_graph and w.requires_grad) for i, w in enumerate(own)}

    def _forget(self) -> None:
        self.scales: list[Tensor] = []
        self.shifts: tuple[Tensor, ...] = ()
        self.weights: tuple[Tensor, ...] = ()
        self.factor_states: dict[int, State] = {}
        self.weight_states: dict[int, tuple[State, bool]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return dict(pairs=self.pairs)  # copies compute their own

    def __setstate__(self, values: dict[str, Any]) -> None:
        self.pairs = values['pairs']
        self._forget()


class ScaledTogether(torch.autograd.Function):
    """Tensors times constants, as one operation; it keeps no tensor, so several backward passes may go through it."""

    @staticmethod
    def forward(ctx: Any, scales: list[Tensor], *weights: Tensor) -> tuple[Tensor, ...]:
        """The products."""
        ctx.scales = scales
        return torch._foreach_mul(weights, scales)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Those of the weights that need one."""
        return None, *torch._foreach_mul(gradients, ctx.scales)


def state(*tensors: Tensor | None) -> State:
    """What changes when a tensor gets other values, or others' memory."""
    return tuple((tensor.data_ptr(), tensor._version) for tensor in tensors if tensor is not None)
