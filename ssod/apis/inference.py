"""A trained detector on images."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmcv import Config
from torch import nn

from ssod.core.errors import InputError, building
from ssod.core.task import task_of
from ssod.data.loader import test_batch, test_dataset_config
from ssod.data.reading import ImageLike, as_array, guard_pipeline

from .checks import check_checkpoint_classes
from .config import load_config
from .weights import read_checkpoint


def init_detector(
    config: str | Path | Config,
    checkpoint: str | None = None,
    device: str | None = None,
    cfg_options: dict | None = None,
    predict_on: str | None = None,
) -> nn.Module:
    """Build a config's detector with a checkpoint's weights, ready to detect.

    Args:
        config: the file, or what :func:`ssod.apis.load_config` made of it.
        checkpoint: None leaves the weights as they are drawn.
        device: 'cpu', 'cuda:0' ...; None is the GPU if there is one.
        cfg_options: settings to override, 'a.b' for nested ones.
        predict_on: 'student' or 'teacher' instead of what the config says; for a semi-supervised detector only.

    Raises:
        InputError: the config or the checkpoint cannot be read, the checkpoint does not fit the model, or
            ``predict_on`` is given for a plain detector.
    """
    if isinstance(config, Config):
        cfg = copy.deepcopy(config)
        cfg.merge_from_dict(cfg_options or {})
    else:
        cfg = load_config(str(config), cfg_options)
    with building('model'):
        task = task_of(cfg)
        model = task.build_model(cfg.model)
    loaded = {} if checkpoint is None else read_checkpoint(model, checkpoint, task.num_classes(model))
    model.CLASSES = loaded.get('meta', {}).get('CLASSES') or cfg.get('classes')
    check_checkpoint_classes(task.num_classes(model), model.CLASSES, str(checkpoint))
    if predict_on is not None:
        if not hasattr(model, 'predict_on'):
            raise InputError(f'{type(model).__name__} has no {predict_on}: it is a single detector')
        model.predict_on = predict_on
    model.cfg = cfg
    return model.to(device or ('cuda:0' if torch.cuda.is_available() else 'cpu')).eval()


def detect(model: nn.Module, image: ImageLike) -> Any:
    """What a model says of one image, in MMDetection's or MMSegmentation's format.

    :func:`ssod.apis.load_model` gives boxes, masks and label maps alike.

    Args:
        model: from :func:`init_detector`.
        image: see :func:`ssod.data.reading.as_array`.

    Returns:
        For each class an (n, 5) array of xyxy, in pixels of the image, and score; with masks a tuple of these and, for
        each class, n masks; of a segmentor the (H, W) label map.

    Raises:
        InputError: the image cannot be read.
    """
    return detect_batch(model, [read_image(test_pipeline(model), image)])[0]


def test_pipeline(model: nn.Module) -> Callable[[dict], dict]:
    """What a detector of :func:`init_detector` does to an image before it looks at it, in a batch or alone."""
    config = test_dataset_config(model.cfg.data.test, dict(test_samples_per_gpu=2))['pipeline']
    pipeline = task_of(model.cfg).compose(config)
    guard_pipeline(pipeline, model.cfg.data.get('max_image_pixels'))
    return pipeline


def read_image(pipeline: Callable[[dict], dict], image: ImageLike) -> dict:
    """An image as :func:`ssod.data.loader.test_batch` takes it.

    Raises:
        InputError: it cannot be read as an image.
    """
    if isinstance(image, (str, Path)):
        return pipeline(dict(img_info=dict(filename=str(image)), img_prefix=None))
    return pipeline(dict(img_info=dict(filename='array'), img_prefix=None, picture=as_array(image)))


@torch.no_grad()
def detect_batch(model: nn.Module, samples: list[dict]) -> list[Any]:
    """What a model says of images of any sizes, each as :func:`detect` gives it; they are padded to the largest.

    Args:
        model: from :func:`init_detector`.
        samples: from :func:`read_image`, one or more.
    """
    return model(return_loss=False, rescale=True, **test_batch(model, samples))
