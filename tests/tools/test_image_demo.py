import json

from runs import SOFT_TEACHER, call, refusal, shapes, taught


def test_it_is_ssod_predict_with_the_images_first(tmp_path, checkpoint):
    images = [shapes() / f'images/val/00000{number}.jpg' for number in (1, 2)]
    options = ['--output', tmp_path, '--score-thr', 0, '--eval-on', 'teacher', '--device', 'cpu', *taught()]
    call('demo/image_demo.py', *images, SOFT_TEACHER, checkpoint, *options)
    names = {record['file_name'] for record in json.loads((tmp_path / 'predictions.json').read_text())}
    assert names == set(map(str, images))
    assert sorted(path.name for path in tmp_path.glob('*.jpg')) == ['000001.jpg', '000002.jpg']


def test_refusal(tmp_path, checkpoint):
    lost = refusal('demo/image_demo.py', tmp_path / '*.png', SOFT_TEACHER, checkpoint, '--out', tmp_path)
    assert 'no image or video matches' in lost
