"""The config that `ssod new` writes: its numbers by hand, and that every tool takes it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from mmcv import Config
from mmdet.utils import replace_cfg_vals
from raw_folders import make_coco, make_voc, save_image

from ssod.apis import load_config, new_dataset
from ssod.apis.checks import check_train_config
from ssod.apis.comparison import new_plan
from ssod.apis.presets import preset_for
from ssod.apis.recipe import settle
from ssod.core.errors import InputError
from ssod.core.hardware import Hardware
from ssod.detection.data.folders import config_text
from ssod.detection.data.folders.config_text import write_config
from ssod.detection.data.folders.fitting import fit_scale, fit_schedule
from ssod.detection.data.folders.summary import DataSummary, summarize

GIB = 2**30
LAPTOP = Hardware(gpus=0, memory=16 * GIB, cores=4)
CPU = replace(preset_for(None), samples_per_gpu=4, ratio=(1, 3), cumulative_iters=1)
# What the rule is worked out on by hand; the recipe's own numbers are free to change.
BASE = Config(
    dict(
        data=dict(samples_per_gpu=4, sampler=dict(ratio=(1, 3))),
        optimizer=dict(type='AdamW', lr=0.001),
        optimizer_config=dict(),
        burn_in=200,
        runner=dict(max_iters=1000),
        lr_config=dict(step=[800]),
        evaluation=dict(interval=250),
        checkpoint_config=dict(interval=500),
        model=dict(semi_train_cfg=dict(ema=dict(momentum=0.99))),
    )
)


@pytest.fixture(autouse=True)
def in_project(tmp_path, monkeypatch):
    (tmp_path / 'project').mkdir()
    monkeypatch.chdir(tmp_path / 'project')


def coco(images, box=(0, 0, 100, 100), size=(640, 480)):
    """A COCO dictionary with one box on each of some images."""
    return dict(
        images=[dict(id=i, width=size[0], height=size[1]) for i in range(images)],
        annotations=[dict(image_id=i, category_id=1, bbox=box) for i in range(images)],
        categories=[dict(id=1, name='cat')],
    )


def summary(labeled=20, unlabeled=100, scale=(640, 480), test=False, **box):
    """Figures of a set whose images are as large as `scale`."""
    parts = dict(labeled=labeled, unlabeled=unlabeled, val=5, **(dict(test=5) if test else {}))
    splits = {part: summarize(coco(images, size=scale, **box), scale) for part, images in parts.items()}
    return DataSummary('mine', 'data/mine', ['cat'], scale, splits)


def test_the_recipe_stays_where_batch_and_data_are_the_recipes():
    fit = fit_schedule(BASE, CPU, labeled=20)
    assert (fit.samples, fit.labeled, fit.cumulative, fit.lr) == (4, 1, 1, 0.001)
    assert (fit.iterations, fit.burn_in, fit.steps) == (1000, 200, [800])
    assert (fit.evaluations, fit.checkpoints, fit.momentum) == (250, 500, 0.99)  # 100 of 1000 iterations: a tenth


def test_a_larger_batch_takes_a_higher_rate_and_fewer_iterations():
    fit = fit_schedule(BASE, replace(CPU, samples_per_gpu=8), labeled=20)
    assert (fit.labeled, fit.lr, fit.iterations, fit.burn_in, fit.steps) == (2, 0.00141, 520, 104, [416])  # sqrt(2)
    assert fit.evaluations == 130  # 125 rounded up to tens, four times
    assert fit.momentum == round(1 - 1 / 52, 4)
    linear = Config({**BASE, 'optimizer': dict(type='SGD', lr=0.001)})
    assert fit_schedule(linear, replace(CPU, samples_per_gpu=8), labeled=20).lr == 0.002


def test_accumulated_images_count_for_the_rate_alone():
    fit = fit_schedule(BASE, replace(CPU, samples_per_gpu=2, cumulative_iters=2), labeled=20)
    assert (fit.lr, fit.iterations, fit.labeled, fit.unlabeled) == (0.001, 2000, 0.5, 1.5)
    assert fit.momentum == 0.99  # it counts steps, 1000 of 2 iterations
    odd = fit_schedule(BASE, replace(CPU, samples_per_gpu=2, cumulative_iters=3), labeled=20)
    assert (odd.evaluations, odd.checkpoints, odd.iterations) == (510, 1020, 2040)  # whole steps
    whole = fit_schedule(Config({**BASE, 'optimizer_config': dict(cumulative_iters=2)}), CPU, 20)
    assert whole.lr == 0.000707  # the recipe itself has 8 images a step


def test_many_labeled_images_are_all_looked_at():
    fit = fit_schedule(BASE, CPU, labeled=100)
    assert (fit.iterations, fit.burn_in, fit.steps, fit.evaluations) == (2400, 480, [1920], 600)  # 24 x 100 / 1


def test_an_average_over_too_many_iterations_is_shortened():
    slow = Config({**BASE, 'model': dict(semi_train_cfg=dict(ema=dict(momentum=0.999)))})
    assert fit_schedule(slow, CPU, labeled=20).momentum == 0.99  # 100 of 1000 iterations, not all
    quick = Config({**BASE, 'model': dict(semi_train_cfg=dict(ema=dict(momentum=0.9)))})
    assert fit_schedule(quick, CPU, labeled=100).momentum == round(1 - 1 / 24, 4)  # 10 of 1000, so 24 of 2400


def test_scale():
    assert fit_scale(summary(), (1333, 800))[0] == (640, 480)
    scale, why = fit_scale(summary(), (512, 512))
    assert scale == (512, 384) and 'the median of your images is 640 x 480' in why
    assert fit_scale(summary(scale=(600, 600)), (512, 400))[0] == (400, 400)
    assert fit_scale(summary(scale=(64, 48)), (512, 512))[0] == (64, 48)


def test_small_boxes_raise_the_scale():
    """Boxes of 2 pixels on 320: 4 pixels ask for twice that, of 4.5 pixels on 640 for 569."""
    scale, why = fit_scale(summary(box=(0, 0, 30, 4.5)), (512, 512))
    assert scale == (569, 427) and 'more than the 512 x 384 that suit this machine' in why
    assert fit_scale(summary(box=(0, 0, 30, 5.1)), (512, 512))[0] == (512, 384)  # 4.08 pixels
    assert fit_scale(summary(box=(0, 0, 30, 2)), (512, 512))[0] == (640, 480)  # no more than there is
    nothing = summary(unlabeled=3)
    nothing.splits['labeled'] = summarize(dict(coco(2), annotations=[]), (640, 480))
    assert nothing.splits['labeled'].box_share == ()
    assert fit_scale(nothing, (512, 512))[0] == (512, 384)


@pytest.mark.parametrize('memory, backbone', [(None, 'mobilenet_v2'), (4, 'mobilenet_v2'), (7.8, 'resnet50')])
def test_presets(memory, backbone):
    assert preset_for(memory and memory * GIB).backbone == backbone
    assert config_text.config_path(backbone).is_file()


def test_text_for_a_cpu():
    """The recipe's numbers, as they are fitted to 20 labeled images."""
    base = Config.fromfile(str(config_text.config_path('mobilenet_v2')), import_custom_modules=False)
    samples, ratio = base.data.samples_per_gpu, tuple(base.data.sampler.ratio)
    steps = base.optimizer_config.get('cumulative_iters', 1)
    own = replace(preset_for(None), samples_per_gpu=samples, ratio=ratio, cumulative_iters=steps)
    fit = fit_schedule(base, own, labeled=20)
    text = write_config(summary(), LAPTOP)
    for part in (
        '# Soft Teacher on mine (20 labeled, 100 unlabeled, 5 val images), for 4 CPU cores with 16 GiB and no GPU.\n',
        '#   ssod train data/mine/soft_teacher.py\n',
        '#   ssod compare data/mine/soft_teacher.py ',
        "work_dir = 'work_dirs/mine/soft_teacher'\n",
        "classes = ['cat']\n",
        '# 512 x 384 is what this machine trains in reasonable time',
        'test_scale = (512, 384)\n',
        'img_scale=test_scale',
        f'samples_per_gpu={samples},\n',
        'images an iteration: as in the recipe.\n',
        f'workers_per_gpu={preset_for(None).workers},\n',
        f'optimizer = dict(lr={base.optimizer.lr:g})\n',
        f'base_batch = dict(labeled={fit.labeled * steps:g}, unlabeled={fit.unlabeled * steps:g})\n',
        f'max_iters={fit.iterations})\n',
        f'burn_in = {fit.burn_in}\n',
        'There are no test images of their own',
    ):
        assert part in text, part
    assert 'fp16' not in text and ('cumulative_iters' in text) == (steps > 1) and 'dist_train' not in text
    assert 'workers_per_gpu=0,' in write_config(summary(), Hardware(0, GIB, cores=1))
    assert 'val.json' not in write_config(summary(test=True), LAPTOP)
    assert all(len(line) <= 120 for line in text.splitlines())


