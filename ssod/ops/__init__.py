"""mmcv-full 1.7.2's extension module ``mmcv._ext``, written on torchvision's and torch's kernels: nothing to compile.

These files are copied into mmcv as the package ``mmcv/_ext``, so they import torch, torchvision, numpy and each other
alone. The names, arguments and outputs are those of the compiled module: results go into tensors that the caller gives.
What is not here exists all the same and says which build has it (``missing``).
"""

from .attention import ms_deform_attn_backward, ms_deform_attn_forward, psamask_backward, psamask_forward
from .boxes import bbox_overlaps, nms, nms_match, softnms
from .deform_conv import (
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)
from .focal_loss import (
    sigmoid_focal_loss_backward,
    sigmoid_focal_loss_forward,
    softmax_focal_loss_backward,
    softmax_focal_loss_forward,
)
from .local_conv import (
    carafe_backward,
    carafe_forward,
    carafe_naive_backward,
    carafe_naive_forward,
    masked_col2im_forward,
    masked_im2col_forward,
)
from .missing import COMPILED_ONLY, refuse
from .roi import roi_align_backward, roi_align_forward, roi_pool_backward, roi_pool_forward


def get_compiler_version() -> str:
    """What compiled the operators, as ``mmcv.utils.collect_env`` prints it."""
    return 'none (torchvision kernels)'


def get_compiling_cuda_version() -> str:
    """The CUDA that compiled the operators, as ``mmcv.utils.collect_env`` prints it."""
    return 'none (torchvision kernels)'


__all__ = [
    'bbox_overlaps',
    'carafe_backward',
    'carafe_forward',
    'carafe_naive_backward',
    'carafe_naive_forward',
    'deform_conv_backward_input',
    'deform_conv_backward_parameters',
    'deform_conv_forward',
    'get_compiler_version',
    'get_compiling_cuda_version',
    'masked_col2im_forward',
    'masked_im2col_forward',
    'modulated_deform_conv_backward',
    'modulated_deform_conv_forward',
    'ms_deform_attn_backward',
    'ms_deform_attn_forward',
    'nms',
    'nms_match',
    'psamask_backward',
    'psamask_forward',
    'roi_align_backward',
    'roi_align_forward',
    'roi_pool_backward',
    'roi_pool_forward',
    'sigmoid_focal_loss_backward',
    'sigmoid_focal_loss_forward',
    'softmax_focal_loss_backward',
    'softmax_focal_loss_forward',
    'softnms',
]

globals().update({name: refuse(name) for name in COMPILED_ONLY})
__all__ += COMPILED_ONLY
