"""Every config loads, in our tools and in MMDetection's, and has the settings of the papers' protocols."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from unittest import mock

import mmcv
import mmdet
import pytest
import torch
from mmcv import Config
from mmdet.apis import inference_detector, init_detector
from mmdet.models import build_detector
from mmdet.utils import replace_cfg_vals
from runs import BASELINE, ENV, SOFT_TEACHER, shapes

from ssod.apis import load_config
from ssod.detection.checks import num_classes_of
from ssod.detection.heads.dense import box_head_of, default_score_thr

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
LEAVES = sorted(CONFIGS.glob('[!_]*/*.py'))
STAC = str(CONFIGS / 'demo/stac_r18_shapes.py')


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_mmdetections_own_pass_fills_in_all_and_gives_what_ours_does(path):
    cfg = replace_cfg_vals(Config.fromfile(str(path)))
    assert '${' not in str(cfg._cfg_dict)
    ours = load_config(str(path))
    added = {'cfg_name', 'work_dir'}
    assert {k: v for k, v in cfg.items() if k not in added} == {k: v for k, v in ours.items() if k not in added}
    backbone = cfg.model.get('detector', cfg.model).backbone
    if '_mobilenet_v2_' in path.stem:
        assert backbone.type == 'MobileNetV2'
    elif '_yolox_' in path.stem:
        assert backbone.widen_factor == dict(s=0.5, tiny=0.375)[path.stem.split('_yolox_')[1].split('_')[0]]
    elif '_swin_l_' in path.stem:
        assert (backbone.type, backbone.embed_dims, sum(backbone.depths)) == ('SwinBackbone', 192, 24)
    else:
        assert backbone.depth == (101 if '_r101_' in path.stem else 18 if '_r18_' in path.stem else 50)
    on_cpu = partial(torch.linspace, device='cpu')  # from which a Swin Transformer reads numbers
    with torch.device('meta'), mock.patch('torch.linspace', on_cpu):  # no memory, no draws
        model = build_detector(cfg.model)
    assert num_classes_of(model) == len(cfg.classes or range(80))
    if hasattr(model, 'student'):
        assert not any(p.requires_grad for p in model.teacher.parameters())


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_a_leaf_is_a_short_lab_note(path):
    lines = path.read_text().splitlines()
    note = [line for line in lines if line.startswith('# ')]
    assert lines[0].startswith('# ') and len(lines) <= 30
    assert any(line.startswith('#   ') for line in lines)  # the command
    assert any(word in ' '.join(note) for word in ('GPUs', 'CPU', 'make demo'))
    assert 'Tensorboard' not in str(load_config(str(path)).log_config)


def test_a_dumped_config_is_the_same_config(tmp_path):
    for path in (BASELINE, SOFT_TEACHER, STAC):
        cfg = replace_cfg_vals(Config.fromfile(path))
        with mock.patch('mmcv.utils.config.FormatCode', lambda text, **_: (text, True)):  # which takes seconds
            cfg.dump(str(tmp_path / 'dump.py'))  # what print_config shows
        assert Config.fromfile(str(tmp_path / 'dump.py'))._cfg_dict == cfg._cfg_dict


@pytest.mark.parametrize('path', [BASELINE, SOFT_TEACHER, STAC], ids=lambda path: Path(path).stem)
def test_mmdetections_init_detector_takes_a_config_and_a_checkpoint(path, tmp_path):
    model = build_detector(replace_cfg_vals(Config.fromfile(path)).model)
    names = ('circle', 'triangle', 'star', 'cross')
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.05)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(CLASSES=names)), tmp_path / 'model.pth')
    loaded = init_detector(path, str(tmp_path / 'model.pth'), device='cpu')
    assert loaded.CLASSES == names
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    found = inference_detector(loaded, str(next((shapes() / 'images/val').glob('*.jpg'))))
    assert [boxes.shape[1] for boxes in found] == [5] * 4


def browse(path, *options):
    """MMDetection's browse_dataset.py, which on Python 3.10 and later looks for Sequence where it was."""
    script = Path(mmdet.__file__).parent / '.mim/tools/misc/browse_dataset.py'
    code = 'import collections.abc, runpy, sys; collections.Sequence = collections.abc.Sequence; '
    code += "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, '-W', 'ignore', '-c', code, script, path, '--not-show', *options]
    return subprocess.run(list(map(str, command)), env=ENV, capture_output=True, text=True)


