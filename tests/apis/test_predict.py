"""`ssod predict`: pictures, and one file in COCO's result format."""

import json
import os
import re
import shutil
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO
from runs import (
    BASELINE,
    MASKS,
    SOFT_TEACHER,
    class_names,
    shapes,
    small,
    taught,
    trained_baseline,
    trained_masks,
)

from ssod.apis import InputError, detect, init_detector, load_config, load_model, predict_images
from ssod.apis.predict import find_images
from ssod.apis.predictor import recommended
from ssod.cli import COMMANDS
from ssod.data.videos import frames_of, open_video
from ssod.hooks import Best


@pytest.fixture
def images(tmp_path):
    """Three images, two of one name and one of another size, and a file that is no image."""
    for folder, number in (('a', 1), ('b', 2)):
        (tmp_path / folder).mkdir()
        shutil.copy(shapes() / f'images/val/00000{number}.jpg', tmp_path / folder / 'same.jpg')
    cv2.imwrite(str(tmp_path / 'b/wide.PNG'), np.full((40, 200, 3), 90, np.uint8))
    (tmp_path / 'b/broken.jpg').write_text('not an image')
    (tmp_path / 'b/notes.txt').write_text('none either')
    return tmp_path


def config():
    options = dict(option.split('=', 1) for option in small()[1:])
    return load_config(SOFT_TEACHER, {'data_root': options['data_root'], 'test_scale': (96, 96)})


def predict(*argv):
    COMMANDS['predict'](list(map(str, argv)), 'ssod predict')


def test_the_command(images, checkpoint, capsys):
    out = images / 'out'
    predict(SOFT_TEACHER, checkpoint, images, '--out', out, '--score-thr', 0, '--model', 'teacher', *taught())
    said = capsys.readouterr().out
    broken = images / 'b/broken.jpg'
    assert said.splitlines()[-1] == f'1 of 4 images cannot be read and were skipped: {broken}'
    assert '[1/4]' in said and 'predicts' not in said
    assert mmcv.imread(str(out / 'a/same.jpg')).shape == (96, 96, 3)
    assert mmcv.imread(str(out / 'b/wide.PNG')).shape == (40, 200, 3)
    assert len([path for path in out.rglob('*') if path.is_file()]) == 4
    records = json.loads((out / 'predictions.json').read_text())
    names = {1: images / 'a/same.jpg', 3: images / 'b/same.jpg', 4: images / 'b/wide.PNG'}  # 2 is broken
    assert {record['image_id']: Path(record['file_name']) for record in records} == names
    for record in records:
        assert list(record) == ['image_id', 'file_name', 'category_id', 'category', 'bbox', 'score']
        assert record['category'] == class_names()[record['category_id'] - 1]
        x, y, w, h = record['bbox']
        height, width = (40, 200) if record['image_id'] == 4 else (96, 96)
        assert min(x, y, w, h) >= 0 and x + w <= width + 0.02 and y + h <= height + 0.02
    scores = [record['score'] for record in records if record['image_id'] == 1]
    assert scores == sorted(scores, reverse=True) and len(scores) > 0


def test_the_file_is_what_the_detector_says_and_coco_reads_it(images, checkpoint):
    out = images / 'out'
    predict_images(config(), str(checkpoint), [str(images / 'a')], out, 0, 'student')
    records = json.loads((out / 'predictions.json').read_text())
    model = init_detector(config(), str(checkpoint), predict_on='student')
    expected = detect(model, str(images / 'a/same.jpg'))
    for number, rows in enumerate(expected, 1):
        own = np.array([[*r['bbox'], r['score']] for r in records if r['category_id'] == number]).reshape(-1, 5)
        rows = rows[np.argsort(-rows[:, 4], kind='stable')]
        assert len(own) == len(rows)
        np.testing.assert_allclose(own[:, :2] + own[:, 2:4], rows[:, 2:4], atol=0.02)
        np.testing.assert_allclose(own[:, 4], rows[:, 4], atol=1e-4)
    coco = COCO()
    coco.dataset = dict(images=[dict(id=1)], annotations=[], categories=[dict(id=i) for i in range(1, 5)])
    coco.createIndex()
    assert len(coco.loadRes(records).anns) == len(records)


def test_masks_are_drawn_and_written(tmp_path):
    checkpoint, image = trained_masks() / 'iter_4.pth', shapes() / 'images/val/000001.jpg'
    predict(MASKS, checkpoint, image, '--out', tmp_path, '--score-thr', 0, *small())
    records = json.loads((tmp_path / 'predictions.json').read_text())
    model = init_detector(load_config(MASKS, {'test_scale': (96, 96)}), str(checkpoint))
    boxes, masks = detect(model, str(image))
    assert len(records) == sum(map(len, boxes)) > 3
    for number, (rows, own) in enumerate(zip(boxes, masks, strict=True), 1):
        found = [rle.decode(record['segmentation']) for record in records if record['category_id'] == number]
        order = np.argsort(-rows[:, 4].astype(float).round(4), kind='stable')
        np.testing.assert_array_equal(np.array(found), np.array([own[i] for i in order]))
    plain = mmcv.imread(str(image)).astype(int)
    seen = np.any([rle.decode(record['segmentation']) for record in records], axis=0)
    changed = np.abs(mmcv.imread(str(tmp_path / image.name)) - plain).sum(axis=-1) > 30
    assert changed[seen].mean() > 0.8


