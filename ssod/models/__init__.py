from .detectors import SelfTraining, SemiBaseDetector, SoftTeacher
from .frozen_batchnorm import fold_frozen_batchnorm
from .preprocessing import normalize_images, normalize_inputs, normalized
from .pseudo_labels import (
    JitterVarianceFilter,
    PredictionDifference,
    PseudoBoxIoU,
    PseudoLabels,
    ScoreFilter,
    StudentBackgroundScore,
    TeacherBackgroundScore,
)
from .roi_extractors import SingleRoIExtractor
from .rpn_head import RPNHead

__all__ = [
    'JitterVarianceFilter',
    'PredictionDifference',
    'PseudoBoxIoU',
    'PseudoLabels',
    'RPNHead',
    'ScoreFilter',
    'SelfTraining',
    'SemiBaseDetector',
    'SingleRoIExtractor',
    'SoftTeacher',
    'StudentBackgroundScore',
    'TeacherBackgroundScore',
    'fold_frozen_batchnorm',
    'normalize_images',
    'normalize_inputs',
    'normalized',
]
