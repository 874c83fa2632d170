"""Every config loads and builds, with the settings of the papers' protocols."""

from pathlib import Path

import mmcv
import pytest
from mmdet.models import build_detector

from ssod.apis import load_config

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
# The ablations' rows are in tests/tools/test_ablate.py.
LEAVES = sorted(path for path in CONFIGS.glob('[!_]*/*.py') if path.parent.name != 'ablations')


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_loads_and_builds(path):
    cfg = load_config(str(path))
    assert '${' not in str(cfg._cfg_dict)
    depth = 101 if '_r101_' in path.stem else 50 if '_r50_' in path.stem else 18
    assert cfg.model.get('detector', cfg.model).backbone.depth == depth
    model = build_detector(cfg.model)
    head = (model.student if hasattr(model, 'student') else model).roi_head.bbox_head
    assert head.num_classes == len(cfg.classes or range(80))
    if hasattr(model, 'student'):
        assert not any(p.requires_grad for p in model.teacher.parameters())


# name: learning rate, steps, iterations, images a GPU, ratio, by_prob, unsup_weight
PROTOCOLS = {
    'baseline/faster_rcnn_r50_caffe_fpn_coco_partial_180k': (0.01, [120000, 160000], 180000, 1, None, None),
    'baseline/faster_rcnn_r50_caffe_fpn_coco_full_720k': (0.02, [480000, 640000], 720000, 2, None, None),
    'baseline/faster_rcnn_r101_caffe_fpn_coco_full_720k': (0.02, [480000, 640000], 720000, 2, None, None),
    'soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k': (0.01, [120000, 160000], 180000, 5, (1, 4), 4.0),
    'soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_full_720k': (
        *(0.01, [480000, 640000], 720000, 8),
        *((1, 1), 2.0),
    ),
    'soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_full_1440k': (
        *(0.01, [960000, 1280000], 1440000, 8),
        *((1, 1), 2.0),
    ),
    'soft_teacher/soft_teacher_faster_rcnn_r101_caffe_fpn_coco_full_1080k': (
        *(0.01, [720000, 960000], 1080000, 8),
        *((1, 1), 2.0),
    ),
}


@pytest.mark.parametrize('name', PROTOCOLS)
def test_protocol(name):
    lr, steps, iterations, images, ratio, unsup_weight = PROTOCOLS[name]
    cfg = load_config(str(CONFIGS / f'{name}.py'))
    assert (cfg.optimizer.lr, cfg.optimizer.momentum, cfg.optimizer.weight_decay) == (lr, 0.9, 1e-4)
    assert list(cfg.lr_config.step) == steps and cfg.runner.max_iters == iterations
    assert (cfg.lr_config.warmup_iters, cfg.lr_config.warmup_ratio) == (500, 0.001)
    assert cfg.fp16.loss_scale == 'dynamic' and cfg.optimizer_config.grad_clip is None
    assert cfg.data.samples_per_gpu == images
    if ratio is not None:
        assert tuple(cfg.data.sampler.ratio) == ratio
        semi = cfg.model.semi_train_cfg
        assert semi.unsup_weight == unsup_weight and semi.sup_weight == 1.0
        assert [semi[f].thr for f in ('rpn_filter', 'cls_filter', 'reg_filter')] == [0.9, 0.9, 0.02]
        assert semi.candidate_score_thr == 0.5
    detector = cfg.model.get('detector', cfg.model)
    assert detector.backbone.init_cfg.checkpoint.startswith('open-mmlab://detectron2/resnet')
    assert detector.backbone.frozen_stages == 1 and detector.test_cfg.rcnn.score_thr == 0.05


@pytest.mark.parametrize('protocol, expected', [('180k', ['1@10']), ('full_720k', ['train2017.json', 'unlabeled2017'])])
def test_data_of_the_protocols(protocol, expected):
    cfg = load_config(str(CONFIGS / f'soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_{protocol}.py'))
    files = cfg.data.train.labeled.ann_file + cfg.data.train.unlabeled.ann_file
    assert all(part in files for part in expected)
    assert cfg.data.train.unlabeled.filter_empty_gt is False


def test_the_papers_wording_is_one_config():
    name = 'soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k'
    ours, paper = (load_config(str(CONFIGS / f'{name}{suffix}.py')) for suffix in ('', '_paper'))
    model = build_detector(paper.model)
    assert (model.cls_avg_factor, model.reg_avg_factor) == ('separate', 'positives')
    assert (model.rpn_filter.score, model.cls_filter.score) == ('foreground', 'class')
    assert (model.reg_filter.distribution, model.reg_filter.relative_to) == ('uniform', 'candidate')
    assert [f.thr for f in (model.rpn_filter, model.cls_filter, model.reg_filter)] == [0.9, 0.9, 0.02]
    assert list(paper.lr_config.step) == [110000, 160000]
    assert paper.custom_hooks[0] == dict(type='MeanTeacherHook', momentum=0.999, ramp=False)
    assert paper.data.sampler.decay == dict(iters=10000, max_iters=180000)
    assert not paper.data.sampler.by_prob and not paper.data.sampler.at_least_one
    shears = []
    for cfg in (ours, paper):
        order, erasing, *_ = cfg.data.train.unlabeled.pipeline[1].unsup_student[2:]
        shears.append([op.factor for op in order.transforms[1].policies[3]])
        assert (tuple(erasing.n_patches), tuple(erasing.ratio)) == (
            ((1, 4), (0, 0.2)) if cfg is ours else ((1, 5), (0.05, 0.2))
        )
    assert shears == [['tanh'] * 2, ['tan'] * 2]
    assert model.unsup_weight == 4.0 and paper.runner == ours.runner and paper.optimizer == ours.optimizer


@pytest.mark.parametrize('metafile', sorted(CONFIGS.glob('*/metafile.yml')), ids=lambda path: path.parent.name)
def test_a_metafile_names_every_config_of_its_folder_and_the_readme_its_figures(metafile):
    folder, data = metafile.parent, mmcv.load(metafile)
    models, collections = data['Models'], [collection['Name'] for collection in data['Collections']]
    assert sorted(model['Config'] for model in models) == sorted(
        f'configs/{folder.name}/{p.name}' for p in folder.glob('*.py')
    )
    readme = (folder / 'README.md').read_text()
    for model in models:
        assert model['Config'].endswith(f'/{model["Name"]}.py') and model['In Collection'] in collections
        cfg = load_config(str(CONFIGS.parent / model['Config']))
        assert model['Metadata']['Iterations'] == cfg.runner.max_iters
        assert f'x {cfg.data.samples_per_gpu} image' in model['Metadata']['Training Resources']
        for result in [*model['Published'], *model['Results']]:
            assert all(str(value) in readme for value in result['Metrics'].values())
    assert all((CONFIGS.parent / collection['README']).is_file() for collection in data['Collections'])
