from .amp import AmpOptimizerHook
from .evaluation import SemiEvalHook
from .mean_teacher import MeanTeacherHook
from .optimizer import ReleasingOptimizerHook
from .seeding import SeedHook
from .stop import StopSignalHook
from .sync_buffers import SyncBuffersEachIterHook
from .unsup_weight import UnsupWeightHook

__all__ = [
    'AmpOptimizerHook',
    'MeanTeacherHook',
    'ReleasingOptimizerHook',
    'SeedHook',
    'SemiEvalHook',
    'StopSignalHook',
    'SyncBuffersEachIterHook',
    'UnsupWeightHook',
]