def test_text_for_gpus(monkeypatch):
    preset = replace(CPU, memory=0, samples_per_gpu=6, ratio=(1, 2), cumulative_iters=2, workers=9, fp16=True)
    preset = replace(preset, backbone='resnet50', max_scale=(1333, 800))
    asked = []
    monkeypatch.setattr(config_text, 'preset_for', lambda memory: asked.append(memory) or preset)
    text = write_config(summary(scale=(1000, 750)), Hardware(gpus=4, memory=8 * GIB, cores=16))
    for part in (
        'for 4 GPUs with 8 GiB each, 16 CPU cores.',
        'On all 4: bash tools/dist_train.sh data/mine/soft_teacher.py 4 --auto-scale\n',
        'soft_teacher_faster_rcnn_r50_fpn.py',
        'test_scale = (1000, 750)\n',
        '# 2 labeled and 4 unlabeled images an iteration: what suits the memory of the GPU.\n',
        'sampler=dict(ratio=(1, 2)),\n',
        'workers_per_gpu=3,',  # 16 cores for 4 trainings
        'optimizer_config = dict(cumulative_iters=2)\n',
        'base_batch = dict(labeled=4, unlabeled=8)\n',
        "fp16 = dict(loss_scale='dynamic')\n",
    ):
        assert part in text, part
    assert 'dist_train' not in write_config(summary(), Hardware(1, 24 * GIB, 16))
    write_config(summary(), LAPTOP)
    assert asked == [8 * GIB, 24 * GIB, None]


