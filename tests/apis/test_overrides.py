"""An override reaches every place that a config has written out, or is refused."""

import pytest
from runs import BASELINE, ROOT, SOFT_TEACHER

from ssod.apis import InputError, load_config

STAC = str(ROOT / 'configs/demo/stac_r18_shapes.py')
FULL = str(ROOT / 'configs/soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_full_720k.py')


@pytest.fixture
def config(tmp_path):
    """``config(text, name)``: the path of a config file."""

    def write(text, name):
        path = tmp_path / f'{name}.py'
        path.write_text(text)
        return str(path)

    return write


def refused(path, **options):
    with pytest.raises(InputError) as error:
        load_config(path, {key.replace('__', '.'): value for key, value in options.items()})
    assert '\n' not in str(error.value)
    return str(error.value)


def test_an_option_into_one_test_pipeline_leaves_the_other():
    for path in (BASELINE, SOFT_TEACHER):
        cfg = load_config(path, {'data.test.pipeline.1.img_scale': (320, 240)})
        assert cfg.data.test.pipeline[1].img_scale == (320, 240) and cfg.data.val.pipeline[1].img_scale == (160, 160)
        cfg = load_config(path, {'test_pipeline.1.img_scale': (320, 240)})
        assert cfg.data.test.pipeline == cfg.data.val.pipeline == cfg.test_pipeline
        assert cfg.data.val.pipeline[1].img_scale == (320, 240)


def test_a_scale_among_others_is_not_the_test_scale_of_the_same_numbers(config):
    text = """
scales = [(9, 8), (7, 6)]
test_scale = (7, 6)
data = dict(train=dict(pipeline=[dict(img_scale=scales)]), test=dict(pipeline=[dict(img_scale=test_scale)]))
"""
    cfg = load_config(config(text, 'own'), {'test_scale': (5, 4)})
    assert cfg.data.test.pipeline[0].img_scale == (5, 4)
    assert cfg.data.train.pipeline[0].img_scale == cfg.scales == [(9, 8), (7, 6)]


def test_an_option_of_a_named_list_reaches_every_place_of_it():
    options = {
        'sup_pipeline.3.flip_ratio': 0.1,
        'weak_pipeline.1.flip_ratio': 0.2,
        'strong_pipeline.1.flip_ratio': 0.3,
        'data.train.unlabeled.pipeline.1.unsup_student.2.transforms.1.policies.2.0.angle': (-5, 5),
    }
    train = load_config(SOFT_TEACHER, options).data.train
    views = train.unlabeled.pipeline[1]
    assert train.labeled.pipeline[0].sup[3].flip_ratio == 0.1
    assert (views.unsup_teacher[1].flip_ratio, views.unsup_student[1].flip_ratio) == (0.2, 0.3)
    assert views.unsup_student[2].transforms[1].policies[2][0].angle == (-5, 5)
    plain = load_config(BASELINE, {'train_pipeline.3.flip_ratio': 0.1}).data.train
    assert plain.pipeline[3].flip_ratio == 0.1
    assert load_config(SOFT_TEACHER, {'labeled_dataset.img_prefix': 'x/'}).data.train.labeled.img_prefix == 'x/'


@pytest.mark.parametrize('path', [BASELINE, SOFT_TEACHER, STAC])
def test_an_option_of_an_unpacked_dictionary_reaches_every_op(path):
    before, cfg = load_config(path), load_config(path, {'img_norm_cfg.to_rgb': True, 'color.policies': [[]]})
    data, old = str(cfg.data), str(before.data)
    assert "'to_rgb': False" not in data and data.count("'to_rgb': True") == old.count("'to_rgb': False") > 2
    assert 'Posterize' not in data and data.count("'policies': [[]]") == old.count('Posterize') > 0


def test_an_option_that_would_change_nothing_is_refused_with_the_place_that_would():
    assert 'would change nothing: labeled_dataset stands nowhere in `data`; set data.train.labeled itself' in refused(
        FULL, labeled_dataset__ann_file='x.json'
    )
    assert 'set data.train.unlabeled.pipeline.2.unsup_student itself' in refused(
        STAC, strong_pipeline__1__flip_ratio=0.3
    )
    assert 'did you mean strong_pipeline?' in refused(SOFT_TEACHER, strong_pipelin__1__flip_ratio=0.3)
    assert 'has no flip_ration; did you mean flip_ratio?' in refused(SOFT_TEACHER, weak_pipeline__1__flip_ration=0.3)
    assert 'has no unlabeled_ann, and nothing would read it' in refused(SOFT_TEACHER, unlabeled_ann='x.json')
    assert load_config(BASELINE, {'unlabeled_ann': 'x.json'}).unlabeled_ann == 'x.json'
    assert 'percent stands nowhere in `data`' in refused(FULL, percent=5)  # of its files none is of a split
    assert 'has no sup_pipeline, and nothing would read it' in refused(BASELINE, sup_pipeline__3__flip_ratio=0.3)


BASE_FILE = """
size = (4, 3)
scale = 2
norm = dict(mean=0, std=1)
pipeline = [dict(type='Resize', img_scale=size), dict(type='Normalize', **norm)]
data = dict(train=dict(pipeline=pipeline, ratio='${scale}'), val=dict(pipeline=pipeline))
"""


@pytest.mark.parametrize(
    'text, sentence',
    [
        ("pipeline = [dict(type='Pad')]", 'set data.train.pipeline and data.val.pipeline too'),
        ('norm = dict(mean=5)', 'set data.train.pipeline.1 and data.val.pipeline.1 too'),
        ('size = (6, 5)', 'set data.train.pipeline.0.img_scale and data.val.pipeline.0.img_scale too'),
        ("pipeline = [dict(type='Pad')]\ndata = dict(train=dict(pipeline=pipeline))", ''),  # as it says
        ('scale = 3\nmine = 4\nlr_config = dict(step=[1])', ''),
        ('norm = dict(std=1)', ''),  # merged: as before
    ],
)
@pytest.mark.parametrize('depth', [1, 2])
def test_a_file_that_redefines_a_name_for_nothing_is_refused(config, text, sentence, depth):
    config(BASE_FILE, 'base')
    path = config(f"_base_ = ['base.py']\n{text}", 'leaf')
    if depth == 2:
        path = config("_base_ = './leaf.py'\nseed = 1", 'outer')
    if sentence:
        assert 'leaf.py redefines' in (said := refused(path)) and said.endswith(f'changes nothing: {sentence}')
    else:
        load_config(path)
