"""A trained detector on single images."""

import copy
from pathlib import Path

import torch
from mmcv import Config
from mmcv.parallel import collate, scatter
from mmdet.datasets.pipelines import Compose
from torch import nn

from ssod.core.errors import InputError, building
from ssod.core.task import task_of

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


@torch.no_grad()
def detect(model: nn.Module, image: str) -> list:
    """Detections on one image file: for each class an (n, 5) array of xyxy, in pixels of the image, and score.

    Raises:
        InputError: the file cannot be read as an image.
    """
    pipeline = Compose(model.cfg.data.test.pipeline)
    try:
        data = pipeline(dict(img_info=dict(filename=image), img_prefix=None))
    except (OSError, AttributeError) as error:
        raise InputError(f'cannot read {image} as an image') from error
    device = next(model.parameters()).device
    data = scatter(collate([data], samples_per_gpu=1), [device.index or 0 if device.type == 'cuda' else -1])[0]
    return model(return_loss=False, rescale=True, **data)[0]
