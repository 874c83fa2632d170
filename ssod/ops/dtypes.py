"""The number types that torchvision's kernels take."""

from functools import reduce

import torch
from torch import Tensor


def to_kernel_dtype(*tensors: Tensor) -> list[Tensor]:
    """Bring tensors to one type that torchvision's kernels take; what has it already is not copied.

    Args:
        *tensors: floating-point tensors of any shape.

    Returns:
        The tensors in the type that holds them all (a float16 and a float32 give float32). It is float32 for bfloat16,
        which the kernels do not know.
    """
    dtype = reduce(torch.promote_types, [tensor.dtype for tensor in tensors])
    return [tensor.to(torch.float32 if dtype == torch.bfloat16 else dtype) for tensor in tensors]


def to_full_precision(tensor: Tensor) -> Tensor:
    """Return a float16 or bfloat16 tensor as float32, and any other as it is."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
