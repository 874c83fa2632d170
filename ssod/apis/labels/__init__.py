"""Labels that go out to people and other programs, and come back."""

from .importing import import_labels
from .label import label_folder
from .self_train import prepare_self_training

__all__ = ['import_labels', 'label_folder', 'prepare_self_training']
