"""Three lines of Python: whatever the image comes as, the predictions are those of a test."""

import json
import shutil
from itertools import count

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from runs import MASKS, ROOT, SOFT_TEACHER, class_names, shapes

from ssod.apis import InputError, Prediction, detect, init_detector, load_config, load_model
from ssod.apis.config import write_config
from ssod.apis.publishing import publish
from ssod.detection import task
from ssod.hooks import Best

FCOS = str(ROOT / 'configs/demo/mean_teacher_fcos_r18_shapes.py')


def work_dir(folder, config, **options):
    """A folder as a training leaves it, of random weights, which find as much; returns the checkpoint."""
    cfg = load_config(config, {'test_scale': (96, 96), 'data_root': f'{shapes()}/', **options})
    text = write_config(cfg, folder / 'settings.py').read_text()
    (folder / 'run.json').write_text(json.dumps(dict(config='configs/settings.py')))
    torch.manual_seed(0)
    model = init_detector(cfg, device='cpu')
    path = folder / 'best_iter_8.pth'
    torch.save(dict(meta=dict(CLASSES=tuple(class_names()), config=text), state_dict=model.state_dict()), path)
    Best('bbox_mAP', 0.4, 8, 'teacher', path.name).write(folder)
    return path


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return work_dir(tmp_path_factory.mktemp('boxes'), SOFT_TEACHER)


@pytest.fixture(scope='module')
def mask_model(tmp_path_factory):
    return load_model(work_dir(tmp_path_factory.mktemp('masks'), MASKS), device='cpu')


@pytest.fixture(scope='module')
def dense_model(tmp_path_factory):
    """One-stage; untrained it is sure of nothing."""
    low = {'model.detector.test_cfg.score_thr': 0.0}
    return load_model(work_dir(tmp_path_factory.mktemp('dense'), FCOS, **low), device='cpu')


@pytest.fixture(scope='module')
def model(checkpoint):
    return load_model(checkpoint, device='cpu', predict_on='student')


@pytest.fixture(scope='module')
def image(tmp_path_factory):
    """A PNG, which every reader decodes alike."""
    path = tmp_path_factory.mktemp('image') / 'image.png'
    cv2.imwrite(str(path), cv2.imread(str(shapes() / 'images/val/000001.jpg')))
    return path


def rows(result):
    """Boxes and scores of MMDetection's result, best first, and classes."""
    boxes = np.concatenate(result)
    labels = np.repeat(np.arange(len(result)), [len(own) for own in result])
    order = np.argsort(-boxes[:, 4], kind='stable')
    return boxes[order], labels[order]


def assert_equal(found: Prediction, other: Prediction):
    for name in ('size', 'boxes', 'scores', 'labels', 'names', 'run_lengths'):
        np.testing.assert_equal(getattr(found, name), getattr(other, name), err_msg=name)


def test_a_path_an_array_and_an_image_of_pillow_give_what_the_detector_says(model, image):
    found = model(image, score_thr=0)
    expected, labels = rows(detect(model.model, str(image)))
    np.testing.assert_array_equal(found.boxes, expected[:, :4])
    np.testing.assert_array_equal(found.scores, expected[:, 4])
    assert found.labels.tolist() == labels.tolist() and len(found) > 5 and found.size == (96, 96)
    assert found.names == [model.classes[label] for label in labels]
    assert found.masks is None and found.label_map is None
    array = cv2.imread(str(image))
    alpha = np.dstack([array, np.zeros((96, 96), np.uint8)])
    for same in (str(image), array, array[:, ::-1][:, ::-1], alpha, Image.open(image)):
        assert_equal(model(same, score_thr=0), found)
    assert not np.array_equal(model(array[..., ::-1].copy(), score_thr=0).scores, found.scores)  # RGB is another image
    gray = cv2.cvtColor(array, cv2.COLOR_BGR2GRAY)
    assert_equal(model(gray, score_thr=0), model(np.dstack([gray] * 3), score_thr=0))
    few = model(image, score_thr=float(found.scores[2]))
    np.testing.assert_array_equal(few.boxes, found.boxes[: len(few)])
    assert 3 <= len(few) < len(found)


