"""Pictures of boxes and masks as training sees them, and of the teacher's candidates on their way to the student."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ssod.core import Batch, in_order_of, view_to_view
from ssod.core.panels import Panel

from .finding import with_variance
from .hooks import ShowsPseudoBoxes, draw, unnormalized
from .pseudo_labels import LabeledView, PseudoLabels

VIEWS = dict(sup='labeled', unsup_teacher='weak', unsup_student='strong')
FILTERS = dict(
    rpn_filter='RPN', cls_filter='classification', reg_filter='regression', mask_filter='masks',
    pseudo_filter='score', spread_filter='spread',
)  # fmt: skip
KEPT, REJECTED = (60, 180, 60), (60, 60, 220)


def view_panels(
    batch: dict[str, Batch], steps: Sequence[tuple[str, dict]], classes: Sequence[str], palette: Any
) -> list[Panel]:
    """What each op leaves, then the views, with the labels that they carry.

    Args:
        batch: branches of one image, normalized.
        steps: of :class:`ssod.apis.browse.steps.Recorded`.
        classes: names.
        palette: not used: a class's color is MMDetection's.
    """
    panels = [step_panel(name, kept, classes) for name, kept in steps]
    for name, view in batch.items():
        labels = labels_of(view.get('gt_bboxes', [None])[0], view.get('gt_labels', [None])[0])
        meta = view['img_metas'][0]
        masks = None
        if view.get('gt_masks') is not None:
            height, width = meta['img_shape'][:2]
            masks = view['gt_masks'][0].to_ndarray()[:, :height, :width]
        shown = LabeledView(view['img'][0], meta, labels, masks)
        count = f', {len(labels)} boxes' if 'gt_bboxes' in view else ''
        panels.append(Panel(f'{VIEWS.get(name, name)} view{count}', draw(shown, classes)))
    return panels


def labels_of(bboxes: Tensor | None, labels: Tensor | None) -> PseudoLabels:
    """True boxes as labels of score 1; none where there are none."""
    if bboxes is None:
        return PseudoLabels(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0))
    return PseudoLabels(bboxes, labels, bboxes.new_ones(len(bboxes)))


def step_panel(name: str, kept: dict[str, Any], classes: Sequence[str]) -> Panel:
    """The image after an op, with its boxes and masks as they are then."""
    image = kept['img']
    norm = dict(mean=np.zeros(3, np.float32), std=np.ones(3, np.float32), to_rgb=False)
    meta = dict(img_norm_cfg=norm, img_shape=image.shape)
    has = 'gt_bboxes' in kept and 'gt_labels' in kept
    labels = labels_of(*(torch.as_tensor(kept[key]) for key in ('gt_bboxes', 'gt_labels')) if has else (None, None))
    masks = kept['gt_masks'].to_ndarray() if has and 'gt_masks' in kept else None
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float()
    branch = f'{VIEWS.get(kept["branch"], kept["branch"])}: ' if 'branch' in kept else ''
    return Panel(f'{branch}after {name}', draw(LabeledView(tensor, meta, labels, masks), classes))


@torch.no_grad()
def teacher_panels(model: nn.Module, batch: dict[str, Batch], palette: Any) -> list[Panel]:
    """The teacher's candidates by score and by variance, and in the strong view what each filter keeps of them.

    A method without candidates (self-training, Dense Teacher) shows the labels that its student learns from.
    """
    if not isinstance(model, ShowsPseudoBoxes):
        return []
    views = model.pseudo_label_views(batch.get('unsup_teacher'), batch['unsup_student'])
    names = ('the teacher finds', 'the student learns')[-len(views) :]
    panels = [
        Panel(f'{name}: {len(view.labels)}', draw(view, model.CLASSES)) for name, view in zip(names, views, strict=True)
    ]
    filters: dict[Any, str] = {}
    for name, what in FILTERS.items():
        if callable(keep := getattr(model, name, None)):  # one filter may be that of several branches
            filters[keep] = f'{filters[keep]}, {what}' if keep in filters else what
    if not filters:
        return panels
    if views[0].labels.masks is None:
        panels = panels[1:]  # the candidates follow, in colors
    strong = batch['unsup_student']
    weak = in_order_of(batch['unsup_teacher'], strong['img_metas'])
    candidates = with_variance(model, model.find_pseudo_labels(weak))
    panels.append(colored('candidates by score', weak, candidates, candidates.scores, model.CLASSES))
    if candidates.reg_variance is not None:
        said = [f'{value:.3f}' for value in candidates.reg_variance.tolist()]
        shade = 1 - (candidates.reg_variance / 0.1).clamp(max=1)
        panels.append(colored('candidates by variance', weak, candidates, shade, model.CLASSES, said))
    matrix = view_to_view(weak['img_metas'], strong['img_metas'], candidates.bboxes.device)[0]
    placed = candidates.project(matrix, strong['img_metas'][0]['img_shape'])
    return [*panels, *(filter_panel(what, keep, strong, candidates, placed) for keep, what in filters.items())]


def colored(
    title: str,
    view: Batch,
    labels: PseudoLabels,
    shade: Tensor,
    classes: Sequence[str],
    said: Sequence[str] | None = None,
) -> Panel:
    """A view with boxes from red (0) over yellow to green (1).

    Args:
        title: of the panel.
        view: of one image, normalized.
        labels: n boxes in its pixels.
        shade: (n,) in [0, 1].
        classes: names.
        said: n texts; None: class and score.
    """
    hue = (shade.cpu().clamp(0, 1) * 60).round().numpy().astype(np.uint8)
    hsv = np.stack([hue, np.full_like(hue, 255), np.full_like(hue, 220)], axis=-1)[None]
    colors = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0] if len(hue) else hsv[0]
    pairs = zip(labels.labels.tolist(), labels.scores.tolist(), strict=True)
    said = [f'{classes[label]} {score:.2f}' for label, score in pairs] if said is None else said
    return Panel(f'{title}: {len(labels)}', boxed(view, labels.bboxes, colors.tolist(), said))


def filter_panel(name: str, keep: Any, strong: Batch, candidates: PseudoLabels, placed: PseudoLabels) -> Panel:
    """The strong view with all candidates: green what a filter keeps, red what it rejects."""
    kept = keep(candidates).tolist()
    colors = [KEPT if own else REJECTED for own in kept]
    thr = f' (thr {keep.thr:g})' if isinstance(getattr(keep, 'thr', None), float) else ''
    title = f'{name} keeps {sum(kept)} of {len(kept)}{thr}'
    return Panel(title, boxed(strong, placed.bboxes, colors, [''] * len(kept)))


def boxed(view: Batch, bboxes: Tensor, colors: Sequence[Sequence[int]], said: Sequence[str]) -> np.ndarray:
    """A view with boxes in their colors and texts on them; a box without area in it is left out."""
    picture = np.ascontiguousarray(unnormalized(view['img'][0], view['img_metas'][0]))
    for box, color, text in zip(bboxes.round().int().tolist(), colors, said, strict=True):
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        cv2.rectangle(picture, box[:2], box[2:], tuple(map(int, color)), 1)
        if text:
            cv2.putText(picture, text, (box[0], max(box[1] - 2, 8)), cv2.FONT_HERSHEY_SIMPLEX, 0.33,
                        tuple(map(int, color)), 1, cv2.LINE_AA)  # fmt: skip
    return picture


def classes_of(dataset: Any, index: int) -> set[str]:
    """Names of the classes of an image's true boxes."""
    return {dataset.CLASSES[label] for label in dataset.get_ann_info(index)['labels'].tolist()}
