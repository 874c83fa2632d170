"""Which images are worth a person's time first."""

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssod.core.files import write_whole
from ssod.core.finding import Finding

# A figure among the highest quarter of all images is a reason.
HIGH = 0.75
REASONS = dict(
    disagreement='student and teacher disagree ({:.2f})',
    variance='boxes move under jitter ({:.3f})',
    uncertainty='low probabilities (1 - {:.2f})',
)


@dataclass(frozen=True)
class Candidate:
    """An image to label.

    Attributes:
        name: of the image.
        priority: in [0, 1]: the mean, over the figures, of the share of images with a lower one.
        reasons: sentences, the strongest figure's first; none for an image that the model is sure of.
        figures: by name.
    """

    name: str
    priority: float
    reasons: tuple[str, ...]
    figures: dict[str, float]


def rank(names: Sequence[str], findings: Sequence[Finding], labeled: dict[str, int]) -> list[Candidate]:
    """The images, those worth a look first.

    The figures are the doubts of the model, and 'rarity': of the classes found on an image the rarest one's
    ``1 / (1 + n)``, n being its objects among the labeled images, or where there are no such, among all found.

    Args:
        names: of the images.
        findings: on them.
        labeled: objects of each class among the labeled images; empty: not known.
    """
    counts = labeled or Counter(one.name for found in findings for one in found.objects)
    figures = [dict(found.doubts, rarity=rarity(found, counts)) for found in findings]
    places = {key: places_of([own[key] for own in figures]) for key in (figures[0] if figures else {})}
    ranked = []
    for i, (name, own) in enumerate(zip(names, figures, strict=True)):
        high = sorted((key for key in own if places[key][i] >= HIGH and own[key] > 0), key=lambda k: -places[k][i])
        reasons = tuple(reason(key, own[key], findings[i], counts) for key in high)
        ranked.append(Candidate(name, float(np.mean([place[i] for place in places.values()])), reasons, own))
    return sorted(ranked, key=lambda one: (-one.priority, one.name))


def rarity(found: Finding, counts: dict[str, int]) -> float:
    """Of the rarest class of an image."""
    return max((1 / (1 + counts.get(one.name, 0)) for one in found.objects), default=0.0)


def places_of(values: Sequence[float]) -> np.ndarray:
    """Of each value the share of all values that are lower.

    Examples:
        >>> places_of([3, 1, 1, 2]).tolist()
        [0.75, 0.0, 0.0, 0.5]
    """
    ordered = np.sort(values)
    return np.searchsorted(ordered, values, side='left') / max(len(values), 1)


def reason(key: str, value: float, found: Finding, counts: dict[str, int]) -> str:
    """Why a figure makes an image worth a look."""
    if key != 'rarity':
        return REASONS[key].format(value)
    rarest = min({one.name for one in found.objects}, key=lambda name: (counts.get(name, 0), name))
    return f'rare class: {rarest} ({counts.get(rarest, 0)} labeled or found)'


def write_ranking(ranked: Sequence[Candidate], folder: Path) -> None:
    """Write ``label_next.csv`` and ``label_next.json`` in this order."""
    figures = list(ranked[0].figures) if ranked else []
    text = io.StringIO()
    table = csv.writer(text, lineterminator='\n')
    table.writerow(['rank', 'image', 'priority', *figures, 'reasons'])
    for number, one in enumerate(ranked, 1):
        values = [f'{one.figures[key]:.4f}' for key in figures]
        table.writerow([number, one.name, f'{one.priority:.4f}', *values, '; '.join(one.reasons)])
    rows = [
        dict(rank=number, image=one.name, priority=one.priority, reasons=one.reasons, **one.figures)
        for number, one in enumerate(ranked, 1)
    ]
    write_whole(folder / 'label_next.csv', text.getvalue())
    write_whole(folder / 'label_next.json', json.dumps(rows, indent=1) + '\n')
