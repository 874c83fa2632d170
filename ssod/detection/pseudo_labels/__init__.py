"""Pseudo boxes: which ones teach what, what background weighs, and how they move between views."""

from .background import (
    BackgroundSamples,
    PredictionDifference,
    PseudoBoxIoU,
    StudentBackgroundScore,
    TeacherBackgroundScore,
)
from .filters import JitterVarianceFilter, ScoreFilter
from .projection import project_boxes
from .spread import PredictionSpreadFilter
from .structure import LabeledView, PseudoLabels
from .thresholds import ClassThresholds, MixtureThresholdFilter, RankThresholdFilter, build_filter

__all__ = [
    'BackgroundSamples',
    'ClassThresholds',
    'JitterVarianceFilter',
    'LabeledView',
    'MixtureThresholdFilter',
    'PredictionDifference',
    'PredictionSpreadFilter',
    'PseudoBoxIoU',
    'PseudoLabels',
    'RankThresholdFilter',
    'ScoreFilter',
    'StudentBackgroundScore',
    'TeacherBackgroundScore',
    'build_filter',
    'project_boxes',
]
