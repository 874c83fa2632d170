import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / 'tools' / 'dataset' / 'prepare_coco_data.sh'
# Stands in for curl: copies the zip of that name from $SERVER, and notes that it was asked.
CURL = '#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\necho "$3" >> "$SERVER/log"\ncp "$SERVER/${3##*/}" "$2"\n'


def prepare(root, *modes, **env):
    env = {**os.environ, 'COCO_ROOT': str(root), 'PYTHON': sys.executable, **env}
    return subprocess.run(['bash', str(SCRIPT), *modes], env=env, capture_output=True, text=True)


@pytest.fixture
def coco(tmp_path):
    """A data/coco of 300 images in train2017 and 4 in unlabeled2017."""
    folder = tmp_path / 'my coco' / 'annotations'
    folder.mkdir(parents=True)
    images = [{'id': i, 'file_name': f'{i:012d}.jpg', 'width': 8, 'height': 8} for i in range(1, 301)]
    annotations = [{'id': i, 'image_id': i, 'category_id': 3, 'bbox': [1, 1, 2, 2], 'area': 4} for i in range(1, 301)]
    train = {'images': images, 'annotations': annotations, 'categories': [{'id': 3, 'name': 'thing'}]}
    (folder / 'instances_train2017.json').write_text(json.dumps(train))
    (folder / 'image_info_unlabeled2017.json').write_text(json.dumps({'images': images[:4]}))
    return folder.parent


def test_conduct(coco):
    result = prepare(coco, 'conduct')
    assert result.returncode == 0, result.stderr
    folder = coco / 'annotations' / 'semi_supervised'
    for fold in range(1, 6):
        for percent, number in ((1, 3), (2, 6), (5, 15), (10, 30)):
            stem = f'instances_train2017.{fold}@{percent}'
            labeled = json.loads((folder / f'{stem}.json').read_text())
            unlabeled = json.loads((folder / f'{stem}-unlabeled.json').read_text())
            assert len(labeled['images']) == len(labeled['annotations']) == number
            assert len(unlabeled['images']) == 300 - number
    assert len(list(folder.iterdir())) == 40
    assert (coco / 'annotations' / 'instances_unlabeled2017.json').is_file()


def test_conduct_without_unlabeled2017(coco):
    (coco / 'annotations' / 'image_info_unlabeled2017.json').unlink()
    result = prepare(coco, 'conduct')
    assert result.returncode == 0, result.stderr
    assert 'instances_unlabeled2017.json is not written' in result.stdout
    assert len(list((coco / 'annotations' / 'semi_supervised').iterdir())) == 40


def test_full(coco):
    result = prepare(coco, 'full')
    assert result.returncode == 0, result.stderr
    written = json.loads((coco / 'annotations' / 'instances_unlabeled2017.json').read_text())
    assert (len(written['images']), written['annotations']) == (4, [])
    assert written['categories'] == [{'id': 3, 'name': 'thing'}]
    assert not (coco / 'annotations' / 'semi_supervised').exists()


def test_missing_folder_and_files(coco, tmp_path):
    result = prepare(tmp_path / 'nowhere', 'conduct')
    assert result.returncode == 1
    assert 'nowhere' in result.stderr and 'ln -s YOUR_COCO data/coco' in result.stderr
    (coco / 'annotations' / 'image_info_unlabeled2017.json').unlink()
    result = prepare(coco, 'full')
    assert result.returncode == 1 and 'image_info_unlabeled2017.json' in result.stderr
    (coco / 'annotations' / 'instances_train2017.json').unlink()
    result = prepare(coco, 'conduct')
    assert result.returncode == 1 and 'error: there is no file' in result.stderr


@pytest.mark.parametrize('modes', [(), ('everything',), ('conduct', 'full')])
def test_usage(tmp_path, modes):
    result = prepare(tmp_path, *modes)
    assert result.returncode == 2
    assert result.stderr.startswith('usage: ') and result.stdout == ''


@pytest.mark.skipif(shutil.which('unzip') is None, reason='unzip is not installed')
def test_download(tmp_path):
    server, root = tmp_path / 'server', tmp_path / 'coco'
    server.mkdir()
    (server / 'curl').write_text(CURL)
    (server / 'curl').chmod(0o755)
    members = {
        'annotations_trainval2017': ['annotations/instances_train2017.json', 'annotations/instances_val2017.json'],
        'image_info_unlabeled2017': ['annotations/image_info_unlabeled2017.json'],
        **{name: [f'{name}/1.jpg'] for name in ('train2017', 'val2017', 'unlabeled2017')},
    }
    for name, files in members.items():
        with zipfile.ZipFile(server / f'{name}.zip', 'w') as archive:
            for file in files:
                archive.writestr(file, name)
    (root / 'val2017').mkdir(parents=True)  # there already: not asked for
    env = {'SERVER': str(server), 'PATH': f'{server}:{os.environ["PATH"]}'}
    for _ in range(2):  # the second time nothing is left to do
        result = prepare(root, 'download', **env)
        assert result.returncode == 0, result.stderr
    asked = (server / 'log').read_text().split()
    zips = ['annotations/annotations_trainval2017', 'annotations/image_info_unlabeled2017']
    zips += ['zips/train2017', 'zips/unlabeled2017']
    assert asked == [f'http://images.cocodataset.org/{name}.zip' for name in zips]
    found = sorted(str(path.relative_to(root)) for path in root.rglob('*') if path.is_file())
    expected = sum((files for name, files in members.items() if name != 'val2017'), [])
    assert found == sorted(expected)
    (server / 'train2017.zip').write_text('no zip')
    shutil.rmtree(root / 'train2017')
    result = prepare(root, 'download', **env)
    assert result.returncode == 1 and 'cannot be unpacked' in result.stderr
    assert not (root / 'train2017').exists()
