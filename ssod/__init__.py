"""Soft Teacher, end-to-end semi-supervised object detection, as a plugin of MMDetection 2.28.

Importing the package makes mmcv-full 1.7 run on the installed PyTorch and registers every part with mmdet.
"""

import logging
import warnings

# Said at import by mmcv 1.7, by mmdet of what our test loader asks it to do, and by torch where there is a CUDA toolkit
# and no GPU: nothing a reader can act on.
warnings.filterwarnings('ignore', message='On January 1, 2023, MMCV will release')
warnings.filterwarnings('ignore', message='"ImageToTensor" pipeline is replaced')
logging.getLogger('torch.utils.cpp_extension').setLevel(logging.ERROR)

from ssod import compat  # noqa: E402

compat.patch_host()

from ssod import datasets, hooks, models  # noqa: E402  the host must be patched before its modules are used

__version__ = '0.1.0'
__all__ = ['compat', 'datasets', 'hooks', 'models', '__version__']
