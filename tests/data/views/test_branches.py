"""MultiBranch, alone and as the two views that the configs make of a real file."""

from pathlib import Path

import mmcv
import numpy as np
import pytest
from mmdet.datasets.builder import PIPELINES
from mmdet.datasets.pipelines import Compose

from ssod.apis.config import load_config
from ssod.data.views import MultiBranch, RandomErasing
from ssod.data.views.geometric import AffineOp

CFG = load_config(str(Path(__file__).parents[3] / 'configs/_base_/datasets/coco_semi.py'))
PIPELINE = CFG.data.train.unlabeled.pipeline
META = ('filename', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip', 'flip_direction')
META += ('img_norm_cfg', 'transform_matrix', 'branch')

# Markers: white squares of 16 px on grey, on JPEG's own grid, so that the file holds them exactly.
SIDE = 16
CORNERS = [(x, y) for x in (80, 224, 368) for y in (64, 144, 240)]
CENTRES = np.array(CORNERS) + SIDE / 2
REACH = 24  # half the side of the window, in original pixels, within which a marker is looked for


@pytest.fixture
def image_file(tmp_path):
    img = np.full((320, 480, 3), 60, np.uint8)
    for x, y in CORNERS:
        img[y : y + SIDE, x : x + SIDE] = 255
    path = tmp_path / 'markers.jpg'
    mmcv.imwrite(img, str(path), params=[1, 100])  # 1: JPEG quality
    np.testing.assert_array_equal(mmcv.imread(str(path)), img)
    return path


def load(path, pipeline=PIPELINE):
    return Compose(pipeline)(dict(img_prefix=str(path.parent), img_info=dict(filename=path.name)))


def move(matrix, points):
    return points @ matrix[:2, :2].T.astype(np.float64) + matrix[:2, 2]


def locate(view, guess, reach):
    """Centre (x, y) of the marker near ``guess``: the mean place of the pixels that differ from the window's rim."""
    (x, y), reach = np.round(guess).astype(int), int(reach)
    window = view[y - reach : y + reach, x - reach : x + reach].mean(axis=2)
    differs = np.abs(window - np.median(window[0]))
    ys, xs = np.nonzero(differs > differs.max() / 2)
    assert differs.max() > 15 and 0 < len(xs) < window.size / 2
    return np.array([xs.mean() + 0.5 + x - reach, ys.mean() + 0.5 + y - reach])


def usable(matrix, img_shape, patches):
    """Which markers lie in the view with their window, clear of fill and of erased patches."""
    h, w = img_shape[:2]
    reach = REACH * np.sqrt(np.abs(np.linalg.det(matrix)))
    rim = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (reach + 2)
    flags = []
    for centre in move(matrix, CENTRES):
        window = centre + rim
        in_view = (window >= 0).all() and (window <= (w, h)).all()
        source = move(np.linalg.inv(matrix), window)
        in_image = (source >= 0).all() and (source <= (480, 320)).all()
        (x1, y1), (x2, y2) = window.min(0), window.max(0)
        erased = any(p[0] < x2 and p[2] > x1 and p[1] < y2 and p[3] > y1 for p in patches)
        flags.append(in_view and in_image and not erased)
    return np.array(flags), reach


def spy_on_patches(monkeypatch):
    """The list of patches of the latest draw, refilled at each."""
    patches = []
    draw = RandomErasing.draw

    def spying(self, results):
        params = draw(self, results)
        patches[:] = params['patches']
        return params

    monkeypatch.setattr(RandomErasing, 'draw', spying)
    return patches


def spy_on_warps(monkeypatch):
    """The names of the affine ops that were applied so far."""
    names = set()
    apply = AffineOp.apply

    def spying(self, results, **params):
        names.add(type(self).__name__)
        return apply(self, results, **params)

    monkeypatch.setattr(AffineOp, 'apply', spying)
    return names


def test_markers_are_where_the_matrices_say(image_file, monkeypatch):
    """A marker of the file is found in each view where that view's matrix sends it; and one found in a view, sent by
    ``T_other @ inv(T_this)``, where it is found in the other, both ways."""
    patches_of = dict(unsup_teacher=[], unsup_student=spy_on_patches(monkeypatch))
    warps = spy_on_warps(monkeypatch)
    checked, in_view, across = 0, [0.0], [0.0]
    for seed in range(16):
        np.random.seed(seed)
        matrices, clear, reaches, images = [], [], [], []
        for name, view in load(image_file).items():
            meta = view['img_metas'].data
            matrices.append(meta['transform_matrix'].astype(np.float64))
            images.append(view['img'].data)
            flags, reach = usable(matrices[-1], meta['img_shape'], patches_of[name])
            clear.append(flags)
            reaches.append(reach)
        both = CENTRES[clear[0] & clear[1]]
        found = [np.zeros((len(both), 2)), np.zeros((len(both), 2))]
        for i in (0, 1):
            for j, guess in enumerate(move(matrices[i], both)):
                found[i][j] = locate(images[i], guess, reaches[i])
            in_view.append(np.abs(found[i] - move(matrices[i], both)).max(initial=0))
        for this, other in ((0, 1), (1, 0)):
            sent = move(matrices[other] @ np.linalg.inv(matrices[this]), found[this])
            across.append(np.abs(sent - found[other]).max(initial=0))
        checked += len(both)
    assert checked >= 60 and warps == {'RandomTranslate', 'RandomRotate', 'RandomShear'}
    # A turn or shear parts boxes and image by up to half a pixel; the marker's middle is found to a tenth or so.
    assert max(in_view) < 0.6 and max(across) < 1


def test_format_of_both_views(image_file):
    np.random.seed(0)
    views = load(image_file)
    assert list(views) == ['unsup_teacher', 'unsup_student']
    for name, view in views.items():
        meta = view['img_metas'].data
        assert set(meta) == set(META) and meta['branch'] == name and meta['filename'] == str(image_file)
        assert meta['transform_matrix'].shape == (3, 3) and meta['transform_matrix'].dtype == np.float32
        img = view['img'].data
        assert img.shape == meta['img_shape'] and img.dtype == np.uint8 and img.flags.c_contiguous
        assert all(0 <= padded - side < 32 for padded, side in zip(meta['pad_shape'][:2], img.shape[:2], strict=True))
        assert meta['pad_shape'][0] % 32 == meta['pad_shape'][1] % 32 == 0
    weak = views['unsup_teacher']['img_metas'].data
    h, w = weak['img_shape'][:2]
    whole = move(weak['transform_matrix'], np.array([[0.0, 0], [480, 320]]))
    np.testing.assert_allclose(np.sort(whole, axis=0), [[0, 0], [w, h]], atol=1e-3)


def test_same_seed_same_views(image_file):
    runs = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        views = load(image_file)
        runs.append([views[name]['img_metas'].data['transform_matrix'] for name in views])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    assert not np.array_equal(runs[0][0], runs[0][1])


def test_no_op_writes_into_the_shared_image():
    img = np.random.RandomState(0).randint(0, 256, (60, 80, 3), dtype=np.uint8)
    boxes = np.float32([[5, 5, 40, 40]])
    img.flags.writeable = boxes.flags.writeable = False
    results = dict(
        img=img, img_shape=img.shape, ori_shape=img.shape, filename='x.jpg', img_fields=['img'],
        bbox_fields=['gt_bboxes'], gt_bboxes=boxes, gt_labels=np.array([3]),
    )  # fmt: skip
    strong = [dict(CFG.strong_pipeline[0], img_scale=[(120, 60), (120, 90)]), *CFG.strong_pipeline[1:]]
    op = MultiBranch(first=strong, second=strong)
    np.random.seed(0)
    for _ in range(40):
        op(results)
    assert results['img'] is img and 'branch' not in results and 'transform_matrix' not in results


def test_every_branch_has_its_own_results():
    def remember(results):
        results['bbox_fields'].append('gt_bboxes')
        results['transform_matrix'] = results['transform_matrix'] * 2
        results['mine'] = results['branch']
        return results

    shared = np.zeros((4, 4, 3), np.uint8)
    given = dict(img=shared, bbox_fields=[], branch='stale')
    views = MultiBranch(a=[remember], b=[remember, remember])(given)
    assert [views[name]['mine'] for name in 'ab'] == ['a', 'b']
    assert [views[name]['bbox_fields'] for name in 'ab'] == [['gt_bboxes'], ['gt_bboxes'] * 2]
    np.testing.assert_array_equal(views['a']['transform_matrix'], np.eye(3) * 2)
    np.testing.assert_array_equal(views['b']['transform_matrix'], np.eye(3) * 4)
    assert views['a']['img'] is views['b']['img'] is shared
    assert given == dict(img=shared, bbox_fields=[], branch='stale')


def test_none_from_a_branch_skips_the_sample():
    assert MultiBranch(a=[], b=[lambda results: None])(dict(bbox_fields=[])) is None
    assert set(MultiBranch(a=[], b=[])(dict(bbox_fields=[]))) == {'a', 'b'}


def test_built_from_a_config():
    op = PIPELINES.build(dict(type='MultiBranch', sup=[dict(type='FlipWithMatrix', flip_ratio=1.0)]))
    out = op(dict(img=np.zeros((6, 8, 3), np.uint8)))['sup']
    assert out['branch'] == 'sup'
    np.testing.assert_allclose(out['transform_matrix'], [[-1, 0, 8], [0, 1, 0], [0, 0, 1]])
    with pytest.raises(ValueError, match='at least one pipeline'):
        PIPELINES.build(dict(type='MultiBranch'))


def test_what_is_recorded_before_the_fork_stays(image_file):
    """Both views begin from the geometry that they share; without any, from the identity."""
    before = [dict(type='LoadImageFromFile'), dict(type='FlipWithMatrix', flip_ratio=1.0)]
    views = dict(plain=[dict(type='Identity')], turned=[dict(type='RandomRotate', angle=(30, 30))])
    both = load(image_file, [*before, dict(type='MultiBranch', **views)])
    flip = [[-1, 0, 480], [0, 1, 0], [0, 0, 1]]
    assert both['plain']['transform_matrix'].tolist() == flip
    alone = load(image_file, [before[0], dict(type='MultiBranch', **views)])
    np.testing.assert_allclose(
        both['turned']['transform_matrix'], alone['turned']['transform_matrix'] @ np.array(flip), atol=1e-3
    )
