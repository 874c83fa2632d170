"""What is taught, for people to see: pictures of pseudo boxes, and a warning when there are none."""

import os.path as osp
from typing import Protocol, runtime_checkable

import mmcv
import numpy as np
import torch
from mmcv.parallel import is_module_wrapper
from mmcv.runner import HOOKS, Hook, master_only
from mmdet.core.visualization import imshow_det_bboxes
from torch import Tensor

from ssod.core import Batch
from ssod.core.errors import InputError
from ssod.hooks.collapse import opened_batch
from ssod.hooks.loggers import Tracker

from .pseudo_labels import LabeledView
from .pseudo_labels.masks import paste_masks


@runtime_checkable
class ShowsPseudoBoxes(Protocol):
    """What a model offers to these hooks; it also logs ``num_pseudo_cls``, the pseudo boxes per image."""

    def pseudo_label_views(self, unsup_teacher: Batch | None, unsup_student: Batch) -> list[LabeledView]:
        """The views of the first unlabeled image with their pseudo boxes."""

    def why_no_pseudo_boxes(self, max_score: float) -> str:
        """Cause and advice, in a sentence, for a run without pseudo boxes whose highest score was ``max_score``."""


# Branches beside classification that may have a filter of their own, by the name of its setting.
FILTERED = dict(reg='regression', mask='mask')


class PseudoBoxHook(Hook):
    """Base of the hooks that look at pseudo boxes: refuses a model that has none, before the first iteration."""

    needs_unlabeled = True  # a supervised baseline leaves it out

    @staticmethod
    def model_of(runner) -> ShowsPseudoBoxes:
        """The model that is trained, without its wrapper."""
        return runner.model.module if is_module_wrapper(runner.model) else runner.model

    def before_run(self, runner) -> None:
        """Look at the model.

        Raises:
            InputError: the model shows no pseudo boxes.
        """
        model = self.model_of(runner)
        if not isinstance(model, ShowsPseudoBoxes):
            name = type(self).__name__
            raise InputError(f'{type(model).__name__} shows no pseudo boxes: remove {name} from custom_hooks')


@HOOKS.register_module()
class PseudoBoxWarningHook(PseudoBoxHook):
    """Warns when no pseudo box has reached a branch of the student for ``patience`` iterations, and names the cause.

    Of a branch with a filter of its own it speaks when the classification branch has boxes: that filter rejects them.
    Of a burn-in, while the unsupervised loss is switched off, it says once that it lasts.

    Args:
        patience: iterations.
    """

    iteration_settings = ('patience',)

    def __init__(self, patience: int = 1000) -> None:
        self.patience = patience
        self.without = self.burning = 0
        self.without_of = dict.fromkeys(FILTERED, 0)
        self.highest = 0.0

    def after_train_iter(self, runner) -> None:
        """Count, and warn once every ``patience`` iterations."""
        model, values = self.model_of(runner), runner.outputs['log_vars']
        if model.unsup_weight == 0:
            self.without, self.without_of, self.highest = 0, dict.fromkeys(FILTERED, 0), 0.0
            self._say_burn_in(runner)
            return
        if values['num_pseudo_cls'] > 0:
            self.without, self.highest = 0, 0.0
            for branch, count in self.without_of.items():
                self.without_of[branch] = 0 if values.get(f'num_pseudo_{branch}', 1) > 0 else count + 1
        else:
            self.without += 1
            self.highest = max(self.highest, values.get('teacher_max_score', 0.0))
        if self.without and self.without % self.patience == 0:
            why = model.why_no_pseudo_boxes(self.highest)
            runner.logger.warning(f'no pseudo box has passed for {self.without} iterations: {why}')
        elif not self.without:
            self._say_which_branch(runner, model)

    def _say_which_branch(self, runner, model: ShowsPseudoBoxes) -> None:
        for branch, count in self.without_of.items():
            if count and count % self.patience == 0 and (why := model.why_no_boxes_of(branch, self.highest)):
                runner.logger.warning(
                    f'no pseudo box has reached the {FILTERED[branch]} branch in {count} iterations with boxes: {why}'
                )

    def _say_burn_in(self, runner) -> None:
        self.burning += 1
        if self.burning == self.patience:
            runner.logger.info(
                'no pseudo boxes yet, the burn-in lasts: the weight of the unlabeled images is 0 '
                '(UnsupWeightHook.burn_in in custom_hooks)'
            )


