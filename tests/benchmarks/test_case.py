"""The case that all contestants share."""

import json

import pytest
import torch
from mmdet.datasets import CocoDataset
from runs import SOFT_TEACHER

from benchmarks.case import middle, write_case, write_photos
from ssod.apis import load_config


def test_the_same_settings_give_the_same_case(tmp_path):
    settings = dict(kind='step', images=[2, 3], size=[64, 96], candidates=2, seed=1)
    for name in 'ab':
        (tmp_path / name).mkdir()
        write_case(tmp_path / name, load_config(SOFT_TEACHER), settings)
    first, second = (json.loads((tmp_path / name / 'case.json').read_text()) for name in 'ab')
    assert first == second and first['images'] == [2, 3]
    weights = [torch.load(tmp_path / name / 'weights.pth') for name in 'ab']
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    batch = torch.load(tmp_path / 'a/batch.pth')
    assert batch['sup']['img'].shape == (2, 3, 64, 96)
    weak, strong = batch['unsup_teacher'], batch['unsup_student']
    assert torch.equal(strong['img'], weak['img'].flip(-1)) and len(strong['img']) == 3
    assert (strong['matrices'][0] @ torch.tensor([10.0, 20, 1])).tolist() == [86, 20, 1]


@pytest.mark.parametrize('values, expected', [([3.0, 1.0, 2.0, 8.0], 2.5), ([5.0, 1.0, 2.0], 1.5)])
def test_middle(values, expected):
    assert middle(torch.tensor(values)) == expected


def test_generated_photos_are_a_data_set(tmp_path):
    write_photos(tmp_path, None, (48, 64), CocoDataset.CLASSES)
    for name, number in (('labeled', 8), ('unlabeled', 32)):
        dataset = CocoDataset(str(tmp_path / f'{name}.json'), pipeline=[dict(type='LoadImageFromFile')])
        assert len(dataset) == number
        assert dataset[0]['img'].shape == (48, 64, 3) and 20 < dataset[0]['img'].std() < 80


def test_too_few_photos_of_ones_own(tmp_path):
    with pytest.raises(ValueError, match='needs 5 JPEG files'):
        write_photos(tmp_path, str(tmp_path), (48, 64), ['a'])
