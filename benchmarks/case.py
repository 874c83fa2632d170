"""What all contestants of one benchmark share: settings, weights and images, in a folder.

    case.json                      the benchmark's settings; the config's model and optimizer
    weights.pth                    state dict of the detector: of student and teacher alike
    batch.pth                      sup, unsup_teacher, unsup_student: img (B, 3, H, W) normalized, matrices (B, 3, 3)
                                   original -> view, and for sup gt_bboxes, gt_labels
    labeled.json, unlabeled.json   the images that a loader reads, in COCO's format
    train_set.pkl                  the config's training set of them

No trained weights are needed: FPN and box head are set so that proposals come from all levels, and so that the teacher
finds a given number of candidates.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import cv2
import torch
from mmcv import Config
from mmdet.core import bbox2roi
from mmdet.models import build_detector
from torch import Tensor, nn

from ssod.core import Batch
from ssod.detection import SoftTeacher
from ssod.detection.checks import num_classes_of
from ssod.detection.heads import RoIOutputs

FILTERS = dict(rpn_filter='ScoreFilter', cls_filter='ScoreFilter', reg_filter='JitterVarianceFilter')
LOGIT_SPREAD = 4.0  # of a proposal's class logits: clear winners, as of a trained head
DELTA_SPREAD = 0.5  # of its raw deltas: some candidates pass the variance filter and some do not


def write_case(folder: Path, cfg: Config, settings: dict) -> None:
    """Write ``case.json``, weights and batch.

    Args:
        folder: an existing folder.
        cfg: a Soft Teacher config.
        settings: ``images`` (labeled, unlabeled), ``size`` (h, w) of every view, ``candidates`` per image, ``seed``
            and what the contestants need; all of it goes to ``case.json``.

    Raises:
        ValueError: the config leaves a filter out or has another kind of it, which the peers do not know.
    """
    filters = cfg.model.get('semi_train_cfg', {})
    for name, kind in FILTERS.items():
        if not isinstance(filters.get(name), dict) or filters[name]['type'] != kind:
            raise ValueError(f'a config whose semi_train_cfg has {name}=dict(type={kind!r}, thr=...) is needed')
    torch.manual_seed(settings['seed'])
    cfg.model.detector.backbone.update(init_cfg=None, zero_init_residual=False)
    model = build_detector(deepcopy(cfg.model))  # MMDetection writes into it
    model.student._dump_init_info = lambda logger_name: None  # mmcv would log a paragraph for each parameter
    model.init_weights()
    batch = make_batch(*settings['images'], tuple(settings['size']), num_classes_of(model))
    if settings['kind'] in ('step', 'inference'):
        equalize_levels(model.student, batch['unsup_teacher']['img'])
        set_candidates(model, batch['unsup_teacher'], settings['candidates'])
        set_thresholds(model, batch['unsup_teacher'], cfg.model.semi_train_cfg)
    torch.save(model.student.state_dict(), folder / 'weights.pth')
    torch.save(batch, folder / 'batch.pth')
    case = dict(**settings, model=cfg.model.to_dict(), optimizer=cfg.optimizer.to_dict())
    case['accelerate'] = cfg.get('accelerate', True)
    case['channels_last'] = cfg.get('channels_last', False)
    (folder / 'case.json').write_text(json.dumps(case, indent=1))


def write_photos(folder: Path, photos: str | None, size: tuple[int, int], classes: Sequence[str]) -> None:
    """Write ``labeled.json`` and ``unlabeled.json``, in COCO's format.

    Args:
        folder: an existing folder.
        photos: a folder of JPEG files to use, one in five as labeled; None: 40 are generated.
        size: (h, w) of the generated ones.
        classes: names of the classes; each labeled image gets a box of one of them.
    """
    files = sorted(Path(photos).glob('*.jpg')) if photos else []
    if photos and len(files) < 5:
        raise ValueError(
            f'--photos {photos}: a loader needs 5 JPEG files (*.jpg) at least, this folder has {len(files)}'
        )
    for i, image in enumerate([] if photos else make_images(40, size)):
        files.append(folder / f'{i}.jpg')
        cv2.imwrite(str(files[-1]), (image.permute(1, 2, 0) + 128).clamp(0, 255).byte().numpy())
    categories = [dict(id=k, name=name) for k, name in enumerate(classes)]
    for name, chosen in (('labeled', files[::5]), ('unlabeled', [file for i, file in enumerate(files) if i % 5])):
        images, annotations = [], []
        for i, file in enumerate(chosen):
            height, width = cv2.imread(str(file)).shape[:2]
            images.append(dict(id=i, file_name=str(file.resolve()), height=height, width=width))
            box = [width / 4, height / 4, width / 2, height / 2]
            annotations.append(
                dict(id=i + 1, image_id=i, category_id=i % len(classes), bbox=box, area=box[2] * box[3], iscrowd=0)
            )
        content = dict(images=images, annotations=annotations, categories=categories)
        (folder / f'{name}.json').write_text(json.dumps(content))


def make_batch(num_labeled: int, num_unlabeled: int, size: tuple[int, int], num_classes: int) -> dict[str, Batch]:
    """Smooth noise as images, a few boxes on the labeled ones; the strong view is the weak one, mirrored."""
    height, width = size
    weak = make_images(num_unlabeled, size)
    mirror = torch.tensor([[-1.0, 0, width], [0, 1, 0], [0, 0, 1]])
    corners = torch.rand(num_labeled, 7, 2) * torch.tensor([width, height]) * 0.6
    sides = (0.1 + 0.3 * torch.rand(num_labeled, 7, 2)) * torch.tensor([width, height])
    return dict(
        sup=dict(
            img=make_images(num_labeled, size),
            matrices=torch.eye(3).expand(num_labeled, 3, 3),
            gt_bboxes=list(torch.cat([corners, corners + sides], dim=-1)),
            gt_labels=list(torch.randint(num_classes, (num_labeled, 7))),
        ),
        unsup_teacher=dict(img=weak, matrices=torch.eye(3).expand(num_unlabeled, 3, 3)),
        unsup_student=dict(img=weak.flip(-1), matrices=mirror.expand(num_unlabeled, 3, 3)),
    )


def make_images(number: int, size: tuple[int, int]) -> Tensor:
    """(number, 3, H, W) float32, as normalized images: blobs of several sizes and a little noise."""
    images = 10 * torch.randn(number, 3, *size)
    for cell in (8, 32, 96):
        coarse = torch.randn(number, 3, max(size[0] // cell, 2), max(size[1] // cell, 2))
        images += 30 * nn.functional.interpolate(coarse, size=size, mode='bicubic')
    return images


@torch.no_grad()
def equalize_levels(detector: nn.Module, images: Tensor) -> None:
    """Scale the last convolutions of the FPN so that all levels spread alike, as trained ones roughly do.

    Otherwise one level would give all proposals, and RoIs of one size cost what no training's do.
    """
    for conv, level in zip(detector.neck.fpn_convs, detector.extract_feat(images), strict=False):
        conv.conv.weight /= level.std()


@torch.no_grad()
def set_candidates(model: SoftTeacher, batch: Batch, per_image: int) -> None:
    """Set the box heads' last layers so that the teacher finds ``per_image`` candidates on average.

    The logits are centered and spread over the batch's own proposals; then the background's bias is bisected.
    """
    model.teacher.load_state_dict(model.student.state_dict())
    teacher, metas = model.teacher, image_metas(batch)
    head = teacher.roi_head.bbox_head
    feats = teacher.extract_feat(batch['img'])
    proposal_cfg = teacher.train_cfg.rpn_proposal
    proposals = teacher.rpn_head.get_bboxes(*teacher.rpn_head(feats), img_metas=metas, cfg=proposal_cfg)
    rois = bbox2roi(proposals)
    raw = teacher.roi_head._bbox_forward(feats, rois)
    outputs = {}
    for name, layer, wanted in (('cls_score', head.fc_cls, LOGIT_SPREAD), ('bbox_pred', head.fc_reg, DELTA_SPREAD)):
        gain, mean = wanted / raw[name].std(dim=0), raw[name].mean(dim=0)
        layer.weight.mul_(gain[:, None])
        layer.bias.copy_((layer.bias - mean) * gain)
        outputs[name] = (raw[name] - mean) * gain
    sizes = [len(boxes) for boxes in proposals]
    per_image_outputs = [rois.split(sizes), outputs['cls_score'].split(sizes), outputs['bbox_pred'].split(sizes)]
    low, high = -20.0, 40.0
    for _ in range(16):
        bias = (low + high) / 2
        found = 0
        for image_rois, logits, deltas, meta in zip(*per_image_outputs, metas, strict=True):
            logits = torch.cat([logits[:, :-1], logits[:, -1:] + bias], dim=1)
            found += len(model.keep_candidates(image_rois, RoIOutputs(logits, deltas), meta))
        low, high = (bias, high) if found > per_image * len(metas) else (low, bias)
    head.fc_cls.bias[-1] += high
    model.student.load_state_dict(teacher.state_dict())


def set_thresholds(model: SoftTeacher, batch: Batch, semi_train_cfg: dict) -> None:
    """Set the filters' thresholds, in the config, to the medians: half of the candidates then teach each branch."""
    found = model.find_pseudo_labels(dict(img=batch['img'], img_metas=image_metas(batch)))
    scores = torch.cat([labels.scores for labels in found.candidates])
    variances = torch.cat([labels.reg_variance for labels in found.candidates])
    if len(scores) > 1:
        semi_train_cfg.rpn_filter.thr = semi_train_cfg.cls_filter.thr = middle(scores)
        semi_train_cfg.reg_filter.thr = middle(variances)


def middle(values: Tensor) -> float:
    """Halfway between two neighbours in the middle of (n,) values, so that rounding moves none over it."""
    values = values.sort().values
    return values[len(values) // 2 - 1 :][:2].mean().item()


def image_metas(batch: Batch) -> list[dict]:
    """MMDetection's metas of a case's images: unpadded, not resized; files named by position."""
    shape = (*batch['img'].shape[-2:], 3)
    return [
        dict(
            filename=f'{i}.jpg',
            ori_shape=shape,
            img_shape=shape,
            pad_shape=shape,
            batch_input_shape=shape[:2],
            scale_factor=1.0,
            flip=False,
            transform_matrix=matrix.numpy(),
        )
        for i, matrix in enumerate(batch['matrices'])
    ]
