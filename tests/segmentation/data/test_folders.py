"""`ssod new --task segmentation`: links, parts, classes, configs that load and train, and what is refused."""

import numpy as np
import pytest
from mmcv import imwrite

from ssod.apis import load_config, new_dataset
from ssod.core.errors import InputError
from ssod.core.task import task_of
from ssod.segmentation.checks import check_maps


def raw(folder, names, numbers=(0, 1, 255), labels='masks'):
    for i, name in enumerate(names):
        imwrite(np.full((8, 6, 3), i, np.uint8), str(folder / f'images/{name}.jpg'))
        maps = np.array(numbers, np.uint8)[np.arange(48).reshape(8, 6) % len(numbers)]
        imwrite(maps, str(folder / f'{labels}/{name}.png'))
    return folder


def make(tmp_path, **more):
    options = dict(task='segmentation', out=tmp_path / 'cracks')
    return new_dataset('cracks', raw(tmp_path / 'raw', [f'a/{i:02d}' for i in range(30)]), **{**options, **more})


def test_given_parts_become_links_and_configs_that_load(tmp_path):
    unlabeled = raw(tmp_path / 'more', [f'{i}' for i in range(5)]) / 'images'
    val = raw(tmp_path / 'test', ['x', 'y'], labels='labels')
    report = make(tmp_path, unlabeled=unlabeled, val=val, classes=['ground', 'crack'])
    assert report.counts == dict(labeled=30, unlabeled=5, validation=2)
    assert report.shares == pytest.approx([0.5, 0.5], abs=0.01)
    assert '30 labeled, 5 unlabeled, 2 validation images' in str(report) and 'crack 50.0 %' in str(report)
    assert (tmp_path / 'cracks/labels/train/a/00.png').resolve() == tmp_path / 'raw/masks/a/00.png'
    for method in ('supervised', 'simple_baseline', 'fixmatch'):
        cfg = load_config(str(tmp_path / f'cracks/{method}/cracks.py'))
        assert cfg.classes == ['ground', 'crack'] and cfg.model.segmentor.decode_head.num_classes == 2
        if method != 'simple_baseline':  # whose label maps are not written yet
            dataset = task_of(cfg).build_dataset(cfg.data.train)
            check_maps(dataset)
            assert len(dataset) == (30 if method == 'supervised' else 35)
    assert len(task_of(cfg).build_dataset(cfg.data.val, test_mode=True)) == 2


def test_missing_parts_are_set_apart_without_overlap(tmp_path):
    report = make(tmp_path)
    assert report.counts == dict(labeled=9, unlabeled=9, validation=12)  # 20 or two fifths; 20 or half of the rest
    names = [
        {p.name for p in (tmp_path / f'cracks/images/{part}/a').iterdir()} for part in ('train', 'val', 'unlabeled')
    ]
    assert len(set.union(*names)) == 30 and sum(map(len, names)) == 30
    assert report.classes == ['class 0', 'class 1'] and len(report.notes) == 2
    assert make(tmp_path, force=True).counts == report.counts


def test_what_is_wrong_is_said(tmp_path):
    make(tmp_path)
    with pytest.raises(InputError, match='cracks is there: give --force'):
        make(tmp_path)
    with pytest.raises(InputError, match=r'holds 1, and --classes names 1: 0 to 0'):
        make(tmp_path, force=True, classes=['all'])
    (tmp_path / 'raw/masks/a/03.png').unlink()
    with pytest.raises(InputError, match='1 images of .* have no label map in .*masks, the first a/03'):
        new_dataset('x', tmp_path / 'raw', task='segmentation', out=tmp_path / 'x')
    imwrite(np.zeros((8, 6, 3), np.uint8), str(tmp_path / 'raw/masks/a/03.png'))
    with pytest.raises(InputError, match='a/03.png is no label map'):
        new_dataset('x', tmp_path / 'raw', task='segmentation', out=tmp_path / 'x')
    imwrite(np.zeros((6, 8), np.uint8), str(tmp_path / 'raw/masks/a/03.png'))
    with pytest.raises(InputError, match=r'is of \(8, 6\) pixels, its image of \(6, 8\)'):
        new_dataset('x', tmp_path / 'raw', task='segmentation', out=tmp_path / 'x')
    with pytest.raises(InputError, match='has no folder of images: it may be called images'):
        new_dataset('x', tmp_path, task='segmentation', out=tmp_path / 'x')