def test_mmdetections_browse_dataset_draws_the_baselines_data(tmp_path):
    settings = f'data_root = {str(shapes()) + "/"!r}\npercent = 25\ntrain_scale = [(96, 80), (96, 96)]\n'
    (tmp_path / 'own.py').write_text(f'_base_ = {BASELINE!r}\n{settings}')
    run = browse(tmp_path / 'own.py', '--output-dir', tmp_path / 'out')
    assert run.returncode == 0, run.stderr
    pictures = list((tmp_path / 'out').glob('*.jpg'))
    assert len(pictures) == 6 and all(mmcv.imread(str(path)).shape[1] == 96 for path in pictures)


def test_the_baselines_own_view_is_padded_before_it_is_normalised_as_soft_teachers_is():
    kinds = ('{}', '{}_instance', '{}_stuff', '{}_stuff_swin')
    names = [kind.format(name) for name in ('coco', 'bccd', 'shapes') for kind in kinds]
    names = [name for name in names if (CONFIGS / f'_base_/datasets/{name}_semi.py').is_file()]
    assert len(names) == 8
    for name in names:
        sup, semi = (load_config(str(CONFIGS / f'_base_/datasets/{name}_{kind}.py')) for kind in ('sup', 'semi'))
        plain, ours = list(sup.train_pipeline), semi.sup_pipeline
        assert sup.data.train.pipeline == plain and semi.data.train.labeled.pipeline[0].sup == ours
        assert semi.data.train.unlabeled.pipeline == semi.unsup_pipeline and sup.data.val.pipeline == sup.test_pipeline
        stride = {}
        if 'stuff' in name:
            rescale = plain.pop(6)
            assert rescale.type == 'SegRescale' and sup.data.train.seg_prefix == semi.data.train.labeled.seg_prefix
            stride = dict(seg_stride=round(1 / rescale.scale_factor))
        assert plain[:5] == ours[:5] and plain[-1] == ours[-1]
        pad, norm, bundle = plain[5:-1]
        assert bundle == dict(type='DefaultFormatBundle')
        assert {**pad, **norm, **stride, 'type': 'NormalizeOnDevice'} == ours[5]
        assert pad.type == 'Pad' and norm.type == 'Normalize'
        assert norm == sup.test_pipeline[1].transforms[2]
        assert sup.test_pipeline == semi.test_pipeline and sup.data.test == semi.data.test
        for key in ('ann_file', 'img_prefix', 'data_root', 'classes', 'type'):
            assert sup.data.train[key] == semi.data.train.labeled[key]


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('[!_]*/*stac*.py')) + [CONFIGS / 'ablations/multi_stage.py'])
def test_self_training_reads_the_pseudo_boxes_in_place_of_the_unlabeled_images(path):
    cfg = load_config(str(path))
    assert cfg.data.train.unlabeled == cfg.pseudo_labeled_dataset
    (branch,) = (op.unsup_student for op in cfg.data.train.unlabeled.pipeline if op.type == 'MultiBranch')
    assert branch[:-1] == cfg.strong_pipeline[:-1]
    assert branch[-1] == dict(cfg.strong_pipeline[-1], keys=['img', 'gt_bboxes', 'gt_labels'])
    assert not cfg.get('custom_hooks')


@pytest.mark.parametrize('name', ['coco', 'small_data'])
def test_dense_teachers_pipeline_forks_after_the_geometry(name):
    cfg = load_config(str(CONFIGS / f'_base_/datasets/{name}_semi_one_geometry.py'))
    load, resize, flip, fork = cfg.data.train.unlabeled.pipeline
    assert [op.type for op in (load, resize, flip)] == ['LoadImageFromFile', 'ResizeWithMatrix', 'FlipWithMatrix']
    assert resize.img_scale == cfg.train_scale and fork.unsup_teacher[0] == cfg.to_batch
    strong = [op.type for op in fork.unsup_student]
    assert strong == ['JitterColor', 'GrayColor', 'BlurImage', *['EraseWithNoise'] * 3, 'NormalizeOnDevice', 'Collect']
    probabilities = [op.prob for op in fork.unsup_student[:6]]
    assert probabilities == [0.8, 0.2, 0.5, 0.7, 0.5, 0.3]  # as in the authors' code
    (sup,) = (op.sup for op in cfg.data.train.labeled.pipeline)
    assert sup[4].policies == [[dict(type='Identity')], fork.unsup_student[:6]]


