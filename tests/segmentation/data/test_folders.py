"""`ssod new --task segmentation`: links, parts, classes, configs that load and train, and what is refused."""

import numpy as np
import pytest
from mmcv import imwrite

from ssod.apis import load_config, new_dataset
from ssod.core.errors import InputError
from ssod.core.task import task_of
from ssod.segmentation.map_checks import check_maps


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


def test_its_own_parts_are_taken_and_test_is_left_alone(tmp_path):
    names = [f'{part}/{i}' for part, count in (('train', 8), ('val', 3), ('test', 2)) for i in range(count)]
    report = new_dataset('own', raw(tmp_path / 'raw', names), task='segmentation', out=tmp_path / 'own')
    assert report.counts == dict(labeled=4, unlabeled=4, validation=3)
    assert '2 images of test are left alone' in str(report)
    linked = {path.resolve().parent.name for path in (tmp_path / 'own/images').rglob('*.jpg')}
    assert linked == {'train', 'val'}
    assert {path.resolve().parent.name for path in (tmp_path / 'own/images/val').rglob('*.jpg')} == {'val'}


def test_a_set_written_anew_has_none_of_the_old_links(tmp_path):
    make(tmp_path)
    report = make(tmp_path, force=True, seed=5, labeled_percent=80)
    for part, count in (('train', report.counts['labeled']), ('unlabeled', report.counts['unlabeled'])):
        assert len(list((tmp_path / f'cracks/images/{part}').rglob('*.jpg'))) == count
    assert len(list((tmp_path / 'cracks/labels/train').rglob('*.png'))) == report.counts['labeled']


def test_frames_that_look_alike_stay_in_one_part(tmp_path):
    scenes = np.random.RandomState(0).randint(0, 255, (12, 8, 6, 3), np.uint8).repeat(3, axis=0)
    raw(tmp_path / 'raw', [f'{i:02d}' for i in range(36)])
    for i, scene in enumerate(scenes):
        imwrite(np.clip(scene.astype(int) + i % 3, 0, 255).astype(np.uint8), str(tmp_path / f'raw/images/{i:02d}.jpg'))
    new_dataset('video', tmp_path / 'raw', task='segmentation', out=tmp_path / 'video')
    where = {path.stem: path.parent.name for path in (tmp_path / 'video/images').rglob('*.jpg')}
    assert len(where) == 36 and {'train', 'val', 'unlabeled'} == set(where.values())
    assert all(len({where[f'{3 * scene + i:02d}'] for i in range(3)}) == 1 for scene in range(12))


def test_what_is_wrong_is_said(tmp_path):
    make(tmp_path)
    with pytest.raises(InputError, match='cracks is there: give --force'):
        make(tmp_path)
    with pytest.raises(InputError, match='100 percent of the images cannot keep their labels'):
        make(tmp_path, force=True, labeled_percent=100)
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
