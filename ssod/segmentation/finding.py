"""What a segmentor finds on an image for a person to correct, and how far student and teacher doubt it."""

import numpy as np
import torch
from torch import Tensor, nn

from ssod.core import TeacherStudent
from ssod.core.finding import Finding
from ssod.data.labels.structure import objects_of_map
from ssod.data.loader import test_batch
from ssod.hooks.evaluation import predicting_on

from .maps import IGNORE


@torch.no_grad()
def find(model: nn.Module, sample: dict, thresholds: dict[str, float]) -> Finding:
    """The label map of an image, and the doubts.

    Args:
        model: from :func:`ssod.apis.init_detector`; of a student and a teacher ``predict_on`` says who finds.
        sample: from :func:`ssod.apis.inference.read_image`.
        thresholds: of each class by name; pixels of a lower probability become 255.
    """
    data = test_batch(model, [sample])
    img, metas = data['img'][0], data['img_metas'][0]

    def probabilities() -> Tensor:
        return model.inference(img, metas, True)[0]

    doubts = {}
    if isinstance(model, TeacherStudent):
        found = {}
        for name in ('student', 'teacher'):
            with predicting_on(model, name):
                found[name] = probabilities()
        own = found[model.predict_on]
        different = found['student'].argmax(dim=0) != found['teacher'].argmax(dim=0)
        doubts['disagreement'] = float(different.float().mean())
    else:
        own = probabilities()
    confidence, labels = own.max(dim=0)
    doubts['uncertainty'] = float(1 - confidence.mean())
    limits = confidence.new_tensor([thresholds[name] for name in model.CLASSES])
    labels = labels.masked_fill(confidence < limits[labels], IGNORE).to(torch.uint8).cpu().numpy()
    objects = objects_of_map(labels, model.CLASSES)
    scores = confidence.cpu().numpy()
    for one in objects:
        one.score = float(np.mean(scores[labels == list(model.CLASSES).index(one.name)]))
    return Finding(objects, labels, doubts)
