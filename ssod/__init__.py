"""Soft Teacher, end-to-end semi-supervised object detection, as a plugin of MMDetection 2.28.

Importing the package makes mmcv-full 1.7 run on the installed PyTorch and registers every part with mmdet.
"""

from ssod import compat

compat.patch_host()

from ssod import datasets, hooks, models  # noqa: E402  the host must be patched before its modules are used

__version__ = '0.1.0'
__all__ = ['compat', 'datasets', 'hooks', 'models', '__version__']
