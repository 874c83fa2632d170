from .detectors import SemiBaseDetector, SoftTeacher
from .pseudo_labels import (
    JitterVarianceFilter,
    PredictionDifference,
    PseudoBoxIoU,
    PseudoLabels,
    ScoreFilter,
    StudentBackgroundScore,
    TeacherBackgroundScore,
)

__all__ = [
    'JitterVarianceFilter',
    'PredictionDifference',
    'PseudoBoxIoU',
    'PseudoLabels',
    'ScoreFilter',
    'SemiBaseDetector',
    'SoftTeacher',
    'StudentBackgroundScore',
    'TeacherBackgroundScore',
]