@HOOKS.register_module()
class PseudoBoxImageHook(PseudoBoxHook):
    """Every ``interval`` iterations draws the views of one unlabeled image with the pseudo boxes on them.

    The picture goes to ``WORK_DIR/pseudo_boxes/iter_N.jpg`` and to those of TensorBoard, W&B and MLflow that log.
    Of Soft Teacher: the weak view with all candidates, beside it the strong view with the classification branch's
    pseudo boxes. Of self-training: the strong view with the boxes of the file.

    Args:
        interval: iterations.
    """

    iteration_settings = ('interval',)

    def __init__(self, interval: int = 500) -> None:
        self.interval = interval

    @master_only
    def after_train_iter(self, runner) -> None:
        """Draw and log."""
        if not self.every_n_iters(runner, self.interval) or 'unsup_student' not in runner.data_batch:
            return
        picture = draw_pseudo_boxes(self.model_of(runner), opened_batch(runner))
        mmcv.imwrite(picture, osp.join(runner.work_dir, 'pseudo_boxes', f'iter_{runner.iter + 1}.jpg'))
        rgb = np.ascontiguousarray(picture[..., ::-1])
        for hook in runner.hooks:
            if isinstance(hook, Tracker):
                hook.show('pseudo_boxes', rgb, runner.iter + 1)


@torch.no_grad()
def draw_pseudo_boxes(model: ShowsPseudoBoxes, batch: dict[str, Batch]) -> np.ndarray:
    """The first unlabeled image of a batch, its views side by side with their pseudo boxes: BGR uint8 (H, W, 3)."""
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == 'cuda' else []):  # looking must not change what a run draws
        views = model.pseudo_label_views(batch.get('unsup_teacher'), batch['unsup_student'])
    pictures = [draw(view, model.CLASSES) for view in views]
    height = max(picture.shape[0] for picture in pictures)
    return np.concatenate([mmcv.impad(picture, shape=(height, picture.shape[1])) for picture in pictures], axis=1)


def draw(view: LabeledView, class_names: tuple[str, ...]) -> np.ndarray:
    """One view, without normalization and padding, with its boxes and masks: BGR uint8 (h, w, 3).

    Args:
        view: with ``img_norm_cfg`` and ``img_shape`` in its meta.
        class_names: by label.
    """
    picture = unnormalized(view.img, view.img_meta)
    boxes = torch.cat([view.labels.bboxes, view.labels.scores[:, None]], dim=1).cpu().numpy()
    labels, masks = view.labels.labels.cpu().numpy(), view.masks
    if masks is None and view.labels.masks is not None:
        masks = paste_masks(view.labels, view.img_meta['img_shape']).cpu().numpy()
    return imshow_det_bboxes(
        picture, boxes, labels, masks, class_names=class_names, show=False, font_size=8, thickness=1
    )


def unnormalized(img: Tensor, img_meta: dict) -> np.ndarray:
    """A view's (3, H, W) image without normalization and padding: BGR uint8 (h, w, 3)."""
    norm = {**img_meta['img_norm_cfg']}
    to_bgr = norm.pop('to_rgb')
    height, width = img_meta['img_shape'][:2]
    picture = mmcv.imdenormalize(img.cpu().numpy().transpose(1, 2, 0), to_bgr=to_bgr, **norm)
    return np.clip(picture, 0, 255).astype(np.uint8)[:height, :width]
