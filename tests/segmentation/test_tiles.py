"""Label maps of tiles: the class of the highest mean probability."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ssod.core.tiles import windows
from ssod.segmentation.tiles import join, outputs

MODEL = SimpleNamespace(CLASSES=('ground', 'crack', 'water'))


def probabilities(size, generator):
    return torch.rand(3, *size, generator=generator).softmax(dim=0)


def test_by_hand():
    """One row of 6 pixels, tiles of 4: both see pixels 2 and 3."""
    tiles = windows((1, 6), 4, 0.25)
    assert [(tile.x1, tile.x2) for tile in tiles] == [(0, 4), (2, 6)]
    left = torch.tensor([[[0.9, 0.9, 0.6, 0.1]], [[0.1, 0.1, 0.4, 0.5]], [[0.0, 0.0, 0.0, 0.4]]])
    right = torch.tensor([[[0.1, 0.0, 0.2, 0.2]], [[0.8, 0.2, 0.7, 0.2]], [[0.1, 0.8, 0.1, 0.6]]])
    found = join(MODEL, [left, right], tiles, (1, 6), 0.3)
    assert found.label_map.tolist() == [[0, 0, 1, 2, 1, 2]]  # pixel 2: 0.35, 0.6, 0.05; pixel 3: 0.05, 0.35, 0.6
    assert found.labels.tolist() == [0, 1, 2] and found.names == ['ground', 'crack', 'water']
    np.testing.assert_allclose(found.scores, [0.9, (0.6 + 0.7) / 2, (0.6 + 0.6) / 2], rtol=1e-6)
    assert found.boxes.tolist() == [[0, 0, 2, 1], [2, 0, 5, 1], [3, 0, 6, 1]]
    assert found.masks[1].tolist() == [[False, False, True, False, True, False]]
    assert [record['share'] for record in found.records()] == [0.3333] * 3


@pytest.mark.parametrize('size', [(70, 90), (40, 33), (33, 100), (20, 20)])
def test_sums_of_a_row_of_tiles_at_a_time_are_those_of_the_whole_image(size):
    generator = torch.Generator().manual_seed(0)
    tiles = windows(size, 32, 0.4)
    parts = [probabilities((y2 - y1, x2 - x1), generator) for x1, y1, x2, y2 in tiles]
    total, counts = torch.zeros(3, *size), torch.zeros(size)
    for (x1, y1, x2, y2), part in zip(tiles, parts, strict=True):
        total[:, y1:y2, x1:x2] += part
        counts[y1:y2, x1:x2] += 1
    best, labels = (total / counts).max(dim=0)
    found = join(MODEL, iter(parts), tiles, size, 0.3)
    np.testing.assert_array_equal(found.label_map, labels.numpy())
    means = [best[labels == number].mean().item() for number in found.labels]
    np.testing.assert_allclose(found.scores, means, rtol=1e-5)


def test_a_segmentor_of_one_channel_has_its_threshold():
    values = torch.tensor([[[[0.2, 0.3, 0.31, 0.9]]]])
    model = SimpleNamespace(inference=lambda *_: values, decode_head=SimpleNamespace(threshold=0.3))
    batch = dict(img=[torch.zeros(1, 3, 1, 4)], img_metas=[[{}]])
    shares = outputs(model, batch)
    assert join(MODEL, shares, windows((1, 4), None), (1, 4), 0.3).label_map.tolist() == [[0, 0, 1, 1]]
