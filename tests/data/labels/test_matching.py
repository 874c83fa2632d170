"""Names of other programs, and the images that they mean."""

import pytest

from ssod.core.errors import InputError
from ssod.data.labels.matching import NameMatcher

NAMES = ['a/one.jpg', 'b/one.jpg', 'two.png', 'v1.0 x.jpg', 'c/one.png']


@pytest.mark.parametrize(
    'name, expected',
    [
        ('a/one.jpg', 'a/one.jpg'),
        ('set/b/one', 'b/one.jpg'),
        (r'D:\pictures\b\one.jpg', 'b/one.jpg'),
        ('one.png', 'c/one.png'),
        ('maps/two.png', 'two.png'),
        ('two', 'two.png'),
        ('v1.0 x', 'v1.0 x.jpg'),
    ],
)
def test_found(name, expected):
    assert NameMatcher(NAMES).find(name) == expected


def test_not_found():
    with pytest.raises(InputError, match='three.jpg is no image of the set'):
        NameMatcher(NAMES).find('three.jpg')
    with pytest.raises(InputError, match='may be a/one.jpg or b/one.jpg'):
        NameMatcher(NAMES).find('one.jpg')
    with pytest.raises(InputError, match='no image'):
        NameMatcher(NAMES).find('two.jpg')
