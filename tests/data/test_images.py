import io

import mmcv
import numpy as np
import pytest
from PIL import Image

from ssod.data import images


def save(path, size=(40, 30), orientation=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[images.EXIF_ORIENTATION] = orientation
    Image.fromarray(np.arange(size[0] * size[1] * 3, dtype=np.uint8).reshape(size[1], size[0], 3)).save(
        path, exif=exif, **options
    )
    return path


def test_any_mix_of_suffixes_nested_and_linked(tmp_path):
    names = ['a.jpg', 'b.JPEG', 'in/c.PNG', 'in/deep/d.bmp', 'e.tif', 'f.TIFF', 'g.webp']
    for name in names:
        save(tmp_path / 'set' / name)
    for name in ('notes.txt', '._a.jpg', '.thumbs/a.jpg', 'video.mp4'):
        (tmp_path / 'set' / name).parent.mkdir(exist_ok=True)
        (tmp_path / 'set' / name).write_bytes(b'')
    save(tmp_path / 'elsewhere' / 'h.jpg')
    (tmp_path / 'set' / 'link').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'set' / 'in' / 'up').symlink_to(tmp_path / 'set')  # would go round for ever
    found = [p.relative_to(tmp_path / 'set').as_posix() for p in images.walk(tmp_path / 'set') if images.is_image(p)]
    assert sorted(found) == sorted([*names, 'link/h.jpg'])


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif'])
@pytest.mark.parametrize(
    'orientation, size, turned', [(None, (40, 30), False), (3, (40, 30), True), (6, (30, 40), True)]
)
def test_the_size_is_that_of_the_upright_image(tmp_path, suffix, orientation, size, turned):
    path = save(tmp_path / f'x.{suffix}', orientation=orientation)
    facts = images.look_at(path)
    assert (facts.width, facts.height) == images.image_size(path) == size
    assert facts.turned == turned
    assert mmcv.imfrombytes(path.read_bytes()).shape[:2] == size[::-1]  # as LoadImageFromFile does


def test_equal_files_have_equal_digests(tmp_path):
    a, b, c = save(tmp_path / 'a.png'), save(tmp_path / 'b.png'), save(tmp_path / 'c.png', size=(41, 30))
    facts = images.look_at_all([a, b, c, a])
    assert list(facts) == [a, b, c]
    assert facts[a].digest == facts[b].digest != facts[c].digest


def test_what_cannot_be_read_is_none(tmp_path):
    whole = io.BytesIO()
    Image.new('RGB', (40, 30)).save(whole, 'PNG')
    for name, content in (('empty.jpg', b''), ('text.jpg', b'no image'), ('cut.png', whole.getvalue()[:20])):
        (tmp_path / name).write_bytes(content)
        assert images.look_at(tmp_path / name) is None
    assert images.look_at(tmp_path / 'absent.jpg') is None


def test_difference_hash_by_hand():
    rising = np.tile(np.arange(9, dtype=np.uint8), (8, 1))
    assert images.difference_hash(rising).all()
    assert not images.difference_hash(rising[:, ::-1].copy()).any()
    rising[2, 5] = 0  # one bit less: pixel 5 is no longer above 4, and 6 still above 5
    assert np.flatnonzero(~images.difference_hash(rising)).tolist() == [2 * 8 + 4]
