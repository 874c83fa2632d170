"""What happens around the iterations of a training."""

from .amp import AmpOptimizerHook, autocast_for_test, build_optimizer_hook
from .autocast import autocast_networks
from .best import Best
from .broken_images import BrokenImagesHook
from .collapse import TeacherCollapseHook
from .evaluation import SemiEvalHook
from .mean_teacher import MeanTeacherHook
from .optimizer import ReleasingOptimizerHook
from .progress import ProgressHook
from .seeding import SeedHook
from .step_shares import StepSharesHook
from .stop import StopSignalHook
from .sync_buffers import SyncBuffersEachIterHook
from .unsup_weight import UnsupWeightHook

__all__ = [
    'AmpOptimizerHook',
    'Best',
    'BrokenImagesHook',
    'MeanTeacherHook',
    'ProgressHook',
    'ReleasingOptimizerHook',
    'SeedHook',
    'SemiEvalHook',
    'StepSharesHook',
    'StopSignalHook',
    'SyncBuffersEachIterHook',
    'TeacherCollapseHook',
    'UnsupWeightHook',
    'autocast_for_test',
    'autocast_networks',
    'build_optimizer_hook',
]
