"""Images that cannot be read are named; what can be read is the right picture; a bomb does not go off."""

import json
import resource

import cv2
import numpy as np
import pytest
import torch
from bad_input import bomb, encoded, exif, picture, pillow
from mmdet.datasets import build_dataset
from mmdet.datasets.pipelines import Compose
from PIL import Image
from torch.utils.data import DataLoader

from ssod.apis.checks import run_command
from ssod.apis.data_checks import check_names, check_source, header_size
from ssod.core.errors import InputError
from ssod.data import SampleKey, SeededDataset
from ssod.data.reading import BrokenImage, ReadImage, check_bytes, guard_pipeline, guard_reading
from ssod.hooks import BrokenImagesHook


@pytest.fixture
def read(tmp_path):
    """``read(content, **info)``: what a pipeline gives for a file of these bytes."""

    def make(content, name='x.png', max_pixels=None, **info):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        pipeline = Compose([dict(type='LoadImageFromFile')])
        guard_pipeline(pipeline, max_pixels)
        return pipeline(dict(img_prefix=str(tmp_path), img_info=dict(filename=name, **info)))['img']

    return make


GRAY = cv2.cvtColor(picture(), cv2.COLOR_BGR2GRAY)
SIZE = dict(width=64, height=48)
RIGHT = {
    'PNG': (encoded(), 0),
    'JPEG': (encoded('.jpg'), 150),
    'progressive JPEG': (pillow(Image.fromarray(picture()[..., ::-1]), 'JPEG', progressive=True, quality=95), 150),
    'BMP': (encoded('.bmp'), 0),
    'TIFF': (encoded('.tif'), 0),
    'WebP': (encoded('.webp'), 150),
    'RGBA': (encoded('.png', np.dstack([picture(), np.full((48, 64), 9, np.uint8)])), 0),
    '16 bits': (encoded('.png', picture().astype(np.uint16) * 257), 1),
    'palette': (pillow(Image.fromarray(picture()[..., ::-1]).quantize(256), 'PNG'), 150),
    'upright by EXIF': (exif(1), 150),
    'upside down by EXIF': (exif(3), 150),
    'turned right by EXIF': (exif(6), 150),
    'turned left by EXIF': (exif(8), 150),
    'bytes behind its end': (encoded('.jpg') + b'maker notes', 150),
    'bytes like a start behind its end': (encoded('.jpg') + b'\xff\xda', 150),
}


@pytest.mark.parametrize('kind', RIGHT)
def test_what_is_read_is_the_picture(read, kind):
    content, tolerance = RIGHT[kind]
    image = read(content, **SIZE)
    assert image.shape == (48, 64, 3) and image.dtype == np.uint8
    assert np.abs(image.astype(int) - picture()).max() <= tolerance
    assert np.abs(image.astype(int) - picture()).mean() <= tolerance / 20 + 2


@pytest.mark.parametrize('kind', ['L', 'I;16', '1'])
def test_gray_is_three_equal_channels(read, kind):
    images = {'L': Image.fromarray(GRAY), 'I;16': Image.fromarray(GRAY.astype(np.uint16) * 257)}
    images['1'] = Image.fromarray((GRAY > 99).astype(np.uint8) * 255).convert('1')
    image = read(pillow(images[kind], 'PNG'), **SIZE)
    assert (image == image[..., :1]).all()
    expected = (GRAY > 99) * 255 if kind == '1' else GRAY
    assert np.abs(image[..., 0].astype(int) - expected).max() <= 1


def test_cmyk_is_the_picture_in_other_inks(read):
    """Of a JPEG of four inks the red that rises and the green that rises are there."""
    cmyk = Image.fromarray(picture()[..., ::-1]).convert('CMYK')
    image = read(pillow(cmyk, 'JPEG', quality=95), 'x.jpg', **SIZE).astype(int)
    rest = image[12:, 16:]
    assert rest[..., 2][:, -1].mean() > rest[..., 2][:, 0].mean() + 100
    assert rest[..., 1][-1].mean() > rest[..., 1][0].mean() + 100


@pytest.mark.parametrize('shape', [(1, 1), (1, 20000), (20000, 10)])
def test_odd_sizes_are_taken(read, shape):
    assert read(encoded('.png', picture(*shape)), width=shape[1], height=shape[0]).shape == (*shape, 3)


def test_a_name_in_any_script(read):
    assert read(encoded(), 'Größe é 你好.png').shape == (48, 64, 3)


