"""Soft Teacher and what it is compared with, for MMDetection's detectors."""

from mmdet.models.builder import BACKBONES

from ssod.pretrained import TimmBackbone

from .base import SemiBaseDetector
from .data import PseudoLabelDataset
from .dense_teacher import DenseTeacher
from .hooks import PseudoBoxImageHook, PseudoBoxWarningHook
from .mean_teacher import MeanTeacher
from .pseudo_labels import (
    JitterVarianceFilter,
    MixtureThresholdFilter,
    PredictionDifference,
    PredictionSpreadFilter,
    PseudoBoxIoU,
    PseudoLabels,
    RankThresholdFilter,
    ScoreFilter,
    StudentBackgroundScore,
    TeacherBackgroundScore,
)
from .self_training import SelfTraining
from .soft_teacher import SoftTeacher
from .supervised import Supervised
from .swin import SwinBackbone
from .task import Detection

__all__ = [
    'DenseTeacher',
    'Detection',
    'JitterVarianceFilter',
    'MeanTeacher',
    'MixtureThresholdFilter',
    'PredictionDifference',
    'PredictionSpreadFilter',
    'PseudoBoxIoU',
    'PseudoBoxImageHook',
    'PseudoBoxWarningHook',
    'PseudoLabelDataset',
    'PseudoLabels',
    'RankThresholdFilter',
    'ScoreFilter',
    'SelfTraining',
    'SemiBaseDetector',
    'SoftTeacher',
    'StudentBackgroundScore',
    'Supervised',
    'SwinBackbone',
    'TeacherBackgroundScore',
]

BACKBONES.register_module(module=TimmBackbone)
