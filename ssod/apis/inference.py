"""A trained detector on single images."""

import torch
from mmcv import Config
from mmcv.parallel import collate, scatter
from mmcv.runner import load_checkpoint
from mmdet.datasets.pipelines import Compose
from torch import nn

from ssod.core.errors import InputError, building
from ssod.core.task import task_of

from .checks import check_checkpoint_classes, reading_checkpoint


def init_detector(cfg: Config, checkpoint: str, device: str = 'cpu', predict_on: str | None = None) -> nn.Module:
    """Build the config's detector with a checkpoint's weights, ready to detect.

    Args:
        predict_on: 'student' or 'teacher' instead of what the config says; for a semi-supervised detector only.

    Raises:
        InputError: the checkpoint cannot be read, holds other classes, or ``predict_on`` is given for a plain detector.
    """
    with building('model'):
        task = task_of(cfg)
        model = task.build_model(cfg.model)
    loaded = read_checkpoint(model, checkpoint)
    model.CLASSES = loaded.get('meta', {}).get('CLASSES') or cfg.get('classes')
    check_checkpoint_classes(task.num_classes(model), model.CLASSES, checkpoint)
    if predict_on is not None:
        if not hasattr(model, 'predict_on'):
            raise InputError(f'{type(model).__name__} has no {predict_on}: it is a single detector')
        model.predict_on = predict_on
    model.cfg = cfg
    return model.to(device).eval()


def read_checkpoint(model: nn.Module, checkpoint: str) -> dict:
    """Load a checkpoint's weights into ``model`` and return the checkpoint.

    Raises:
        InputError: no such file, or not a checkpoint.
    """
    with reading_checkpoint(checkpoint):
        return load_checkpoint(model, checkpoint, map_location='cpu')


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
