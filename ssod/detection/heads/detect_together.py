"""What one stage detects on all images of a batch at once, where launches are what counts."""

import numpy as np
import torch
import torchvision
from mmcv import ConfigDict
from torch import Tensor

from ssod.accel import is_plain
from ssod.core.hardware import launch_bound

from ..pseudo_labels import PseudoLabels
from .roi_stage import RoIOutputs, RoIStage
from .stages import RoIStages

APART = 2.0**20  # pixels between two images; a float64 holds it and a float32 coordinate without rounding


def detects_together(stages: RoIStages, nms: dict, device: torch.device) -> bool:
    """Whether :func:`detect_together` does what MMDetection's NMS does image by image."""
    plain = len(stages) == 1 and is_plain(stages[0].bbox_head) and stages[0].bbox_head.bbox_coder.clip_border
    return launch_bound(device) and plain and nms.get('type') == 'nms' and set(nms) == {'type', 'iou_threshold'}


def detect_together(
    stage: RoIStage, rois: Tensor, outputs: RoIOutputs, img_metas: list[dict], score_thr: float, cfg: ConfigDict
) -> list[PseudoLabels]:
    """What NMS keeps of the RoIs of B images above a score.

    The host waits for the device three times, for any B.

    NMS looks at all images at once, each in a place of its own. There a coordinate is a float64, so that an overlap is
    what it is image by image.

    Args:
        stage: the RoI head's only one.
        rois: (n, 5), image after image: image index, then xyxy in pixels.
        outputs: of the stage for them.
        img_metas: ``img_shape`` bounds the boxes.
        score_thr: boxes of a lower score are dropped first.
        cfg: ``nms`` and ``max_per_img`` of the detector's ``test_cfg.rcnn``.

    Returns:
        The boxes of each image, the best first.
    """
    probabilities = outputs.logits.softmax(dim=-1)
    of, label = (probabilities[:, :-1] > score_thr).nonzero(as_tuple=True)
    boxes = stage.own_boxes(rois[of], outputs.deltas[of], label, img_metas)
    scores, image = probabilities[of, label], rois[of, 0].long()
    # Classes apart as mmcv puts them apart, in float32 by the largest coordinate of the image.
    largest = boxes.new_zeros(len(img_metas)).scatter_reduce(0, image, boxes.amax(dim=1), 'amax')
    apart = (boxes + (label * (largest[image] + 1))[:, None]).double() + (image * APART)[:, None]
    kept = torchvision.ops.nms(apart, scores.double(), threshold(cfg.nms['iou_threshold']))
    kept = kept[image[kept].argsort(stable=True)]
    images = torch.arange(len(img_metas), device=rois.device)
    sizes = (image[kept, None] == images).sum(dim=0).tolist()
    fields = [value[kept].split(sizes) for value in (boxes, label, scores, 1 - probabilities[of, -1])]
    most = cfg.max_per_img if cfg.max_per_img > 0 else None
    return [
        PseudoLabels(own, labels, score, foreground_scores=foreground)
        for own, labels, score, foreground in zip(*([v[:most] for v in field] for field in fields), strict=True)
    ]


def threshold(iou: float) -> float:
    """The float64 above which an overlap, rounded to float32, is above ``iou``, which mmcv holds as float32."""
    single = np.float32(iou)
    return (float(single) + float(np.nextafter(single, np.float32(2)))) / 2
