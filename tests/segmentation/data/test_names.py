"""Names of images: folders, lists in the four common line formats, every N-th."""

import numpy as np
import pytest
from mmcv import imwrite

from ssod.core.errors import InputError
from ssod.segmentation.data.names import every_nth, images_in, read_list

CITY = 'aachen/aachen_000000_000019'


@pytest.fixture
def folder(tmp_path):
    for name in (
        f'leftImg8bit/train/{CITY}_leftImg8bit.png',
        'JPEGImages/2007_000032.jpg',
        'JPEGImages/2007_000033.jpg',
    ):
        imwrite(np.zeros((4, 4, 3), np.uint8), str(tmp_path / name))
    (tmp_path / 'JPEGImages/notes.txt').write_text('')
    return tmp_path


def listed(tmp_path, text, known, suffixes):
    (tmp_path / 'list.txt').write_text(text)
    return read_list(str(tmp_path / 'list.txt'), known, suffixes)


def test_images_of_a_folder_by_suffix_or_kind(folder):
    found = images_in(str(folder / 'leftImg8bit/train'), '_leftImg8bit.png')
    assert found == {CITY: f'{CITY}_leftImg8bit.png'}
    assert images_in(str(folder / 'JPEGImages'), None) == {
        '2007_000032': '2007_000032.jpg',
        '2007_000033': '2007_000033.jpg',
    }
    with pytest.raises(InputError, match='has no image that ends in .png'):
        images_in(str(folder / 'JPEGImages'), '.png')
    imwrite(np.zeros((4, 4, 3), np.uint8), str(folder / 'JPEGImages/2007_000032.png'))
    with pytest.raises(InputError, match='two images of one name'):
        images_in(str(folder / 'JPEGImages'), None)


@pytest.mark.parametrize(
    'line',
    [
        '2007_000032',
        '2007_000032.jpg',
        'JPEGImages/2007_000032.jpg SegmentationClassAug/2007_000032.png',
        'JPEGImages/2007_000032.jpg\tSegmentationClass/2007_000032.png',
        '/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png',
        'images/2007_000032.jpg\tsegmentation/2007_000032.png',
    ],
)
def test_every_line_format_of_voc(line, tmp_path):
    found = listed(tmp_path, f'{line}\n\n2007_000033\n', ['2007_000032', '2007_000033'], ['.jpg', '.png'])
    assert found == ['2007_000032', '2007_000033']


@pytest.mark.parametrize(
    'line',
    [
        CITY,
        f'leftImg8bit/train/{CITY}_leftImg8bit.png',
        f'leftImg8bit/train/{CITY}_leftImg8bit.png gtFine/train/{CITY}_gtFine_labelTrainIds.png',
        f'images/train/{CITY}_leftImg8bit.png\tsegmentation/train/{CITY}_gtFine_labelTrainIds.png',
        'aachen_000000_000019',
    ],
)
def test_every_line_format_of_cityscapes(line, tmp_path):
    suffixes = ['_leftImg8bit.png', '_gtFine_labelTrainIds.png']
    known = [CITY] if '/' in line else ['aachen_000000_000019']
    assert listed(tmp_path, line, known, suffixes) == known


def test_the_longest_end_wins_and_the_order_is_the_lists(tmp_path):
    assert listed(tmp_path, 'x/b/a.jpg\na', ['a', 'b/a'], ['.jpg']) == ['b/a', 'a']


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('a\nc', 'line 2: c is no image'),
        ('a\nx/a.jpg', 'line 2: x/a.jpg is in the list twice'),
        ('\n', 'names no image'),
    ],
)
def test_a_list_that_does_not_fit_is_refused(text, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        listed(tmp_path, text, ['a', 'b'], ['.jpg'])


def test_every_nth_of_the_sorted_names():
    names = [f'{i:05d}' for i in range(10582)][::-1]
    labeled, rest = every_nth(names, 8, True), every_nth(names, 8, False)
    assert len(labeled) == 1323 and labeled[:3] == ['00000', '00008', '00016']
    assert sorted(labeled + rest) == sorted(names) and len(rest) == 10582 - 1323
    assert [len(every_nth(names, n, True)) for n in (16, 4, 2)] == [662, 2646, 5291]
    for n, labeled in ((1, True), (8.0, True), (0, False)):
        with pytest.raises(InputError, match='2 or more'):
            every_nth(names, n, labeled)
    with pytest.raises(InputError, match='leaves no unlabeled image'):
        every_nth(['a'], 2, False)
