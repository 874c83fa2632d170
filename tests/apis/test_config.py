import gc

import pytest

from ssod.apis import InputError, load_config

BASE = """
fold = 1
data = dict(train=dict(ann_file='x/a.${fold}.json', pipeline=[dict(type='Resize', img_scale=(4, 3))]))
model = dict(detector=dict(roi_head=dict(bbox_head=dict(num_classes=80))))
"""


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