def test_an_image_of_pillow_is_turned_as_its_file_is(model, image, tmp_path):
    turned = Image.open(image).crop((0, 0, 96, 60))
    exif = turned.getexif()
    exif[0x0112] = 6  # a quarter turn
    turned.save(tmp_path / 'turned.png', exif=exif)
    found = model(tmp_path / 'turned.png', score_thr=0)
    assert found.size == (96, 60)
    assert_equal(model(Image.open(tmp_path / 'turned.png'), score_thr=0), found)


def test_a_list_and_a_stream_are_the_images_one_by_one(model, image):
    names = sorted((shapes() / 'images/val').iterdir())[:3]
    single = [model(name, score_thr=0) for name in names]
    for found in (model([names[0], str(names[1]), Image.open(names[2])], score_thr=0), model(names, 0, batch_size=2)):
        assert [one.place for one in found] == [0, 1, 2]
        for one, own in zip(found[:2], single[:2], strict=True):
            assert one.labels.tolist() == own.labels.tolist()
            np.testing.assert_allclose(one.scores, own.scores, atol=2e-4)
    assert model([]) == []
    frames = count()
    camera = model.stream((cv2.imread(str(image)) for _ in frames), batch_size=1)
    first, second = next(camera), next(camera)
    assert (first.place, second.place) == (0, 1) and 0 < second.seconds < 60
    assert next(frames) == 2  # none was taken in advance


def test_broken_images(model, image, tmp_path):
    (tmp_path / 'broken.jpg').write_text('text')
    images = [image, tmp_path / 'broken.jpg', image]
    assert [one.place for one in model.stream(images, skip_broken=True)] == [0, 2]
    stream = model.stream(images, batch_size=1)
    assert next(stream).place == 0
    with pytest.raises(InputError, match='the image .*broken.jpg is no image that OpenCV can read'):
        next(stream)
    for wrong, sentence in (
        (np.zeros((4, 4, 3)), 'an image array is uint8, 0 to 255, got float64'),
        (np.zeros((4, 4, 2), np.uint8), r'\(H, W, 3\) BGR, or gray \(H, W\), got the shape \(4, 4, 2\)'),
        (np.zeros((0, 4, 3), np.uint8), r'got the shape \(0, 4, 3\)'),
        (Image.new('I;16', (4, 4)), 'an image of Pillow has mode I;16: convert it'),
        ([torch.zeros(3, 4, 4)], 'an image is a path, an array or an image of Pillow, not Tensor'),
        ('nowhere.jpg', 'the image nowhere.jpg does not exist'),
    ):
        with pytest.raises(InputError, match=sentence):
            model(wrong)


@pytest.mark.parametrize(
    'options, sentence',
    [
        (dict(tile=0), 'a tile is 1 pixel or more'),
        (dict(tile=64, overlap=1), 'a share from 0 to 0.9'),
        (dict(score_thr=1.5), r'a score in \[0, 1\], got 1.5'),
        (dict(batch_size=-1), 'batch_size is 1 or more, got -1'),
    ],
)
def test_options_are_refused_when_the_stream_is_asked_for(model, options, sentence):
    with pytest.raises(InputError, match=sentence):
        model.stream([], **options)


@pytest.mark.parametrize('kind', ['model', 'mask_model', 'dense_model'])
def test_a_tile_as_large_as_the_image_is_the_plain_result(image, kind, request):
    model = request.getfixturevalue(kind)
    plain = model(image, score_thr=0)
    assert len(plain) > 3 and (plain.masks is None) == (kind != 'mask_model')
    for tile in (96, 1000):
        assert_equal(model(image, score_thr=0, tile=tile), plain)
    if kind == 'mask_model':
        _, expected = detect(model.model, str(image))
        assert plain.masks.shape == (len(plain), 96, 96)
        assert plain.masks.sum() == sum(mask.sum() for own in expected for mask in own) > 0
        tiled = model(image, score_thr=0, tile=64)
        assert tiled.masks.shape == (len(tiled), 96, 96)


