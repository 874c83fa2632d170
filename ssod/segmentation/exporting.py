"""How segmentors are exported, and compared with PyTorch."""

import copy
from collections.abc import Sequence

import numpy as np
from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from ssod.core.errors import InputError
from ssod.core.exporting import Difference, Exporter, Outputs, meta_of

from .base import ScoredMap, scored_maps

TOLERANCE = 0.001  # share of pixels
SCORE_TOLERANCE = 0.01


class MapGraph(nn.Module):
    """A segmentor from image to map: (1, 3, H, W) to ``labels`` and ``scores``, (1, H, W) each."""

    def __init__(self, segmentor: nn.Module) -> None:
        super().__init__()
        self.segmentor = segmentor

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Class of each pixel, int64, and its probability."""
        probabilities = self.segmentor.inference(image, [meta_of(image)], False)
        scores, labels = probabilities.max(dim=1)
        return labels, scores


class MapExporter(Exporter):
    """MMSegmentation's ``EncoderDecoder``."""

    def graph(self, model: nn.Module, script: bool) -> MapGraph:
        """See :class:`MapGraph`."""
        if not isinstance(model, EncoderDecoder) or model.out_channels == 1:
            raise InputError(f'{type(model).__name__} gives no probability for each class: it cannot be exported')
        return MapGraph(copy.deepcopy(model)).eval()

    def outputs(self, model: nn.Module) -> dict[str, tuple[str, ...]]:
        """Class and probability of each pixel."""
        return dict(labels=('', 'height', 'width'), scores=('', 'height', 'width'))

    def expected(self, model: nn.Module, image: Tensor) -> ScoredMap:
        """The map by the segmentor's own inference."""
        return scored_maps(model.inference(image, [meta_of(image)], False))[0]

    def difference(
        self, model: nn.Module, expected: Sequence[ScoredMap], found: Sequence[Outputs], tolerance: float | None
    ) -> Difference:
        """Share of pixels with another class, and the probabilities."""
        limit = TOLERANCE if tolerance is None else tolerance
        other = [own.labels != labels[0] for own, (labels, _) in zip(expected, found, strict=True)]
        share = np.concatenate([one.ravel() for one in other]).mean()
        far = [np.abs(own.scores - scores[0]).max() for own, (_, scores) in zip(expected, found, strict=True)]
        scores = np.max(far)  # nan if one is
        said = f'{100 * share:.2g} % of the pixels of {len(expected)} images have another class'
        return Difference(
            f'{said}; probabilities are within {scores:.2g}', not (share <= limit and scores <= SCORE_TOLERANCE)
        )
