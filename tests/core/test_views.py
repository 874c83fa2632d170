"""Which views belong together, and the matrix between them."""

import pytest
import torch

from ssod.core import in_order_of


def test_views_are_paired_by_file_and_a_file_met_twice_by_occurrence(make_view):
    batch = make_view(['b', 'a', 'b', 'c'])
    batch['img'] = torch.arange(4.0).view(4, 1, 1, 1)
    ordered = in_order_of(batch, make_view(['c', 'b', 'b', 'a'])['img_metas'])
    assert ordered['img'].flatten().tolist() == [3, 0, 2, 1]
    assert [meta['filename'] for meta in ordered['img_metas']] == ['c', 'b', 'b', 'a']
    assert in_order_of(batch, batch['img_metas']) is batch


@pytest.mark.parametrize('names', [['a', 'a'], ['a', 'c'], ['a']])
def test_views_of_different_files_are_refused(make_view, names):
    with pytest.raises(ValueError, match='show different images'):
        in_order_of(make_view(['a', 'b']), make_view(names)['img_metas'])