LARGE = encoded('.jpg', picture(480, 640))
BROKEN = {
    'missing': (None, {}, 'does not exist: put it there, or take it out of the annotation file'),
    'empty': (b'', {}, 'is empty: replace it'),
    'a text': (b'not an image', {}, 'is no image that OpenCV can read: replace it'),
    'zeros': (bytes(1000), {}, 'is no image that OpenCV can read'),
    'a PNG head alone': (encoded()[:33], {}, 'is cut off, the end of its data is missing: replace it'),
    'half a PNG': (encoded()[: len(encoded()) // 2], {}, 'is cut off'),
    'half a JPEG': (LARGE[: len(LARGE) // 2], {}, 'is cut off'),
    'a JPEG without its last bytes': (encoded('.jpg')[:-20], {}, 'is cut off'),
    'a PDF': (b'%PDF-1.4' + bytes(100), {}, 'is no image that OpenCV can read'),
    'too wide': (encoded(), dict(width=65, height=48), 'has another size, 64 x 48, than the annotation file says, 65'),
    'turned': (exif(6), dict(width=48, height=64), 'says, 48 x 64, perhaps because its EXIF tag turns it: its'),
}  # fmt: skip


@pytest.mark.parametrize('kind', BROKEN)
def test_what_cannot_be_read_is_named(read, tmp_path, kind):
    content, info, sentence = BROKEN[kind]
    with pytest.raises(BrokenImage) as refused:
        read(content, **info)
    assert str(refused.value).startswith(f'the image {tmp_path}/x.png ') and sentence in str(refused.value)
    assert refused.value.reason > 0 and BrokenImage.REASONS[refused.value.reason] in str(refused.value)


def test_a_folder_named_as_an_image(read, tmp_path):
    (tmp_path / 'x.png').mkdir()
    with pytest.raises(BrokenImage, match='x.png is no image that can be opened'):
        read(None)


def test_a_bomb_is_refused_before_it_is_decoded(read, tmp_path):
    bomb(tmp_path / 'x.png')
    assert (tmp_path / 'x.png').stat().st_size < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BrokenImage, match='is too large: more than 100000000 pixels; resize it, or set data.max'):
        read(None)
    with pytest.raises(BrokenImage, match='more than 3071 pixels'):
        read(encoded(), max_pixels=3071)
    assert read(encoded(), max_pixels=3072).shape == (48, 64, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_every_cut_of_a_file_is_found():
    for suffix in ('.jpg', '.png'):
        content = encoded(suffix)
        check_bytes(content, 'x', 10**6)
        for end in range(100, len(content) - 12, 37):
            try:
                check_bytes(content[:end], 'x', 10**6)
            except BrokenImage as error:
                assert error.reason == BrokenImage.REASONS.index('is cut off')
            else:  # so short that there is not even the start of the data, which no decoder takes
                assert cv2.imdecode(np.frombuffer(content[:end], np.uint8), cv2.IMREAD_COLOR) is None


@pytest.mark.parametrize('orientation, size', [(1, (48, 64)), (3, (48, 64)), (6, (48, 64)), (8, (48, 64))])
def test_the_header_tells_the_size_as_loaded(tmp_path, orientation, size):
    (tmp_path / 'x.jpg').write_bytes(exif(orientation))
    assert header_size(str(tmp_path / 'x.jpg')) == size == cv2.imread(str(tmp_path / 'x.jpg')).shape[:2]
    (tmp_path / 'x.jpg').write_bytes(b'text')
    assert header_size(str(tmp_path / 'x.jpg')) is None


def test_ops_are_found_wherever_they_are(coco):
    inner = [dict(type='LoadImageFromFile')]
    cfg = dict(coco('set', [(40, 40)]), pipeline=[*inner, dict(type='MultiBranch', a=inner, b=inner)])
    dataset = build_dataset(dict(type='RepeatDataset', dataset=cfg, times=2))
    guard_reading(dataset)
    branches = dataset.dataset.pipeline.transforms[1].pipelines
    ops = [dataset.dataset.pipeline.transforms[0], branches['a'].transforms[0], branches['b'].transforms[0]]
    assert all(isinstance(op, ReadImage) for op in ops)
    guard_reading(dataset)
    assert not isinstance(dataset.dataset.pipeline.transforms[0].load, ReadImage), 'twice changes nothing'
    pipeline = Compose([dict(type='MultiScaleFlipAug', img_scale=(8, 8), transforms=[*inner, dict(type='Collect', keys=['img'])])])  # fmt: skip # noqa: E501
    guard_pipeline(pipeline)
    assert isinstance(pipeline.transforms[0].transforms.transforms[0], ReadImage)


@pytest.mark.parametrize('name', ['../secret.png', '/etc/passwd', 'a/../../secret.png', '..', './../x.png', 'a/../..'])
def test_names_cannot_leave_the_image_folder(coco, tmp_path, name):
    cfg = coco('set', [(40, 40), (40, 40)])
    content = json.loads((tmp_path / 'set.json').read_text())
    content['images'][1]['file_name'] = name
    (tmp_path / 'set.json').write_text(json.dumps(content))
    (tmp_path / 'secret.png').write_bytes(encoded())
    with pytest.raises(InputError) as refused:
        check_source(build_dataset(cfg))
    assert f'{cfg["ann_file"]} names the image {name}, which is outside of img_prefix' in str(refused.value)


def test_names_inside_and_links_are_taken(coco, tmp_path):
    cfg = coco('set', [(40, 40)])
    dataset = build_dataset(cfg)
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'set/link').symlink_to(tmp_path / 'elsewhere')
    for name in ('1.png', 'a/../1.png', 'link/1.png', '..png', 'a..b.png', '...'):
        dataset.data_infos[0]['filename'] = name
        check_names(dataset)
    dataset.img_prefix, dataset.data_infos[0]['filename'] = '', str(tmp_path / 'set/1.png')
    check_names(dataset)  # no folder was named


@pytest.fixture
def semi(coco, tmp_path):
    """4 labeled images and 10 unlabeled ones."""
    labeled, unlabeled = coco('l', [(40, 40)] * 4), coco('u', [(40, 40)] * 10, boxes=False)
    for cfg in (labeled, unlabeled):
        cfg['pipeline'] = [dict(type='LoadImageFromFile')]
    dataset = build_dataset(dict(type='SemiDataset', labeled=labeled, unlabeled=unlabeled))
    guard_reading(dataset)
    return SeededDataset(dataset)


def gray(sample):
    return int(sample['img'][0, 0, 0])


def test_the_next_image_of_its_source_takes_its_place(semi, tmp_path):
    """The gray value of an image is its number."""
    assert [gray(semi[SampleKey(i, 0)]) for i in (3, 4, 13)] == [4, 1, 10] and not semi.broken.any()
    for name in ('l/4', 'u/1', 'u/2'):
        (tmp_path / f'{name}.png').write_bytes(b'')
    assert [gray(semi[SampleKey(i, 0)]) for i in (2, 3, 4, 5, 6)] == [3, 1, 3, 3, 3], '4 labeled wraps to the first'
    assert semi.broken.nonzero().flatten().tolist() == [3, 4, 5]
    assert semi.name_of(3) == f'{tmp_path}/l/4.png' and semi.name_of(4) == f'{tmp_path}/u/1.png'
    for i in range(1, 4):
        (tmp_path / f'l/{i}.png').unlink()
    with pytest.raises(InputError, match='no image of a source of 4 can be read: the image .*/l/.*png'):
        semi[SampleKey(0, 0)]


def test_the_draws_of_the_image_in_its_place_are_those_of_the_sample(semi, tmp_path):
    (tmp_path / 'l/1.png').write_bytes(b'')
    semi[SampleKey(0, 5)]
    assert np.random.rand() == np.random.RandomState(5).rand()


@pytest.mark.parametrize('workers', [0, 2])
def test_the_main_process_names_each_once_and_stops_beyond_the_share(semi, tmp_path, fake_runner, workers):
    for name in ('u/2', 'u/5'):
        (tmp_path / f'{name}.png').write_bytes(b'no image')
    (tmp_path / 'l/1.png').unlink()
    keys = [SampleKey(i, 0) for i in range(14)]
    runner, hook = fake_runner(), BrokenImagesHook(semi, max_share=0.2)
    loader = DataLoader(semi, sampler=keys, batch_size=None, num_workers=workers)
    for _ in range(2):
        assert [gray(sample) for sample in loader] == [2, 2, 3, 4, 1, 3, 3, 4, 6, 6, 7, 8, 9, 10]
        hook.after_train_iter(runner)
    assert runner.messages == [
        f'broken image 1: {tmp_path}/l/1.png does not exist; another one takes its place',
        f'broken image 2: {tmp_path}/u/2.png is no image; another one takes its place',
        f'broken image 3: {tmp_path}/u/5.png is no image; another one takes its place',
    ]
    (tmp_path / 'u/9.png').write_bytes(b'')
    list(loader)
    with pytest.raises(InputError, match='3 of 10 images of a source are broken, more than data.max_broken_share=0.2'):
        hook.after_train_iter(runner)


def test_the_error_of_a_worker_is_a_sentence_too(semi, tmp_path, capsys):
    (tmp_path / 'l/1.png').write_bytes(b'')
    loader = DataLoader(semi.dataset, sampler=[0], batch_size=None, num_workers=1)
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: next(iter(loader)))
    assert stop.value.code == f'error: the image {tmp_path}/l/1.png is empty: replace it'


def test_broken_flags_are_shared_by_spawned_workers(semi, tmp_path):
    (tmp_path / 'l/1.png').write_bytes(b'')
    keys = [SampleKey(0, 0)]
    list(DataLoader(semi, sampler=keys, batch_size=None, num_workers=1, multiprocessing_context='spawn'))
    assert torch.equal(semi.broken.nonzero(), torch.tensor([[0]]))