@pytest.mark.parametrize('hardware', [LAPTOP, Hardware(1, 24 * GIB, 8)], ids=['cpu', 'gpu'])
def test_every_tool_takes_the_config(hardware, monkeypatch):
    monkeypatch.setattr('ssod.detection.data.folders.new.this_machine', lambda: hardware)
    make_coco(Path('raw/a.json'), [f'{i}.jpg' for i in range(20)], names=('dog', "bird's nest"))
    for i in range(100, 104):
        save_image(Path(f'more/{i}.jpg'), i)
    report = new_dataset('mine', 'raw', 'more')
    last = str(report).splitlines()[-5:]
    assert last[0] == 'Look through data/mine/soft_teacher.py, then:'
    said = [line.split(' data/mine/soft_teacher.py')[0] for line in last[1:]]
    assert said == ['  ssod train', '  ssod compare', '  ssod test', '  ssod predict']
    cfg = load_config(str(report.config))
    assert settle(cfg, processes=1) is None  # its lr is for its own batch
    new_plan(cfg, Path('compared'), seeds=(0,), skip=(), threshold=None)
    assert cfg.work_dir == 'work_dirs/mine/soft_teacher'
    assert cfg.model.detector.roi_head.bbox_head.num_classes == 2
    assert cfg.data_root == f'{Path("data/mine").absolute()}/'
    sizes = {tuple(cfg.data[part].pipeline[1].img_scale) for part in ('val', 'test')}
    assert sizes == {cfg.test_scale} == {(64, 48)}
    assert (cfg.data.test.ann_file, cfg.data.test.img_prefix) == ('annotations/val.json', 'images/val/')
    assert cfg.data.train.labeled.pipeline[0].sup[2].img_scale == cfg.train_scale
    assert cfg.custom_hooks[0].burn_in == cfg.burn_in
    theirs = replace_cfg_vals(Config.fromfile(str(report.config)))
    assert {key: value for key, value in theirs.items() if key != 'model'} == {
        key: value for key, value in cfg.items() if key not in ('model', 'cfg_name')
    }
    monkeypatch.chdir('data')  # the config finds its data from anywhere
    check_train_config(load_config('mine/soft_teacher.py'))


