"""Baseline and label-once are the method but for the unlabeled images."""

import pytest
from mmcv import Config
from mmdet.models import build_detector
from runs import BASELINE, ROOT, SOFT_TEACHER

from ssod.apis import InputError, load_config
from ssod.apis.checks import check_settings
from ssod.apis.comparison import derive
from ssod.apis.config import write_config
from ssod.apis.recipe import adapt, base_images
from ssod.core import task_of

SMALL_DATA = str(ROOT / 'configs/small_data/soft_teacher_faster_rcnn_mobilenet_v2_fpn.py')
COCO = str(ROOT / 'configs/soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py')
SAME = 'optimizer optimizer_config lr_config runner evaluation checkpoint_config log_config classes load_from'.split()


@pytest.mark.parametrize('path, labeled', [(SOFT_TEACHER, 4), (SMALL_DATA, None), (COCO, 1)])
def test_the_baseline_is_the_method_on_labeled_images(path, labeled):
    cfg = load_config(path)
    labeled = labeled or cfg.base_batch['labeled']
    own = derive.baseline_config(cfg)
    assert own.model.type == 'Supervised' and own.model.detector == cfg.model.detector
    assert own.model.semi_train_cfg == dict(ema=cfg.model.semi_train_cfg.ema)
    assert {key: own.get(key) for key in SAME} == {key: cfg.get(key) for key in SAME}
    source = cfg.data.train.labeled
    assert own.data.train == {**source, 'pipeline': source.pipeline[0].sup}
    assert own.data.val == cfg.data.val and own.data.workers_per_gpu == cfg.data.workers_per_gpu
    assert own.data.samples_per_gpu == labeled and 'sampler' not in own.data
    assert own.custom_hooks == []
    assert adapt(own, processes=1) is None and base_images(own) is None
    assert cfg.model.type == 'SoftTeacher' and cfg.data.train.type == 'SemiDataset'  # as it was


@pytest.mark.parametrize('path', [SOFT_TEACHER, SMALL_DATA, COCO])
def test_label_once_is_the_method_with_labels_on_disk(path, tmp_path):
    cfg = load_config(path, {'data.train.unlabeled.img_prefix': 'elsewhere/'})
    own = derive.label_once_config(cfg, 0.7, tmp_path / 'labels.json')
    semi = cfg.model.semi_train_cfg
    assert own.model.type == 'SelfTraining' and own.model.detector == cfg.model.detector
    assert own.model.semi_train_cfg == {key: semi[key] for key in ('ema', 'sup_weight', 'unsup_weight')}
    assert {key: own.get(key) for key in SAME} == {key: cfg.get(key) for key in SAME}
    assert own.data.train.labeled == cfg.data.train.labeled and own.data.sampler == cfg.data.sampler
    unlabeled = own.data.train.unlabeled
    assert (unlabeled.type, unlabeled.score_thr) == ('PseudoLabelDataset', 0.7)
    assert unlabeled.ann_file == str(tmp_path / 'labels.json') and unlabeled.img_prefix == 'elsewhere/'
    assert own.data.samples_per_gpu == cfg.data.samples_per_gpu and own.custom_hooks == []


def test_what_is_written_is_read_back_and_can_be_built(tmp_path):
    cfg = load_config(SOFT_TEACHER)
    configs = dict(
        baseline=derive.baseline_config(cfg),
        label_once=derive.label_once_config(cfg, 0.7, tmp_path / 'x.json'),
        method=derive.method_config(cfg),
    )
    for name, own in configs.items():
        read = load_config(str(write_config(own, tmp_path / name / f'{name}.py')), work_dir='x')
        added = ('cfg_name', 'work_dir')
        assert {key: value for key, value in read.items() if key not in added} == dict(own.items())
        check_settings(read)
        assert type(build_detector(read.model)).__name__ == read.model.type
    assert configs['method'].custom_hooks == cfg.custom_hooks and configs['method'].data == cfg.data
    assert 'strong_pipeline' not in configs['method']


def test_views_wherever_a_pipeline_stands():
    branch = dict(type='MultiBranch', sup=[dict(type='A'), dict(type='B')])
    inner = dict(type='CocoDataset', pipeline=[dict(type='Load'), branch])
    wrapped = Config(
        dict(x=dict(type='RepeatDataset', times=2, dataset=dict(type='Concat', datasets=[inner, inner])))
    ).x
    plain = derive.ordinary(wrapped)
    one = dict(type='CocoDataset', pipeline=[dict(type='Load'), dict(type='A'), dict(type='B')])
    assert plain == dict(type='RepeatDataset', times=2, dataset=dict(type='Concat', datasets=[one, one]))


def test_refusals(monkeypatch, tmp_path):
    with pytest.raises(InputError, match='no unlabeled images to compare with and without'):
        derive.baseline_config(load_config(BASELINE))
    cfg = load_config(SOFT_TEACHER)
    cfg.pop('pseudo_labeled_dataset')
    with pytest.raises(InputError, match='has no pseudo_labeled_dataset'):
        derive.label_once_config(cfg, 0.7, tmp_path)
    monkeypatch.setattr(task_of(cfg), 'measures', None, raising=False)
    with pytest.raises(InputError, match='detection cannot be compared yet'):
        derive.measures_of(cfg)
    cfg.pop('evaluation')
    with pytest.raises(InputError, match='has no evaluation'):
        derive.measures_of(cfg)