def find_bright(model, batch):
    """In place of a detector: a box around each bright part, as far as it is in view, surer of small ones."""
    results = []
    for img, meta in zip(batch['img'][0], batch['img_metas'][0], strict=True):
        height, width = meta['img_shape'][:2]
        bright = (img[0, :height, :width] > 0).numpy().astype(np.uint8)
        parts = cv2.connectedComponentsWithStats(bright)[2][1:, :4].astype(np.float32)
        parts[:, 2:] += parts[:, :2]
        parts /= meta['scale_factor']
        areas = np.prod(parts[:, 2:] - parts[:, :2], axis=1)
        found = np.concatenate([parts, (1 / areas)[:, None] ** 0.1], axis=1).astype(np.float32)
        results.append([found, *[np.zeros((0, 5), np.float32)] * (len(model.CLASSES) - 1)])
    return results


def test_objects_on_a_large_image_are_found_once_each(checkpoint, monkeypatch):
    """40 objects of up to 40 pixels, 12 across borders of tiles of 96 pixels, which have 43 or more in common."""
    scene, truth = np.zeros((300, 420, 3), np.uint8), set()
    rng = np.random.default_rng(3)
    for top in range(4, 250, 50):
        for left in range(4, 370, 50):
            width, height = rng.integers(8, 41, 2)
            scene[top : top + height, left : left + width] = 255
            truth.add((left, top, left + int(width), top + int(height)))
    monkeypatch.setattr(task.Detection, 'outputs', lambda self, *args: find_bright(*args))
    model = load_model(checkpoint, device='cpu')
    for batch_size in (1, 7):
        found = model(scene, tile=96, overlap=0.44, batch_size=batch_size)
        boxes = [tuple(map(int, box)) for box in found.boxes.round()]
        assert len(boxes) == len(truth) and set(boxes) == truth


def test_supervision_takes_the_fields(model, mask_model, image):
    sv = pytest.importorskip('supervision')
    found = model(image, score_thr=0)
    taken = sv.Detections(xyxy=found.boxes, confidence=found.scores, class_id=found.labels, mask=found.masks)
    assert len(taken) == len(found) > 5
    same = found.to_supervision()
    np.testing.assert_array_equal(same.xyxy, taken.xyxy)
    assert same.data['class_name'].tolist() == found.names
    picture = sv.BoxAnnotator().annotate(cv2.imread(str(image)), same)
    assert (picture != cv2.imread(str(image))).any()
    assert len(same.with_nms(0.1)) < len(found)
    for threshold in (0, 1):  # without an object, too
        own = mask_model(image, score_thr=threshold)
        assert own.to_supervision().mask.shape == (len(own), 96, 96)


def test_the_config_is_found_beside_the_checkpoint_or_in_it(checkpoint, model, image, tmp_path):
    expected = model(image, score_thr=0)
    alone = shutil.copy(checkpoint, tmp_path / 'alone.pth')
    assert_equal(load_model(alone, predict_on='student', device='cpu')(image, score_thr=0), expected)
    weights, config = publish(str(checkpoint), str(tmp_path / 'plain.pth'), 'student')
    assert config.suffix == '.py'
    published = load_model(weights, device='cpu')
    assert published.why is None and type(published.model).__name__ == 'FasterRCNN'
    assert_equal(published(image, score_thr=0), expected)
    content = torch.load(alone, weights_only=True)
    torch.save(dict(state_dict=content['state_dict']), alone)
    with pytest.raises(InputError, match='alone.pth holds no config with model and data: give the config too'):
        load_model(alone)
    with pytest.raises(InputError, match=f'no checkpoint {tmp_path}.latest.pth: give a file, or the work dir of'):
        load_model(tmp_path)
    with pytest.raises(InputError, match='no checkpoint nowhere.pth'):
        load_model('nowhere.pth')


def test_the_better_model_predicts_unless_one_is_asked_for(checkpoint, model):
    chosen = load_model(checkpoint.parent, device='cpu')  # the best of a work dir
    assert chosen.model.predict_on == 'teacher'
    assert chosen.why == 'best.json names it, with bbox_mAP 0.400 at iteration 8'
    assert model.why is None and model.model.predict_on == 'student'