# Detectors of configs/mean_teacher -> threshold; `ssod new` builds on those of configs/small_data.
MEAN_TEACHERS = dict(retinanet=0.4, fcos=0.3, atss=0.3, faster_rcnn=0.7, yolox_s=0.5, yolox_tiny=0.5)


@pytest.mark.parametrize('detector, thr', MEAN_TEACHERS.items())
def test_a_mean_teachers_threshold_is_its_heads_own(detector, thr):
    for path in CONFIGS.glob(f'*/mean_teacher_{detector}_*.py'):
        with torch.device('meta'):
            model = build_detector(load_config(str(path)).model)
        assert model.pseudo_filter.thr == thr == default_score_thr(type(box_head_of(model.student)))


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
    assert (model.semi_train_cfg.cls_avg_factor, model.semi_train_cfg.reg_avg_factor) == ('separate', 'positives')
    assert (model.rpn_filter.score, model.cls_filter.score) == ('foreground', 'class')
    assert (model.reg_filter.distribution, model.reg_filter.relative_to) == ('uniform', 'candidate')
    assert [f.thr for f in (model.rpn_filter, model.cls_filter, model.reg_filter)] == [0.9, 0.9, 0.02]
    assert list(paper.lr_config.step) == [110000, 160000]
    assert (ours.model.semi_train_cfg.ema.ramp, paper.model.semi_train_cfg.ema.ramp) == (True, False)
    assert (model.ema.momentum, model.ema.warm_up, model.ema.interval) == (0.999, 0, 1)
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


def differing(ours, theirs, place=''):
    """Places of settings that two nested configs do not share."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        pairs = [(ours.get(key), theirs.get(key), f'{place}.{key}') for key in {*ours, *theirs}]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(one, other, place) for one, other in zip(ours, theirs, strict=True)]
    else:
        return set() if ours == theirs else {place}
    return {found for pair in pairs for found in differing(*pair)}


# Of our detectors what is not as in MMDetection's model zoo, each with its reason.
RESNET = {'.backbone.init_cfg.checkpoint', '.backbone.norm_cfg.requires_grad', '.backbone.style'}  # theirs is not caffe
DEFAULTS = {'.roi_head.mask_head.with_conv_res', '.train_cfg.rpn.assigner.match_low_quality'}  # written out
DEFAULTS |= {'.train_cfg.rcnn.assigner.match_low_quality'}
ZOO = {
    'mask_rcnn': ('mask_rcnn/mask_rcnn_r50_caffe_fpn_1x_coco', set()),
    'cascade_rcnn': (
        'cascade_rcnn/cascade_rcnn_r50_caffe_fpn_1x_coco',
        {'.test_cfg.rcnn.mask_thr_binary', '.train_cfg.rcnn.mask_size'},  # for the versions with masks
    ),
    'cascade_mask_rcnn': ('cascade_rcnn/cascade_mask_rcnn_r50_caffe_fpn_1x_coco', {'.roi_head.mask_head'}),  # a list
    'htc': ('htc/htc_r50_fpn_1x_coco', RESNET | DEFAULTS),
}


@pytest.mark.parametrize('name', ZOO)
def test_detectors_are_those_of_the_model_zoo(name):
    host, known = ZOO[name]
    ours = Config.fromfile(str(CONFIGS / f'_base_/models/{name}_r50_caffe_fpn.py')).model
    theirs = Config.fromfile(f'{mmdet.__path__[0]}/.mim/configs/{host}.py').model
    found = differing(ours._cfg_dict if hasattr(ours, '_cfg_dict') else ours, theirs)
    assert {place for place in found if not place.endswith('roi_layer.use_torchvision')} == known


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
