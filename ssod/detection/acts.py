"""What passes between the acts of Soft Teacher."""

from typing import NamedTuple

from torch import Tensor

from .heads import Features
from .pseudo_labels import PseudoLabels


class TeacherView(NamedTuple):
    """What the teacher finds on the weak views of B images.

    Attributes:
        features: what its RoI head looks at.
        img_metas: of the weak views.
        candidates: of each image, boxes in the weak view, with their regression variance if a filter asks for it.
        masked: of each image, those candidates that masks learn from, with their masks; None of a detector without.
        max_score: the highest foreground score on any proposal, a scalar.
        detected: detections on all images, those of ``min_pseudo_bbox_size`` and less included.
    """

    features: Features
    img_metas: list[dict]
    candidates: list[PseudoLabels]
    masked: list[PseudoLabels] | None
    max_score: Tensor
    detected: int


class StudentLabels(NamedTuple):
    """The pseudo boxes of each branch in the strong views of B images, one ``PseudoLabels`` per image each.

    Attributes:
        rpn, cls, reg: of the RPN, of RoI classification and of RoI regression.
        mask: of the mask head, with masks; the very list ``reg`` if it has no filter of its own; None without masks.
        found: where they come from.
    """

    rpn: list[PseudoLabels]
    cls: list[PseudoLabels]
    reg: list[PseudoLabels]
    mask: list[PseudoLabels] | None
    found: TeacherView