ONE_STAGE = dict(retinanet='RetinaNet', fcos='FCOS', atss='ATSS', yolox='YOLOX')


@pytest.mark.parametrize('hardware', [LAPTOP, Hardware(1, 24 * GIB, 8)], ids=['cpu', 'gpu'])
@pytest.mark.parametrize('detector', ONE_STAGE)
def test_a_detector_of_one_stage_has_a_mean_teacher(detector, hardware, monkeypatch):
    monkeypatch.setattr('ssod.detection.data.folders.new.this_machine', lambda: hardware)
    make_coco(Path('raw/a.json'), [f'{i}.jpg' for i in range(20)], names=('dog', "bird's nest"))
    for i in range(100, 104):
        save_image(Path(f'more/{i}.jpg'), i)
    report = new_dataset('mine', 'raw', 'more', detector=detector)
    assert report.config.name == 'mean_teacher.py' and not Path('data/mine/soft_teacher.py').exists()
    assert 'ssod train data/mine/mean_teacher.py' in str(report)
    cfg = load_config(str(report.config))
    assert cfg.model.type == 'MeanTeacher' and cfg.model.detector.type == ONE_STAGE[detector]
    assert cfg.model.detector.bbox_head.num_classes == 2 and cfg.work_dir == 'work_dirs/mine/mean_teacher'
    assert settle(cfg, processes=1) is None
    check_train_config(cfg)
    assert new_plan(cfg, Path('compared'), seeds=(0,), skip=('label_once',), threshold=None)


def test_a_detector_that_is_not_there_is_refused_before_anything_is_written():
    make_voc(Path('raw'), range(1, 21))
    with pytest.raises(InputError, match="no detector 'yolo': take one of atss, faster_rcnn, fcos, retinanet, yolox"):
        new_dataset('mine', 'raw', detector='yolo')
    with pytest.raises(InputError, match='fcos has no masks: take faster_rcnn'):
        new_dataset('mine', 'raw', detector='fcos', masks=True)
    assert not Path('data').exists()


def test_one_override_reaches_every_place():
    make_voc(Path('raw'), range(1, 21))
    config = new_dataset('mine', 'raw', labeled_percent=50).config
    cfg = load_config(str(config), {'test_scale': (100, 80)})
    assert {tuple(cfg.data[part].pipeline[1].img_scale) for part in ('val', 'test')} == {(100, 80)}


def test_the_base_is_relative_where_both_move_together(tmp_path, monkeypatch):
    inside = tmp_path / 'project/configs/a.py'
    assert config_text.base_path(inside, Path('data/mine')) == '../../configs/a.py'
    assert config_text.base_path(tmp_path / 'elsewhere/a.py', Path('data/mine')) == f'{tmp_path}/elsewhere/a.py'
    (tmp_path / 'disk').mkdir()
    Path('data').symlink_to(tmp_path / 'disk')  # from there ../../configs would be another folder
    assert config_text.base_path(inside, Path('data/mine')) == str(inside)


def test_a_config_of_yours_is_kept():
    make_voc(Path('raw'), range(1, 21))
    config = new_dataset('mine', 'raw', labeled_percent=50).config
    new_dataset('mine', 'raw', labeled_percent=50, force=True)
    assert not Path(f'{config}.old').exists()
    config.write_text(own := config.read_text() + 'seed = 3\n')
    report = new_dataset('mine', 'raw', labeled_percent=50, force=True)
    assert Path(f'{config}.old').read_text() == own and 'seed' not in config.read_text()
    assert 'the soft_teacher.py that was there is data/mine/soft_teacher.py.old now' in report.notes


def test_an_installation_without_configs_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(config_text, 'ROOT', tmp_path)
    with pytest.raises(InputError, match='this installation has no configs: run `pip install -e .`'):
        write_config(summary(), LAPTOP)
    make_voc(Path('raw'), range(1, 21))
    report = new_dataset('mine', 'raw', labeled_percent=50)
    assert report.config is None and re.search('no soft_teacher.py was written', report.warnings[-1])
    assert Path('data/mine/annotations/val.json').is_file() and not Path('data/mine/soft_teacher.py').exists()
