"""Teacher-student training of anything: two models of one architecture, and what passes between their views."""

from .ema import EMA
from .measures import LabelQuality, Measures
from .model import SemiModel, SemiTrainCfg
from .self_training import SelfTrainingModel
from .settings import check_choice, check_share, parse_settings
from .supervised import SupervisedModel
from .task import Task, task_of
from .teacher_student import TeacherStudent
from .views import Batch, in_order_of, view_to_view

__all__ = [
    'EMA',
    'Batch',
    'LabelQuality',
    'Measures',
    'SelfTrainingModel',
    'SemiModel',
    'SemiTrainCfg',
    'SupervisedModel',
    'Task',
    'TeacherStudent',
    'check_choice',
    'check_share',
    'in_order_of',
    'parse_settings',
    'task_of',
    'view_to_view',
]
