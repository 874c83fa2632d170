"""Weights for the tiny detector that leave nothing to chance."""

import torch

from ssod.detection.trial import tiny_detector

__all__ = ['lively', 'tiny_detector']

# By part of a parameter's name: features of about 1, class scores from 0 to 1, box variances from 0.03 to 0.13.
GAINS = {'lateral': 0.03, 'fc_cls': 3.0, 'reg': 1.0}


def lively(model: torch.nn.Module) -> None:
    """Random weights whose scores and boxes differ from image to image, the teacher's a little from the student's."""
    generator = torch.Generator().manual_seed(0)
    for name, value in model.student.named_parameters():
        if value.dim() > 1:
            gain = next((g for part, g in GAINS.items() if part in name), 1.4)
            value.data = torch.randn(value.shape, generator=generator) * gain / value[0].numel() ** 0.5
    model.teacher.load_state_dict(model.student.state_dict())
    for value in model.teacher.parameters():
        value.data += 0.05 * value.std(correction=0) * torch.randn(value.shape, generator=generator)
