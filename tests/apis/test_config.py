import gc

import pytest
from runs import BASELINE, ROOT, SOFT_TEACHER

from ssod.apis import InputError, load_config

BASE = """
fold = 1
data = dict(train=dict(ann_file='x/a.${fold}.json', pipeline=[dict(type='Resize', img_scale=(4, 3))]))
model = dict(detector=dict(roi_head=dict(bbox_head=dict(num_classes=80))))
"""
STAC = str(ROOT / 'configs/demo/stac_r18_shapes.py')
FULL = str(ROOT / 'configs/soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_full_720k.py')


# mmcv leaves a temporary file behind for a config that it cannot read. Collected while Python parses the next config,
# as chance has it, this makes Python 3.11 raise a SystemError: collect it here.
pytestmark = pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')


@pytest.fixture(autouse=True)
def collect():
    yield
    gc.collect()


@pytest.fixture
def config(tmp_path):
    def write(text, name='name'):
        path = tmp_path / f'{name}.py'
        path.write_text(text)
        return str(path)

    return write


def refused(path, **options):
    with pytest.raises(InputError) as error:
        load_config(path, {key.replace('__', '.'): value for key, value in options.items()})
    assert '\n' not in str(error.value)
    return str(error.value)


def test_one_setting_reaches_every_place(config):
    cfg = load_config(config(BASE), {'fold': 3})
    assert cfg.data.train.ann_file == 'x/a.3.json'
    assert load_config(config(BASE), work_dir='here').work_dir == 'here'


def test_the_work_dir_has_the_percent_and_fold_that_the_data_are_of(config):
    text = 'fold = 1\npercent = 5\ndata = dict(train=dict(ann_file={!r}))\n'
    assert load_config(config(text.format('a.json'))).work_dir == 'work_dirs/name'
    split = config(text.format('${fold}@${percent}.json'))
    assert load_config(split, {'fold': 2}).work_dir == 'work_dirs/name/5/2'
    assert load_config(config(f"work_dir = 'mine'\n{text.format('${fold}.json')}")).work_dir == 'mine'


@pytest.mark.parametrize('wrap', [False, True])
def test_classes_set_the_number_of_every_head(config, wrap):
    head = (
        'dict(type="CascadeRCNN", roi_head=dict(bbox_head=[dict(num_classes=80)] * 2, mask_head=dict(num_classes=80)))'
    )
    model = f'model = dict(type="SoftTeacher", detector={head})' if wrap else f'model = {head}'
    cfg = load_config(config(f"classes = ['a', 'b', 'c']\n{model}"))
    roi_head = cfg.model.get('detector', cfg.model).roi_head
    assert [head.num_classes for head in roi_head.bbox_head] == [3, 3] and roi_head.mask_head.num_classes == 3


@pytest.mark.parametrize(
    'text, options, sentence',
    [
        ("classes = ('cell')", {}, "the string 'cell'"),
        ("classes = ['a', 'a']", {}, 'a name twice'),
        ('classes = []', {}, 'a list of class names'),
        ("a = '${b}'", {}, 'refers to ${b}, which it does not define'),
        ("a = 'x${a}'", {}, 'has ${a} in a setting that another ${...} names'),
        ("a = dict(b=1)\nc = 'x${a}'", {}, 'has a ${...} that cannot be filled in'),
        (BASE, {'data.train.ann_file.x': 1}, '--cfg-options do not fit'),
        (BASE, {'data.train.pipeline.1.type': 'Pad'}, '--cfg-options do not fit'),
        (BASE, {'data.train.ann_files': 'b'}, 'has no ann_files; did you mean ann_file?'),
        (BASE, {'data.train.pipeline.0.img_scales': 'b'}, 'has no img_scales; did you mean img_scale?'),
        (BASE, {'test_scale': (4, 3)}, 'has no test_scale, and nothing would read it'),
        (f'{BASE}size = 4', {'size': 5}, '--cfg-options size would change nothing: size stands nowhere in `data`'),
        ('a = dict(', {}, 'cannot read the config'),
        ("_base_ = 'missing.py'", {}, 'cannot read the config'),
    ],
)
def test_refusals(config, text, options, sentence):
    with pytest.raises(InputError) as error:
        load_config(config(text), options)
    assert sentence in str(error.value)


def test_an_option_that_is_no_typing_error_may_add_a_setting(config):
    options = {'seed': 1, 'data.train.pipeline': [], 'model.detector.neck.num_outs': 4, 'data.unlabeled_ann': 'u'}
    text = BASE.replace('data = dict(', "data = dict(labeled_ann='l', ")
    cfg = load_config(config(text), options)
    assert cfg.data.unlabeled_ann == 'u' and cfg.data.labeled_ann == 'l'
    assert (cfg.seed, cfg.data.train.pipeline, cfg.model.detector.neck.num_outs) == (1, [], 4)


def test_an_option_into_one_test_pipeline_leaves_the_other():
    for path in (BASELINE, SOFT_TEACHER):
        cfg = load_config(path, {'data.test.pipeline.1.img_scale': (320, 240)})
        assert cfg.data.test.pipeline[1].img_scale == (320, 240) and cfg.data.val.pipeline[1].img_scale == (160, 160)
        cfg = load_config(path, {'test_pipeline.1.img_scale': (320, 240)})
        assert cfg.data.test.pipeline == cfg.data.val.pipeline == cfg.test_pipeline
        assert cfg.data.val.pipeline[1].img_scale == (320, 240)


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
