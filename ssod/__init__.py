"""Semi-supervised training for MMDetection 2.28, Soft Teacher above all, as a plugin.

Importing the package registers its parts with MMDetection and mends what would crash on the installed PyTorch and
numpy; it changes nothing else of MMDetection or mmcv.
"""

from ssod.host import find_mmcv
from ssod.quiet import quiet_import

with quiet_import():
    find_mmcv()
    from ssod import compat

    compat.mend()  # before modules of MMDetection are used

    from ssod import apis, core, data, detection, hooks, pretrained

__version__ = '0.1.0'
__all__ = ['__version__', 'apis', 'compat', 'core', 'data', 'detection', 'hooks', 'pretrained']
