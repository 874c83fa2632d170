import copy
import itertools
import json
import os
import random

import pytest
import semi_coco


def make_dataset(num_images=200):
    """Image i, with the id 10 * i, has i % 3 annotations; neither licenses nor info."""
    ids = [10 * i for i in range(1, num_images + 1)]
    owners = [i for n, i in enumerate(ids, 1) for _ in range(n % 3)]
    return {
        'images': [{'id': i, 'file_name': f'{i}.jpg', 'width': 8, 'height': 6} for i in ids],
        'annotations': [
            {'id': n, 'image_id': i, 'category_id': 1, 'bbox': [0, 0, 2, 3], 'area': 6, 'iscrowd': 0}
            for n, i in enumerate(owners, 1)
        ],
        'categories': [{'id': 1, 'name': 'thing'}],
    }


def ids_of(dataset):
    return [image['id'] for image in dataset['images']]


@pytest.fixture
def ann(tmp_path):
    path = tmp_path / 'instances_train2017.json'
    path.write_text(json.dumps(make_dataset()))
    return path


def fails(capsys, *argv):
    """The one sentence that `main` ends with."""
    with pytest.raises(SystemExit) as e:
        semi_coco.main([str(a) for a in argv])
    assert capsys.readouterr().err == ''
    assert e.value.code.startswith('error: ') and '\n' not in e.value.code
    return e.value.code


@pytest.mark.parametrize('percent, expected', [(0.5, 1), (1, 2), (10, 20), (33.3, 67), (0.001, 1), (99.5, 199)])
def test_split_is_disjoint_and_complete(percent, expected):
    dataset = make_dataset()
    before = copy.deepcopy(dataset)
    labeled, unlabeled = semi_coco.split(dataset, percent, 1)
    assert len(labeled['images']) == expected
    assert sorted(ids_of(labeled) + ids_of(unlabeled)) == ids_of(dataset)
    assert unlabeled['annotations'] == []
    assert labeled['categories'] == unlabeled['categories'] == dataset['categories']
    kept = [a for a in dataset['annotations'] if a['image_id'] in ids_of(labeled)]
    assert labeled['annotations'] == kept
    assert dataset == before


def test_split_does_not_depend_on_file_order():
    dataset, shuffled = make_dataset(), make_dataset()
    random.Random(0).shuffle(shuffled['images'])
    assert ids_of(shuffled) != ids_of(dataset)
    assert semi_coco.split(shuffled, 10, 3) == semi_coco.split(dataset, 10, 3)


def test_split_is_the_same_forever():
    ids = range(1, 101)
    assert sorted(semi_coco.draw(ids, 5, 1)) == [7, 9, 17, 49, 82]


def test_folds_differ_and_percents_are_nested():
    ids = list(range(1000))
    folds = [semi_coco.draw(ids, 10, fold) for fold in range(1, 6)]
    assert len({frozenset(fold) for fold in folds}) == 5
    draws = [semi_coco.draw(ids, percent, 2) for percent in (0.5, 1, 2, 5, 10)]
    assert [len(d) for d in draws] == [5, 10, 20, 50, 100]
    assert all(small < large for small, large in itertools.pairwise(draws))


def test_other_keys_are_kept():
    dataset = {**make_dataset(10), 'licenses': [{'id': 1}], 'info': {'year': 2017}}
    for part in semi_coco.split(dataset, 10, 1):
        assert part['licenses'] == [{'id': 1}] and part['info'] == {'year': 2017}


def test_orphan_annotations_are_reported(capsys):
    dataset = make_dataset(5)
    dataset['annotations'] += [{'id': 90, 'image_id': 7}, {'id': 91}]
    groups = semi_coco.group_by_image(dataset)
    assert {i: len(group) for i, group in groups.items()} == {10: 1, 20: 2, 40: 1, 50: 2}
    assert 'warning: 2 annotations' in capsys.readouterr().err