def test_the_threshold(images, checkpoint):
    found = {}
    for threshold in (0, 0.3, 1):
        predict_images(config(), str(checkpoint), [str(images / 'a')], images / 'out', threshold, 'student')
        found[threshold] = json.loads((images / 'out/predictions.json').read_text())
    assert all(record['score'] >= 0.3 for record in found[0.3])
    assert found[0.3] == [record for record in found[0] if record['score'] >= 0.3]
    assert found[1] == []  # the file is there, and is a list


def test_a_batch_is_the_images_one_by_one(checkpoint, tmp_path):
    """Images of one size: there is nothing to pad."""
    found = []
    for size in (1, 3, 8):
        out = tmp_path / str(size)
        predict_images(config(), str(checkpoint), [str(shapes() / 'images/val')], out, 0, 'student', batch_size=size)
        found.append(json.loads((out / 'predictions.json').read_text()))
    assert {record['image_id'] for record in found[0]} <= set(range(1, 9))
    for other in found[1:]:
        assert [r['file_name'] for r in other] == [r['file_name'] for r in found[0]]
        np.testing.assert_allclose([r['score'] for r in other], [r['score'] for r in found[0]], atol=2e-4)


def test_a_video_becomes_one_and_its_frames_are_images(images, checkpoint, capsys):
    """Two videos beside an image; of every third frame what the detector says of that frame."""
    pictures = [cv2.imread(str(path)) for path in sorted((shapes() / 'images/val').iterdir())]
    for name in ('a/clip.avi', 'b/clip.mov'):
        writer = cv2.VideoWriter(str(images / name), cv2.VideoWriter_fourcc(*'MJPG'), 12.0, (96, 96))
        for picture in pictures:
            writer.write(picture)
        writer.release()
    out = images / 'out'
    patterns = [str(images / 'a/clip.avi'), str(images / 'b/clip.mov'), str(images / 'b/broken.jpg')]
    patterns.append(str(images / 'a/same.jpg'))
    said = predict_images(config(), str(checkpoint), patterns, out, 0, 'student', batch_size=2, every=3)
    assert re.search(r'detections on 1 images and 6 frames, pictures beside it; [\d.]+ images per second', said)
    assert f'1 of 2 images cannot be read and were skipped: {images / "b/broken.jpg"}' in said
    records = json.loads((out / 'predictions.json').read_text())
    places = {(r['image_id'], Path(r['file_name']).name, r.get('frame')) for r in records}
    frames = [(0, 3), (3, 4), (6, 5)]
    assert places == {
        (2, 'same.jpg', None),
        *((number, 'clip.avi', frame) for frame, number in frames),
        *((number + 3, 'clip.mov', frame) for frame, number in frames),
    }
    model = load_model(checkpoint, config(), predict_on='student')
    video = open_video(images / 'a/clip.avi')
    expected = {number: model(frame, score_thr=0).records() for number, frame in frames_of(video, 3)}
    for number, own in expected.items():
        found = [r for r in records if Path(r['file_name']).name == 'clip.avi' and r['frame'] == number]
        np.testing.assert_allclose([r['score'] for r in found], [r['score'] for r in own], atol=3e-4)
    for name in ('a/clip.mp4', 'b/clip.mp4'):
        written = open_video(out / name)
        assert (written.frames, written.fps) == (3, 4)  # as long as the original
    drawn = next(frames_of(written))[1].astype(int)
    assert (np.abs(drawn - pictures[0]).sum(axis=-1) > 90).mean() > 0.02  # lines are on it
    assert not list(out.rglob('.tmp-*'))


def test_a_video_that_ends_too_early_is_named(images, checkpoint):
    path = images / 'cut.mkv'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'XVID'), 12.0, (96, 96))
    rng = np.random.default_rng(0)
    for _ in range(30):
        writer.write(rng.integers(0, 256, (96, 96, 3), np.uint8))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    said = predict_images(config(), str(checkpoint), [str(path)], images / 'out').splitlines()
    assert said[-1] == f'the end of these videos cannot be read: {path}'
    assert 0 < int(re.search(r'on (\d+) frames', said[0])[1]) < 15


