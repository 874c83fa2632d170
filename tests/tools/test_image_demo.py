import json
import shutil

import mmcv
import pytest
from runs import SOFT_TEACHER, call, class_names, refusal, shapes, taught


@pytest.fixture
def images(tmp_path):
    """Two images of the same name in two folders, and a file that is no image."""
    for folder, number in (('a', 1), ('b', 2)):
        (tmp_path / folder).mkdir()
        shutil.copy(shapes() / f'images/val/00000{number}.jpg', tmp_path / folder / 'same.jpg')
    (tmp_path / 'b' / 'broken.jpg').write_text('not an image')
    return tmp_path


def test_folder_keeps_images_of_one_name_apart_and_skips_broken_ones(images, checkpoint, capsys):
    out = images / 'out'
    arguments = ['--output', out, '--score-thr', 0, '--eval-on', 'teacher', *taught()]
    call('demo/image_demo.py', images, SOFT_TEACHER, checkpoint, '--device', 'cpu', *arguments)
    said = capsys.readouterr()
    assert 'skipped: cannot read' in said.err and 'broken.jpg' in said.err and '[1/3]' in said.out
    assert mmcv.imread(str(out / 'a/same.jpg')).shape == (96, 96, 3)
    assert mmcv.imread(str(out / 'b/same.jpg')).shape == (96, 96, 3)
    content = json.loads((out / 'a/same.jpg.json').read_text())
    assert content['file'] == str(images / 'a/same.jpg')
    scores = [detection['score'] for detection in content['detections']]
    assert scores == sorted(scores, reverse=True) and len(scores) > 0
    assert set(content['detections'][0]) == {'class', 'score', 'bbox'}
    for detection in content['detections']:
        x1, y1, x2, y2 = detection['bbox']
        assert 0 <= x1 <= x2 <= 96 and 0 <= y1 <= y2 <= 96
        assert detection['class'] in class_names()


def test_glob_and_one_image(images, checkpoint):
    for pattern, expected in (
        (images / '*/same.jpg', ['a/same.jpg', 'b/same.jpg']),
        (images / 'a/same.jpg', ['same.jpg']),
    ):
        out = images / f'out{len(expected)}'
        call('demo/image_demo.py', pattern, SOFT_TEACHER, checkpoint, '--output', out, '--score-thr', 0.99, *taught())
        assert sorted(str(path.relative_to(out)) for path in out.rglob('*.jpg')) == expected
        for path in out.rglob('*.json'):
            assert all(detection['score'] >= 0.99 for detection in json.loads(path.read_text())['detections'])


def test_refusals(images, checkpoint):
    def refused(image, *rest, weights=checkpoint, out=images / 'out'):
        return refusal('demo/image_demo.py', image, SOFT_TEACHER, weights, '--output', out, *rest, *taught())

    assert 'no image matches' in refused(images / '*.png')
    assert 'none of the images could be read' in refused(images / 'b/broken.jpg')
    assert 'no checkpoint lost.pth' in refused(images, weights='lost.pth')
    assert 'would overwrite' in refused(images / 'a', out=images / 'a')
