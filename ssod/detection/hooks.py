"""What the teacher teaches, for people to see: pictures of pseudo boxes, and a warning when there are none."""

import os.path as osp
from typing import Any

import mmcv
import numpy as np
import torch
from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, Hook, LoggerHook, TensorboardLoggerHook, WandbLoggerHook, master_only
from mmdet.core.visualization import imshow_det_bboxes
from torch import nn

from ssod.core import in_order_of
from ssod.data import normalized

from .pseudo_labels import PseudoLabels


@HOOKS.register_module()
class PseudoBoxWarningHook(Hook):
    """Warns when no pseudo box has passed the classification branch's filter for ``patience`` iterations.

    Silent while the unsupervised loss is switched off (a burn-in).
    """

    def __init__(self, patience: int = 1000) -> None:
        self.patience = patience
        self.without = 0
        self.highest = 0.0

    def after_train_iter(self, runner) -> None:
        """Count, and warn once every ``patience`` iterations."""
        model = runner.model.module if is_module_wrapper(runner.model) else runner.model
        values = runner.outputs['log_vars']
        if model.unsup_weight == 0 or values['num_pseudo_cls'] > 0:
            self.without, self.highest = 0, 0.0
            return
        self.without += 1
        self.highest = max(self.highest, values['teacher_max_score'])
        if self.without % self.patience == 0:
            runner.logger.warning(
                f'no pseudo box has passed cls_filter for {self.without} iterations; the highest teacher score seen '
                f'is {self.highest:.2f}: train longer, start from a trained detector (load_from), or lower the '
                f'threshold in semi_train_cfg.cls_filter'
            )


@HOOKS.register_module()
class PseudoBoxImageHook(Hook):
    """Every ``interval`` iterations draws one unlabelled image: the teacher's candidates and what the student gets.

    The picture goes to ``WORK_DIR/pseudo_boxes/iter_N.jpg`` and to TensorBoard and W&B if they are among the loggers.
    Left: the weak view with all candidates. Right: the strong view with the classification branch's pseudo boxes.
    """

    def __init__(self, interval: int = 500) -> None:
        self.interval = interval

    @master_only
    def after_train_iter(self, runner) -> None:
        """Draw and log."""
        model = runner.model.module if is_module_wrapper(runner.model) else runner.model
        if not self.every_n_iters(runner, self.interval) or 'unsup_student' not in runner.data_batch:
            return
        data = runner.model.scatter((), runner.data_batch, getattr(runner.model, 'device_ids', None) or [-1])[1][0]
        picture = draw_pseudo_boxes(model, normalized(data['unsup_teacher']), normalized(data['unsup_student']))
        mmcv.imwrite(picture, osp.join(runner.work_dir, 'pseudo_boxes', f'iter_{runner.iter + 1}.jpg'))
        for hook in runner.hooks:
            if isinstance(hook, LoggerHook):
                log_picture(hook, picture, runner.iter + 1)


def log_picture(hook: LoggerHook, picture: np.ndarray, step: int) -> None:
    """Hand a BGR uint8 (H, W, 3) picture to a logger that takes pictures."""
    rgb = np.ascontiguousarray(picture[..., ::-1])
    if isinstance(hook, TensorboardLoggerHook):
        hook.writer.add_image('pseudo_boxes', rgb, step, dataformats='HWC')
    elif isinstance(hook, WandbLoggerHook):
        hook.wandb.log({'pseudo_boxes': hook.wandb.Image(rgb)}, step=step, commit=False)


@torch.no_grad()
def draw_pseudo_boxes(model: nn.Module, teacher_batch: dict[str, Any], student_batch: dict[str, Any]) -> np.ndarray:
    """The first image of the batch, weak and strong view side by side, as a BGR uint8 (H, W, 3) picture."""
    teacher_batch = in_order_of(teacher_batch, student_batch['img_metas'])
    first = [
        {**batch, 'img': batch['img'][:1], 'img_metas': batch['img_metas'][:1]}
        for batch in (teacher_batch, student_batch)
    ]
    device = student_batch['img'].device
    with torch.random.fork_rng([device] if device.type == 'cuda' else []):  # looking must not change what a run draws
        found = model.find_pseudo_labels(first[0])
    labels = model.project_pseudo_labels(found, first[1])
    views = [
        draw(batch['img'][0], batch['img_metas'][0], own[0], model.CLASSES)
        for batch, own in zip(first, (found.candidates, labels.cls), strict=True)
    ]
    height = max(view.shape[0] for view in views)
    return np.concatenate([mmcv.impad(view, shape=(height, view.shape[1])) for view in views], axis=1)


def draw(img: torch.Tensor, meta: dict, labels: PseudoLabels, class_names: tuple[str, ...]) -> np.ndarray:
    """One view, denormalised and without its padding, with its boxes: BGR uint8 (h, w, 3)."""
    norm = {**meta['img_norm_cfg']}
    to_bgr = norm.pop('to_rgb')
    height, width = meta['img_shape'][:2]
    picture = mmcv.imdenormalize(img.cpu().numpy().transpose(1, 2, 0), to_bgr=to_bgr, **norm)
    picture = np.clip(picture, 0, 255).astype(np.uint8)[:height, :width]
    boxes = torch.cat([labels.bboxes, labels.scores[:, None]], dim=1).cpu().numpy()
    return imshow_det_bboxes(
        picture, boxes, labels.labels.cpu().numpy(), class_names=class_names, show=False, font_size=8, thickness=1
    )
