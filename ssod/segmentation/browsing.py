"""Pictures of label maps as training sees them, and of what the teacher makes of the weak view."""

from collections.abc import Sequence
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from torch import Tensor, nn

from ssod.core import Batch, in_order_of
from ssod.core.panels import Panel

from .maps import IGNORE
from .online import Target
from .pictures import colored, colors_of

VIEWS = dict(sup='labeled', unsup_teacher='weak', unsup_student='strong', unsup_student_2='second strong')


def view_panels(
    batch: dict[str, Batch], steps: Sequence[tuple[str, dict]], classes: Sequence[str], palette: Any
) -> list[Panel]:
    """What each op leaves, then the views, each under the label map that it carries.

    Args:
        batch: branches of one image, normalized.
        steps: of :class:`ssod.apis.browse.steps.Recorded`.
        classes: names.
        palette: their colors, or None.
    """
    colors, panels = colors_of(palette, classes), []
    for name, kept in steps:
        branch = f'{VIEWS.get(kept["branch"], kept["branch"])}: ' if 'branch' in kept else ''
        panels.append(Panel(f'{branch}after {name}', painted(kept['img'], kept.get('gt_semantic_seg'), colors)))
    for name, view in batch.items():
        labels = view['gt_semantic_seg'][0, 0].numpy() if 'gt_semantic_seg' in view else None
        panels.append(Panel(f'{VIEWS.get(name, name)} view', painted(picture_of(view), labels, colors)))
    return panels


def picture_of(view: Batch) -> np.ndarray:
    """A view's image without normalization and padding, BGR uint8 (h, w, 3)."""
    meta = view['img_metas'][0]
    norm = {**meta['img_norm_cfg']}
    to_bgr = norm.pop('to_rgb')
    height, width = meta['img_shape'][:2]
    picture = mmcv.imdenormalize(view['img'][0].numpy().transpose(1, 2, 0), to_bgr=to_bgr, **norm)
    return np.clip(picture, 0, 255).astype(np.uint8)[:height, :width]


def painted(picture: np.ndarray, labels: np.ndarray | None, colors: np.ndarray) -> np.ndarray:
    """An image (h, w, 3) half under the colors of a label map, which may be larger; white where it is ignored."""
    if labels is None:
        return picture
    labels = labels[: picture.shape[0], : picture.shape[1]].astype(np.uint8)
    return (0.5 * picture + 0.5 * colored(labels, colors)[..., ::-1]).round().astype(np.uint8)


@torch.no_grad()
def teacher_panels(model: nn.Module, batch: dict[str, Batch], palette: Any) -> list[Panel]:
    """What the method finds on the unlabeled image, by its own acts: labels, how sure they are, and what is kept.

    Methods whose labels come with the images (Simple Baseline) or are no maps (CCT) show nothing more.
    """
    student = batch['unsup_student']
    weak = batch.get('unsup_teacher')
    weak = student if weak is None else in_order_of(weak, student['img_metas'])
    labels = (
        model.project_pseudo_labels(found, student) if (found := model.find_pseudo_labels(weak)) is not None else None
    )
    colors = colors_of(palette, model.CLASSES)
    picture = picture_of(student)
    if isinstance(labels, dict):  # of two networks
        return [
            Panel(f'labels of the {name}', painted(picture, own[0].numpy(), colors)) for name, own in labels.items()
        ]
    if isinstance(labels, Tensor) and labels.dim() == 4:  # logits
        confidence, best = labels.softmax(dim=1).max(dim=1)
        labels = Target(best, confidence)
    if not isinstance(labels, Target):
        return []
    best, confidence = labels.labels[0].numpy(), labels.confidence[0].numpy()
    heat = cv2.applyColorMap((255 * confidence).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    heat = heat[: picture.shape[0], : picture.shape[1]]
    panels = [
        Panel('the teacher finds', painted(picture, best, colors)),
        Panel(f'confidence, mean {confidence.mean():.2f}', heat),
    ]
    threshold = getattr(model.semi_train_cfg, 'threshold', None)
    if threshold is not None:
        kept = np.where(confidence >= threshold, best, IGNORE)
        share = 100 * float((confidence >= threshold).mean())
        panels.append(Panel(f'kept: {share:.0f} % (thr {threshold:g})', painted(picture, kept, colors)))
    return panels


def classes_of(dataset: Any, index: int) -> set[str]:
    """Names of the classes in an image's label map."""
    labels = np.unique(dataset.get_gt_seg_map_by_idx(index))
    return {dataset.CLASSES[number] for number in labels.tolist() if number < len(dataset.CLASSES)}