def test_tiles(images, checkpoint):
    """One tile is the image; smaller ones find other boxes, all of them on the image."""
    found = {}
    for tile in (None, 96, 48):
        predict_images(config(), str(checkpoint), [str(images / 'a')], images / 'out', 0, 'student', tile=tile)
        found[tile] = json.loads((images / 'out/predictions.json').read_text())
    assert found[96] == found[None] != found[48]
    for record in found[48]:
        x, y, w, h = record['bbox']
        assert 0 <= x and 0 <= y and x + w <= 96.02 and y + h <= 96.02 and max(w, h) <= 48.02
    assert max(record['bbox'][0] for record in found[48]) > 48


def write_log(folder, *entries):
    lines = [dict(mode='val', iter=i, student_bbox_mAP=s, teacher_bbox_mAP=t) for i, s, t in entries]
    (folder / '1.log.json').write_text('\n'.join(json.dumps(line) for line in lines))


def test_which_model_predicts(tmp_path):
    write_log(tmp_path, (400, 0.3, 0.25), (800, 0.31, 0.4), (1200, 0.5, 0.5))
    for name in ('iter_400.pth', 'iter_1000.pth', 'iter_1200.pth', 'published.pth'):
        (tmp_path / name).touch()
    os.symlink('iter_400.pth', tmp_path / 'latest.pth')
    chosen = {path.name: recommended(str(path), 'teacher')[0] for path in tmp_path.glob('*.pth')}
    assert chosen == {
        'iter_400.pth': 'student',
        'latest.pth': 'student',
        'iter_1000.pth': 'teacher',  # the last evaluation before it
        'iter_1200.pth': 'teacher',  # as good: the config's
        'published.pth': 'teacher',
    }
    why = recommended(str(tmp_path / 'iter_1000.pth'), 'student')[1]
    assert why == 'bbox_mAP at iteration 800 of its training was student 0.310, teacher 0.400'
    (tmp_path / 'elsewhere').mkdir()
    assert recommended(str(tmp_path / 'elsewhere/iter_400.pth'), 'student') == (
        'student',
        'the config says so (predict_on)',
    )


def test_the_best_checkpoint_is_predicted_with_as_best_json_says(tmp_path):
    write_log(tmp_path, (400, 0.3, 0.4), (800, 0.35, 0.31))
    name = 'best_student_bbox_mAP_50_iter_400.pth'  # of another metric than the log's first
    Best('bbox_mAP_50', 0.61, 400, 'student', name).write(tmp_path)
    why = 'best.json names it, with bbox_mAP_50 0.610 at iteration 400'
    assert recommended(str(tmp_path / name), 'teacher') == ('student', why)
    assert recommended(str(tmp_path / 'iter_400.pth'), 'student')[0] == 'teacher'  # not the file that is named
    Best('bbox_mAP', 0.61, 800, None, 'best.pth').write(tmp_path)  # of a plain detector, which has no such choice
    assert recommended(str(tmp_path / 'best.pth'), 'teacher')[0] == 'student'


def test_a_plain_detector_has_one_model(tmp_path, capsys):
    weights = trained_baseline() / 'iter_2.pth'
    predict(BASELINE, weights, shapes() / 'images/val/000001.jpg', '--out', tmp_path, *small())
    assert 'predicts' not in capsys.readouterr().out
    with pytest.raises(InputError, match='FasterRCNN has no teacher'):
        predict(BASELINE, weights, shapes() / 'images/val', '--out', tmp_path, '--model', 'teacher', *small())


def test_images_are_found_once_each(images):
    found = find_images([str(images / 'b/*.jpg'), str(images / 'b'), str(images / '**/same.jpg')])
    names = ['b/broken.jpg', 'b/same.jpg', 'b/wide.PNG', 'a/same.jpg']
    assert [str(path.relative_to(images)) for path in found] == names
    for pattern in ('*.gif', 'b/notes.txt', 'nowhere'):
        with pytest.raises(InputError, match='no image matches'):
            find_images([str(images / pattern)])


def test_refusals(images, checkpoint):
    def refused(*patterns, weights=checkpoint, out=images / 'out'):
        with pytest.raises(InputError) as error:
            predict_images(config(), str(weights), [str(images / p) for p in patterns], out)
        return str(error.value)

    assert refused('b/broken.jpg').startswith('none of the 1 images can be read')
    assert 'no checkpoint lost.pth' in refused('a', weights='lost.pth')
    (images / 'b/broken.mp4').write_text('no video')
    assert f'{images / "b/broken.mp4"} is no video that OpenCV can read' in refused('b', weights='lost.pth')
    for name in ('a/x.avi', 'a/x.mov'):
        (images / name).write_text('no video')
    assert f'two videos would become {images / "out/x.mp4"}' in refused('a')
    assert 'would overwrite' in refused('a', out=images / 'a')
    for wrong in (['--score-thr', '1.5'], ['--batch-size', '0']):
        with pytest.raises(SystemExit):
            predict(SOFT_TEACHER, checkpoint, images, '--out', images / 'out', *wrong)
