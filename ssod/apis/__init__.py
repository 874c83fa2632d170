from ssod.core.errors import InputError

from .checks import check_config, check_datasets
from .config import load_config
from .inference import detect, init_detector
from .new import new_dataset
from .test import test_detector
from .train import train_detector

__all__ = [
    'InputError',
    'check_config',
    'check_datasets',
    'detect',
    'init_detector',
    'load_config',
    'new_dataset',
    'test_detector',
    'train_detector',
]