def test_main_reads_once_and_writes_every_split(ann, monkeypatch, capsys):
    reads, load = [], json.load
    monkeypatch.setattr(json, 'load', lambda file: reads.append(file.name) or load(file))
    groupings, group = [], semi_coco.group_by_image
    monkeypatch.setattr(semi_coco, 'group_by_image', lambda dataset: groupings.append(1) or group(dataset))
    semi_coco.main([str(ann), '--percent', '0.5', '10.0', '--fold', '1', '2'])
    assert reads == [str(ann)] and groupings == [1]
    stems = [f'instances_train2017.{fold}@{percent}' for fold in (1, 2) for percent in ('0.5', '10')]
    folder = ann.parent / 'semi_supervised'
    expected = {f'{stem}{suffix}.json' for stem in stems for suffix in ('', '-unlabeled')}
    assert {path.name for path in folder.iterdir()} == expected
    labeled, unlabeled = semi_coco.split(make_dataset(), 10, 2)
    assert json.loads((folder / 'instances_train2017.2@10.json').read_text()) == labeled
    assert json.loads((folder / 'instances_train2017.2@10-unlabeled.json').read_text()) == unlabeled
    assert 'instances_train2017.2@10.json: 20 labeled images' in capsys.readouterr().out


def test_out(ann, tmp_path):
    semi_coco.main([str(ann), '--percent', '50', '--fold', '1', '--out', str(tmp_path / 'a' / 'b')])
    assert len(list((tmp_path / 'a' / 'b').iterdir())) == 2
    assert not (tmp_path / 'semi_supervised').exists()


def test_unlabeled_info(ann, tmp_path):
    info = tmp_path / 'image_info_unlabeled2017.json'
    info.write_text(json.dumps({'images': [{'id': 1}, {'id': 2}], 'licenses': []}))
    semi_coco.main([str(ann), '--unlabeled-info', str(info)])
    written = json.loads((tmp_path / 'instances_unlabeled2017.json').read_text())
    assert written['images'] == [{'id': 1}, {'id': 2}]
    assert written['annotations'] == []
    assert written['categories'] == make_dataset()['categories']
    assert not (tmp_path / 'semi_supervised').exists()


def test_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'x.json'
    semi_coco.write_json({'old': 1}, path)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', interrupt)
    with pytest.raises(KeyboardInterrupt):
        semi_coco.write_json({'new': 1}, path)
    assert json.loads(path.read_text()) == {'old': 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    'content, words',
    [
        ('{"images": [', 'is not JSON'),
        ('[]', 'holds a list'),
        ('{"annotations": [], "categories": []}', "no list 'images'"),
        ('{"images": [{"id": 1}], "categories": []}', "no list 'annotations'"),
        ('{"images": [{"id": 1}], "annotations": []}', "no list 'categories'"),
        ('{"images": [], "annotations": [], "categories": []}', 'has no image'),
        ('{"images": [{"id": 4}, {"id": 4}], "annotations": [], "categories": []}', '2 images with the id 4'),
        ('{"images": [{"id": 4}, {}], "annotations": [], "categories": []}', "without a proper 'id'"),
        ('{"images": [{"id": 4}], "annotations": [], "categories": []}', 'leaves none unlabeled'),
    ],
)
def test_bad_file(tmp_path, capsys, content, words):
    path = tmp_path / 'bad.json'
    path.write_text(content)
    assert words in fails(capsys, path, '--percent', 10, '--fold', 1)
    assert not list(tmp_path.glob('semi_supervised/*'))


def test_bad_arguments(ann, tmp_path, capsys):
    assert 'missing.json does not exist' in fails(capsys, tmp_path / 'missing.json', '--percent', 1, '--fold', 1)
    for percent in ('0', '100', '-1', 'nan'):
        assert 'above 0 and below 100' in fails(capsys, ann, f'--percent={percent}', '--fold', 1)
    assert 'fold is -1' in fails(capsys, ann, '--percent', 1, '--fold=-1')
    assert 'none.json does not exist' in fails(capsys, ann, '--unlabeled-info', tmp_path / 'none.json')
    for argv in ([], ['--percent', '1'], ['--fold', '1']):
        with pytest.raises(SystemExit) as e:
            semi_coco.main([str(ann), *argv])
        assert e.value.code == 2
        assert 'usage:' in capsys.readouterr().err
