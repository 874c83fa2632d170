"""Semi-supervised semantic segmentation, for MMSegmentation's segmentors.

Importing the package registers its parts with MMSegmentation 0.30, which must be installed.
"""

from ssod.host import has_mmseg

if not has_mmseg():
    raise ImportError(
        'segmentation needs mmsegmentation 0.30.0 and prettytable: run `make install`, or '
        '`pip install --no-deps mmsegmentation==0.30.0 prettytable wcwidth`'
    )

from mmseg.models.builder import BACKBONES

from ssod.pretrained import TimmBackbone

from .base import SemiSegmentor, TeacherStudentSegmentor
from .cross_consistency import CrossConsistency
from .cross_pseudo import CrossPseudoSupervision
from .data import LabelMapDataset, PseudoMapDataset, UnionDataset, UnlabeledDataset
from .ohem import OHEMCrossEntropy
from .online import FixMatch, MeanTeacherSegmentor, UniMatch
from .simple_baseline import SimpleBaseline
from .supervised import SelfTrainingSegmentor, SupervisedSegmentor
from .task import Segmentation

__all__ = [
    'CrossConsistency',
    'CrossPseudoSupervision',
    'FixMatch',
    'OHEMCrossEntropy',
    'MeanTeacherSegmentor',
    'UniMatch',
    'LabelMapDataset',
    'PseudoMapDataset',
    'Segmentation',
    'SelfTrainingSegmentor',
    'SemiSegmentor',
    'SimpleBaseline',
    'SupervisedSegmentor',
    'TeacherStudentSegmentor',
    'UnionDataset',
    'UnlabeledDataset',
]

BACKBONES.register_module(module=TimmBackbone)
