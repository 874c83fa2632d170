"""Semi-supervised training for MMDetection 2.28 and MMSegmentation 0.30, as a plugin.

Importing the package registers its parts with both (with MMSegmentation where it is installed) and mends what would
crash on the installed PyTorch and numpy; it changes nothing else of them or of mmcv.
"""

from ssod.host import find_mmcv, has_mmseg
from ssod.quiet import quiet_import

with quiet_import():
    find_mmcv()
    from ssod import compat

    compat.mend()  # before modules of MMDetection are used

    from ssod import apis, core, data, detection, hooks, pretrained

    if has_mmseg():
        from ssod import segmentation  # noqa: F401  registers its parts; without MMSegmentation there is detection alone

__version__ = '0.1.0'
__all__ = ['__version__', 'apis', 'compat', 'core', 'data', 'detection', 'hooks', 'pretrained']
