from .self_training import SelfTraining
from .semi_base import SemiBaseDetector
from .soft_teacher import SoftTeacher

__all__ = ['SelfTraining', 'SemiBaseDetector', 'SoftTeacher']
