"""What a person calls from Python: train, test, predict, label, compare, report."""

from ssod.core.errors import InputError
from ssod.core.prediction import Prediction

from .checks import check_config, check_datasets
from .comparison import compare
from .config import load_config
from .export import export_model
from .inference import detect, init_detector
from .labeling import label_images
from .new import new_dataset
from .predict import predict_images
from .predictor import Predictor, load_model
from .publishing import publish
from .test import test_detector
from .train import train_detector

__all__ = [
    'InputError',
    'Prediction',
    'Predictor',
    'check_config',
    'check_datasets',
    'compare',
    'detect',
    'export_model',
    'init_detector',
    'label_images',
    'load_config',
    'load_model',
    'new_dataset',
    'predict_images',
    'publish',
    'test_detector',
    'train_detector',
]
