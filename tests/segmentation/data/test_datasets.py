"""Data sets of label maps: pairs, subsets of classes on numpy 2, ignored values, unlabeled and pseudo-labeled ones."""

import numpy as np
import pytest
from mmcv import imwrite

from ssod.core.errors import InputError
from ssod.segmentation.data import SemiMapDataset, build_dataset
from ssod.segmentation.map_checks import check_maps

NAMES = ['a', 'b/c', 'b/d', 'e', 'f']
CLASSES = ['sky', 'road', 'car']


@pytest.fixture
def root(tmp_path):
    """Five images whose label map holds 0, 1, 2, 11 and 255 in its first row, in folders below each other."""
    for i, name in enumerate(NAMES):
        labels = np.full((4, 5), 1, np.uint8)
        labels[0] = (0, 1, 2, 11, 255)
        imwrite(labels, str(tmp_path / f'labels/{name}.png'))
        imwrite(np.full((4, 5, 3), 10 * i, np.uint8), str(tmp_path / f'images/{name}.jpg'))
    return tmp_path


LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


def settings(root, **more):
    common = dict(type='LabelMapDataset', data_root=str(root), img_dir='images', ann_dir='labels', classes=CLASSES)
    return dict(common, ignore_values=[11], pipeline=LOAD) | more


def test_pairs_are_sorted_and_ignored_values_become_255(root):
    dataset = build_dataset(settings(root))
    assert [info['filename'] for info in dataset.img_infos] == [f'{name}.jpg' for name in sorted(NAMES)]
    assert [info['ann']['seg_map'] for info in dataset.img_infos] == [f'{name}.png' for name in sorted(NAMES)]
    sample = dataset[1]
    assert sample['gt_semantic_seg'][0].tolist() == [0, 1, 2, 255, 255]
    assert sample['pseudo'] is False
    assert dataset.get_gt_seg_map_by_idx(1)[0].tolist() == [0, 1, 2, 255, 255]  # in the evaluation too


def test_a_subset_of_the_classes_is_numbered_anew_and_the_rest_is_ignored(root):
    more = dict(classes=['car', 'sky'], all_classes=CLASSES, palette=[[1, 1, 1], [2, 2, 2], [3, 3, 3]])
    dataset = build_dataset(settings(root, **more))
    assert dataset[0]['gt_semantic_seg'][0].tolist() == [1, 255, 0, 255, 255]
    assert dataset.PALETTE == [[3, 3, 3], [1, 1, 1]]
    assert len(build_dataset(settings(root, classes=['car'], all_classes=CLASSES)).PALETTE) == 1


def test_a_subset_of_mmsegs_own_classes_works_on_numpy_2(root):
    cfg = dict(type='CityscapesDataset', img_dir=str(root / 'images'), ann_dir=str(root / 'labels'), pipeline=LOAD)
    cfg |= dict(img_suffix='.jpg', seg_map_suffix='.png', classes=['sidewalk', 'car'])
    labels = build_dataset(cfg)[0]['gt_semantic_seg']
    assert labels[0].tolist() == [255, 0, 255, 255, 255]


def test_every_nth_and_lists(root):
    labeled, rest = (build_dataset(settings(root, every_nth=(2, part))) for part in ('labeled', 'unlabeled'))
    assert [info['filename'] for info in labeled.img_infos] == ['a.jpg', 'b/d.jpg', 'f.jpg']
    assert [info['filename'] for info in rest.img_infos] == ['b/c.jpg', 'e.jpg']
    assert len(build_dataset(settings(root, every_nth=(None, 'labeled')))) == 5
    (root / 'list.txt').write_text('images/f.jpg labels/f.png\nb/c\n')
    listed = build_dataset(settings(root, split='list.txt'))
    assert [info['filename'] for info in listed.img_infos] == ['f.jpg', 'b/c.jpg']
    with pytest.raises(InputError, match=r"every_nth is \(N, 'labeled'\)"):
        build_dataset(settings(root, every_nth=(2, 'rest')))


def test_unlabeled_images_need_no_labels_and_a_semi_dataset_joins_them(root):
    unlabeled = dict(type='UnlabeledDataset', img_dir=str(root / 'images'), classes=CLASSES, pipeline=LOAD[:1])
    semi = SemiMapDataset(settings(root, every_nth=(2, 'labeled')), unlabeled)
    assert len(semi) == 3 + 5 and semi.CLASSES == CLASSES
    assert 'gt_semantic_seg' in semi[0] and 'gt_semantic_seg' not in semi[3]
    with pytest.raises(InputError, match='reads no label maps'):
        build_dataset(dict(unlabeled, ann_dir='labels'))


def test_pseudo_maps_are_marked_and_not_renumbered(root):
    cfg = settings(
        root, type='PseudoMapDataset', classes=['car', 'sky'], all_classes=CLASSES, every_nth=(2, 'unlabeled')
    )
    sample = build_dataset(cfg)[0]
    assert sample['pseudo'] is True and sample['gt_semantic_seg'][0].tolist() == [0, 1, 2, 11, 255]
    (root / 'labels/e.png').unlink()
    with pytest.raises(InputError, match='pseudo labels of e.jpg, do not exist: write them with tools/pseudo_label.py'):
        build_dataset(cfg)


def test_a_union_holds_all_of_its_sets(root):
    cfg = dict(type='UnionDataset', datasets=[settings(root), settings(root, type='PseudoMapDataset')])
    union = build_dataset(cfg)
    assert len(union) == 10 and union.CLASSES == CLASSES
    assert [union[i]['pseudo'] for i in (0, 9)] == [False, True]


@pytest.mark.parametrize(
    'more, sentence',
    [
        (dict(ignore_values=()), r'holds \[11\], and the 3 classes are 0 to 2: set ignore_values'),
        (dict(classes=['sky', 'road']), r'holds \[2\], and the 2 classes'),
        (dict(classes=None), 'has no classes'),
    ],
)
def test_numbers_that_are_no_class_are_refused(root, more, sentence):
    with pytest.raises(InputError, match=sentence):
        check_maps(build_dataset(settings(root, **more)))
