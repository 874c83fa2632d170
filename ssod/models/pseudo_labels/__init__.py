from .background import TeacherBackgroundScore
from .filters import JitterVarianceFilter, ScoreFilter
from .projection import project_boxes, view_to_view
from .structure import PseudoLabels

__all__ = [
    'JitterVarianceFilter',
    'PseudoLabels',
    'ScoreFilter',
    'TeacherBackgroundScore',
    'project_boxes',
    'view_to_view',
]
