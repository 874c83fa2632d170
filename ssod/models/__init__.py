from .detectors import SemiBaseDetector, SoftTeacher
from .pseudo_labels import JitterVarianceFilter, PseudoLabels, ScoreFilter, TeacherBackgroundScore

__all__ = [
    'JitterVarianceFilter',
    'PseudoLabels',
    'ScoreFilter',
    'SemiBaseDetector',
    'SoftTeacher',
    'TeacherBackgroundScore',
]
