"""The generated annotation files, and what is measured on them."""

import json
import sys

import pytest

from benchmarks.annotations import COLUMNS, measure, write_coco

counts_memory = pytest.mark.skipif(not sys.platform.startswith('linux'), reason='memory is counted in /proc')


@pytest.fixture
def path(tmp_path):
    """60 images with 400 boxes."""
    path = tmp_path / 'labels.json'
    write_coco(path, 60, 400, seed=1)
    return path


def test_generated_files_are_coco(path):
    data = json.loads(path.read_text())
    assert [annotation['id'] for annotation in data['annotations']] == list(range(1, 401))
    assert [image['id'] for image in data['images']] == list(range(1, 61)) and len(data['categories']) == 80
    for annotation in data['annotations']:
        image = data['images'][annotation['image_id'] - 1]
        x, y, w, h = annotation['bbox']
        assert 0 <= x and 0 <= y and w >= 2 and h >= 2 and x + w <= image['width'] + 0.01
        assert y + h <= image['height'] + 0.01 and 0 < annotation['area'] < w * h
    write_coco(path.with_name('again.json'), 60, 400, seed=1)
    assert path.with_name('again.json').read_text() == path.read_text()


@counts_memory
@pytest.mark.parametrize('packed', [False, True])
def test_figures_of_loading(path, packed):
    figures = measure(str(path), str(path), packed, workers=2, samples=50)
    assert figures.keys() == set(COLUMNS) and min(figures.values()) > 0
    assert figures['peak_mb'] >= figures['start_mb'] > 100 > figures['worker_mb']
