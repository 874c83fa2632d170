"""Tiles cover an image, evenly, with the overlap that was asked for."""

import pytest

from ssod.core.errors import InputError
from ssod.core.tiles import check_tiles, windows


def test_by_hand():
    assert windows((64, 100), 64, 0.25) == [(0, 0, 64, 64), (36, 0, 100, 64)]
    assert windows((50, 30), 64, 0.2) == windows((50, 30), None) == [(0, 0, 30, 50)]  # smaller than a tile
    # 1000 - 640 = 360 pixels in steps of at most 512; 1600 - 640 = 960 in two of 480.
    assert [window[:2] for window in windows((1000, 1600), 640, 0.2)] == [
        (x, y) for y in (0, 360) for x in (0, 480, 960)
    ]


@pytest.mark.parametrize('length', [640, 641, 1151, 1152, 1153, 4000, 9999])
@pytest.mark.parametrize('overlap', [0, 0.2, 0.33, 0.9])
def test_tiles_cover_and_overlap(length, overlap):
    found = [(window.x1, window.x2) for window in windows((640, length), 640, overlap)]
    assert found[0][0] == 0 and found[-1][1] == length and all(right - left == 640 for left, right in found)
    common = [first[1] - second[0] for first, second in zip(found, found[1:], strict=False)]
    assert min(common, default=640) >= 640 * overlap
    step = 640 - 640 * overlap
    assert len(found) < (length - 640) / step + 2.1  # no more than are needed


def test_what_makes_no_tiles():
    for tile, overlap, sentence in (
        (0, 0.2, 'a tile is 1 pixel or more, got 0'),
        (640, -0.1, 'the overlap of tiles is a share from 0 to 0.9 of their side, got -0.1'),
        (640, 1.0, 'got 1.0'),
        (640, float('nan'), 'got nan'),
    ):
        with pytest.raises(InputError, match=sentence):
            check_tiles(tile, overlap)
