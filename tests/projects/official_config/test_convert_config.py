"""Configs of the authors' form become ours, and nothing in them is lost in silence."""

import gc

import mmdet
import pytest
from detectors import mask_rcnn
from mmcv import Config
from mmdet.utils import replace_cfg_vals
from runs import ROOT, call, refusal
from tiny import tiny_detector

from projects.official_config.pipelines import View, split
from projects.official_config.settings import Notes, canonical, difference
from ssod.apis import load_config

# mmcv leaves a temporary file behind for a config that it cannot read; see tests/apis/test_config.py.
pytestmark = pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')

HOST = f'{mmdet.__path__[0]}/.mim/configs/_base_'
COLORS = 'Identity AutoContrast RandEqualize RandSolarize RandColor RandContrast RandBrightness RandSharpness'
NORM = dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
SCALES = [(1333, 400), (1333, 1200)]
META = ('filename', 'ori_shape', 'img_shape', 'img_norm_cfg', 'pad_shape', 'scale_factor', 'tag')


def view(tag, *ops, scales=None, norm=None):
    """A view in the authors' ops, its name and normalization written as they do."""
    return [
        dict(
            type='Sequential',
            record=True,
            transforms=[
                dict(type='RandResize', img_scale=scales or SCALES, multiscale_mode='range', keep_ratio=True),
                dict(type='RandFlip', flip_ratio=0.5),
                *ops,
            ],
        ),
        dict(type='Pad', size_divisor=32),
        dict(type='Normalize', **(norm or NORM)),
        dict(type='ExtraAttrs', tag=tag),
        dict(type='DefaultFormatBundle'),
        dict(type='Collect', keys=['img', 'gt_bboxes', 'gt_labels'], meta_keys=(*META, 'transform_matrix')),
    ]


def color():
    return dict(type='OneOf', transforms=[dict(type=kind) for kind in [*COLORS.split(), 'RandPosterize']])


def geometry():
    shears = [dict(type='RandShear', x=(-30, 30)), dict(type='RandShear', y=(-30, 30))]
    moves = [dict(type='RandTranslate', x=(-0.1, 0.1)), dict(type='RandTranslate', y=(-0.1, 0.1))]
    return dict(type='OneOf', transforms=[*moves, dict(type='RandRotate', angle=(-30, 30)), shears])


def erase(**changes):
    return dict(type='RandErase', **{'n_iterations': (1, 5), 'size': [0, 0.2], 'squared': True, **changes})


def strong(*last, **changes):
    order = dict(type='ShuffledSequential', transforms=[color(), geometry()])
    return view('unsup_student', order, *(last or [erase()]), **changes)


def evaluation_pipeline(scale=(1333, 800)):
    ops = [dict(type='Resize', keep_ratio=True), dict(type='RandomFlip'), dict(type='Normalize', **NORM)]
    ops += [dict(type='Pad', size_divisor=32), dict(type='ImageToTensor', keys=['img'])]
    ops += [dict(type='Collect', keys=['img'])]
    return [
        dict(type='LoadImageFromFile'),
        dict(type='MultiScaleFlipAug', img_scale=scale, flip=False, transforms=ops),
    ]


def source(name, images, pipeline, **more):
    return dict(type='CocoDataset', ann_file=name, img_prefix=images, pipeline=pipeline, **more)


def official():
    """Soft Teacher's partial protocol in the authors' form, on a small detector; new at each call."""
    split = 'data/coco/annotations/semi_supervised/instances_train2017.${fold}@${percent}'
    sup = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True), *view('sup', color())]
    fork = dict(type='MultiBranch', unsup_student=strong(), unsup_teacher=view('unsup_teacher'))
    unsup = [dict(type='LoadImageFromFile'), dict(type='PseudoSamples', with_bbox=True), fork]
    val = source('data/coco/annotations/instances_val2017.json', 'data/coco/val2017/', evaluation_pipeline())
    return dict(
        fold=1,
        percent=10,
        img_norm_cfg=dict(NORM),
        unsup_pipeline=unsup,
        model=tiny_detector().to_dict(),
        data=dict(
            samples_per_gpu=5,
            workers_per_gpu=5,
            train=dict(
                type='SemiDataset',
                sup=source(f'{split}.json', 'data/coco/train2017/', sup),
                unsup=source(f'{split}-unlabeled.json', 'data/coco/train2017/', unsup, filter_empty_gt=False),
            ),
            val=val,
            test=val,
            sampler=dict(train=dict(type='SemiBalanceSampler', sample_ratio=[1, 4], by_prob=True, epoch_length=7330)),
        ),
        semi_wrapper=dict(
            type='SoftTeacher',
            model='${model}',
            train_cfg=dict(
                use_teacher_proposal=False,
                pseudo_label_initial_score_thr=0.5,
                rpn_pseudo_threshold=0.9,
                cls_pseudo_threshold=0.9,
                reg_pseudo_threshold=0.02,
                jitter_times=10,
                jitter_scale=0.06,
                min_pseduo_box_size=0,
                unsup_weight=4.0,
            ),
            test_cfg=dict(inference_on='student'),
        ),
        custom_hooks=[
            dict(type='NumClassCheckHook'),
            dict(type='WeightSummary'),
            dict(type='MeanTeacher', momentum=0.999, interval=1, warm_up=0),
        ],
        evaluation=dict(type='SubModulesDistEvalHook', interval=4000, metric='bbox'),
        optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001),
        optimizer_config=dict(grad_clip=None),
        lr_config=dict(policy='step', warmup='linear', warmup_iters=500, warmup_ratio=0.001, step=[120000, 160000]),
        runner=dict(type='IterBasedRunner', max_iters=180000),
        checkpoint_config=dict(by_epoch=False, interval=4000, max_keep_ckpts=5),
        fp16=dict(loss_scale='dynamic'),
        log_config=dict(interval=50, hooks=[dict(type='TextLoggerHook', by_epoch=False)]),
        work_dir='work_dirs/${cfg_name}/${percent}/${fold}',
    )


def baseline():
    """The supervised baseline in their form."""
    cfg = official()
    del cfg['semi_wrapper'], cfg['unsup_pipeline'], cfg['data']['sampler']
    cfg['data'].update(samples_per_gpu=1, workers_per_gpu=2, train=cfg['data']['train']['sup'])
    cfg.update(custom_hooks=[dict(type='NumClassCheckHook')], evaluation=dict(interval=4000, metric='bbox'))
    return cfg


@pytest.fixture
def convert(tmp_path, capsys):
    """``convert(cfg)``: our config for one of theirs, what it says over our bases, and the lines that are printed."""

    def run(cfg, head=''):
        path, out = tmp_path / 'theirs.py', tmp_path / 'ours.py'
        path.write_text(head + ''.join(f'{name} = {value!r}\n' for name, value in cfg.items()))
        out.unlink(missing_ok=True)
        call('tools/convert_config.py', path, '--out', out)
        printed = capsys.readouterr().out.splitlines()
        assert printed[0] == f'{out}: loads and builds'
        needless = printed.index('Needs nothing:') if 'Needs nothing:' in printed else len(printed)
        lost = [line.strip() for line in printed[2:needless]]
        assert ('# Not carried' in out.read_text()) == bool(lost)
        assert '${' not in str(replace_cfg_vals(Config.fromfile(str(out)))._cfg_dict)  # MMDetection's own pass
        settings = {}
        exec(out.read_text(), settings)
        settings = {key: value for key, value in settings.items() if not key.startswith('__') and key != '_base_'}
        return load_config(str(out)), settings, lost, [line.strip() for line in printed[needless + 1 :]]

    return run


def without_model(settings):
    return {key: value for key, value in settings.items() if key != 'model'}


def test_the_authors_protocol_is_ours(convert):
    cfg = official()
    cfg['model'] = dict(
        backbone=dict(
            norm_cfg=dict(requires_grad=False),
            style='caffe',
            init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnet50_caffe'),
        )
    )
    bases = [f'{HOST}/models/faster_rcnn_r50_fpn.py', f'{HOST}/default_runtime.py']
    ours, settings, lost, needless = convert(cfg, head=f'_base_ = {bases}\n')
    assert settings == {} and lost == []
    assert [line.split(' = ')[0] for line in needless] == [
        'data.train.unsup: PseudoSamples',
        'data.sampler.train.epoch_length',
        'custom_hooks',
        'custom_hooks',
        'dist_params',
    ]
    leaf = ROOT / 'configs/soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_180k.py'
    expected = load_config(str(leaf))
    names = {'cfg_name', 'work_dir'}  # these hold the file's name
    assert ours.work_dir == 'work_dirs/ours/10/1'
    assert {k: v for k, v in ours.items() if k not in names} == {k: v for k, v in expected.items() if k not in names}


def test_the_baseline_is_ours_and_its_pipeline_is_carried(convert):
    ours, settings, lost, _ = convert(baseline())
    assert without_model(settings) == {} and lost == []
    assert ours.data.train.type == 'CocoDataset' and 'sampler' not in ours.data
    cfg = baseline()
    cfg['data']['train']['pipeline'][2]['transforms'][1]['flip_ratio'] = 0.25
    cfg['data']['train'].update(filter_empty_gt=False)
    ours, settings, lost, _ = convert(cfg)
    assert settings.keys() == {'data', 'model'} and settings['data'].keys() == {'train'} and lost == []
    assert ours.data.train.pipeline[3] == dict(type='FlipWithMatrix', flip_ratio=0.25)
    assert ours.data.train.pipeline[:3] == load_config(f'{ROOT}/configs/_base_/datasets/coco_sup.py').train_pipeline[:3]
    assert ours.data.train.filter_empty_gt is False


def with_masks(cfg):
    """The same with masks, as the authors' fork and its users write them."""
    if 'semi_wrapper' in cfg:
        cfg['semi_wrapper']['type'] = 'MaskSoftTeacher'
        cfg['semi_wrapper']['train_cfg']['pseudo_mask_thr'] = 0.5
        train = cfg['data']['train']
        labeled, (_, samples, fork) = train['sup'], train['unsup']['pipeline']
        samples['with_mask'] = True
        views = [fork['unsup_student'], fork['unsup_teacher']]
    else:
        labeled, views = cfg['data']['train'], []
    labeled['pipeline'][1]['with_mask'] = True
    for pipeline in (labeled['pipeline'], *views):
        pipeline[-1]['keys'] = [*pipeline[-1]['keys'], 'gt_masks']
    cfg['evaluation']['metric'] = ['segm', 'bbox']
    return cfg


def test_the_masks_of_the_authors_fork(convert):
    cfg = with_masks(official())
    cfg['model'] = dict(
        backbone=dict(
            norm_cfg=dict(requires_grad=False),
            style='caffe',
            init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnet50_caffe'),
        )
    )
    bases = [f'{HOST}/models/mask_rcnn_r50_fpn.py', f'{HOST}/default_runtime.py']
    ours, settings, lost, needless = convert(cfg, head=f'_base_ = {bases}\n')
    assert settings == dict(evaluation=dict(metric=['segm', 'bbox'])) and lost == []
    assert 'data.train.sup: LoadAnnotations' in [line.split(' = ')[0] for line in needless]
    expected = load_config(str(ROOT / 'configs/soft_teacher/soft_teacher_mask_rcnn_r50_caffe_fpn_coco_180k.py'))
    names = {'cfg_name', 'work_dir'}
    assert {k: v for k, v in ours.items() if k not in names} == {k: v for k, v in expected.items() if k not in names}


def test_the_baseline_of_the_fork_and_another_threshold_of_masks(convert):
    cfg = with_masks(baseline())
    cfg['model'] = mask_rcnn(tiny_detector()).to_dict()
    ours, settings, lost, _ = convert(cfg)
    assert settings.keys() == {'model', 'evaluation'} and lost == []
    assert ours.data.train == load_config(f'{ROOT}/configs/_base_/datasets/coco_instance_sup.py').data.train
    assert ours.model.roi_head.mask_roi_extractor.roi_layer.use_torchvision is True
    cfg = with_masks(official())
    cfg['model'] = mask_rcnn(tiny_detector()).to_dict()
    cfg['semi_wrapper']['train_cfg']['pseudo_mask_thr'] = 0.7
    _, _, lost, _ = convert(cfg)
    assert [line.split(':')[0] for line in lost] == ['semi_wrapper.train_cfg.pseudo_mask_thr = 0.7']


def test_model_thresholds_and_misspellings(convert):
    cfg = official()
    cfg['semi_wrapper']['train_cfg'].update(
        pseudo_label_initial_score_thr=0.4,
        rpn_pseudo_threshold=0.8,
        cls_pseudo_threshold=0.7,
        reg_pseudo_threshold=0.05,
        jitter_times=5,
        jitter_scale=0.1,
        min_pseduo_box_size=2,
        unsup_weight=1.5,
    )
    cfg['semi_wrapper']['test_cfg'] = {}
    ours, settings, lost, _ = convert(cfg)
    detector = tiny_detector()
    detector.roi_head.bbox_roi_extractor.roi_layer.use_torchvision = True  # the same sums
    assert lost == [] and ours.model.detector == detector
    assert settings['model']['semi_train_cfg'] == dict(
        unsup_weight=1.5,
        candidate_score_thr=0.4,
        min_pseudo_bbox_size=2,
        rpn_filter=dict(thr=0.8),
        cls_filter=dict(thr=0.7),
        reg_filter=dict(thr=0.05, num_jitters=5, jitter_scale=0.1),
    )
    # Their wrapper's first submodule, when nothing is said.
    assert settings['model']['semi_test_cfg'] == dict(predict_on='teacher')


def test_a_work_dir_of_their_own_is_carried_with_the_name_filled_in(convert):
    for theirs, ours in [
        ('work_dirs/${cfg_name}', {}),
        ('runs/${cfg_name}/${fold}', dict(work_dir='runs/theirs/${fold}')),
    ]:
        cfg, settings, lost, _ = convert({**official(), 'work_dir': theirs})
        assert {key: settings[key] for key in settings if key == 'work_dir'} == ours and lost == []
        assert cfg.work_dir == ('runs/theirs/1' if ours else 'work_dirs/ours/10/1')


def test_data_classes_and_schedule(convert):
    cfg = official()
    data, train = cfg['data'], cfg['data']['train']
    for place in (train['sup'], train['unsup'], data['val'], data['test']):
        place['classes'] = ('a', 'b', 'c')
    train['sup'].update(ann_file='cells/few.${fold}.json', img_prefix='cells/pictures')
    train['unsup'].update(ann_file='many.json', data_root='cells', img_prefix='', filter_empty_gt=True)
    data['val'].update(ann_file='cells/val.json', img_prefix='cells/val/', samples_per_gpu=4)
    data['test'] = dict(data['val'], ann_file='cells/test.json', samples_per_gpu=1)
    data.update(samples_per_gpu=10, workers_per_gpu=0)
    data['sampler']['train'].update(sample_ratio=[2, 4], at_least_one=True)
    cfg.update(fold=3, fp16=None, optimizer=dict(type='AdamW', lr=0.1), work_dir=None, load_from='start.pth')
    cfg['lr_config'].update(step=[7])
    cfg['runner'].update(max_iters=9)
    cfg['checkpoint_config'] = dict(interval=2)
    cfg['optimizer'].update(
        constructor='NamedOptimizerConstructor', paramwise_cfg=dict(custom_keys={'student.neck': {}})
    )
    cfg['custom_hooks'] = [dict(type='MeanTeacher', momentum=0.99), dict(type='EMAHook', momentum=0.1)]
    cfg['evaluation'].update(interval=3, evaluated_modules=['teacher'], save_best='bbox_mAP', classwise=True)
    ours, settings, lost, needless = convert(cfg)
    assert {key: value for key, value in without_model(settings).items() if key != 'custom_hooks'} == dict(
        fold=3,
        data_root='cells/',
        classes=['a', 'b', 'c'],
        data=dict(
            train=dict(
                labeled=dict(ann_file='few.${fold}.json', img_prefix='pictures/'),
                unlabeled=dict(ann_file='many.json', img_prefix='', filter_empty_gt=True),
            ),
            val=dict(ann_file='val.json', img_prefix='val/'),
            test=dict(ann_file='test.json', img_prefix='val/'),
            samples_per_gpu=10,
            workers_per_gpu=0,
            test_samples_per_gpu=4,
            sampler=dict(ratio=(1, 2)),
        ),
        optimizer=dict(_delete_=True, type='AdamW', lr=0.1, paramwise_cfg=dict(custom_keys={'neck': {}})),
        lr_config=dict(step=[7]),
        runner=dict(max_iters=9),
        checkpoint_config=dict(_delete_=True, interval=2),
        evaluation=dict(interval=3, eval_on=['teacher'], save_best='student_bbox_mAP', classwise=True),
        fp16=None,
        load_from='start.pth',
        base_batch=None,
    )
    assert ours.custom_hooks[0] == dict(type='EMAHook', momentum=0.1)
    assert ours.model.semi_train_cfg.ema == dict(momentum=0.99, interval=1, warm_up=100, ramp=True)  # their default
    assert settings['model']['detector']['roi_head']['bbox_head']['num_classes'] == 3  # said, for MMDetection's tools
    assert ours.work_dir == 'work_dirs/ours/3'
    assert ours.data.train.labeled.ann_file == 'few.3.json' and ours.model.detector.roi_head.bbox_head.num_classes == 3
    assert [line.split(' = ')[0] for line in lost] == ['evaluation.save_best']
    assert 'data.sampler.train.sample_ratio = [2, 4]: carried as [1, 2]: theirs rounds to that' in needless


def test_views_carry_shared_parameters_and_their_own(convert):
    cfg = official()
    small, norm = [(400, 192), (400, 288)], dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True)
    weak = view('unsup_teacher', scales=small, norm=norm)
    student = strong(erase(n_iterations=(1, 6), size=[0.05, 0.2]), scales=small, norm=norm)
    cfg['data']['train']['sup']['pipeline'][2:] = view('sup', color(), scales=small, norm=norm)
    fork = dict(type='MultiBranch', unsup_student=student, unsup_teacher=weak)
    cfg['data']['train']['unsup']['pipeline'] = [dict(type='LoadImageFromFile', to_float32=False), fork]
    cfg['data']['val'] = dict(cfg['data']['val'], pipeline=evaluation_pipeline((500, 300)))
    ours, settings, lost, needless = convert(cfg)
    assert settings.keys() == {'train_scale', 'data', 'model'}
    assert lost == [] and [line for line in needless if line.startswith('unsup_pipeline = ') and 'no data set' in line]
    assert settings['train_scale'] == small and settings['data'].keys() == {'train', 'val'}
    assert (
        ours.data.val.pipeline == evaluation_pipeline((500, 300)) and ours.data.test.pipeline == evaluation_pipeline()
    )
    assert ours.data.train.labeled.pipeline[0].sup[5] == dict(type='NormalizeOnDevice', **norm, size_divisor=32)
    views = ours.data.train.unlabeled.pipeline[1]
    assert views.unsup_student[3] == dict(type='RandomErasing', n_patches=(1, 5), ratio=(0.05, 0.2), squared=True)
    for name in ('unsup_teacher', 'unsup_student'):
        assert views[name][0].img_scale == small
        assert views[name][-2] == dict(type='NormalizeOnDevice', **norm, size_divisor=32)


def test_reading_that_differs_is_carried(convert):
    cfg = official()
    load = dict(type='LoadImageFromFile', color_type='unchanged')
    for name in ('sup', 'unsup'):
        cfg['data']['train'][name]['pipeline'][0] = load
    ours, _, lost, _ = convert(cfg)
    train = ours.data.train
    (fork,) = train.labeled.pipeline
    assert lost == [] and fork.sup[0] == train.unlabeled.pipeline[0] == load
    assert fork.sup[1:] == ours.sup_pipeline[1:] and train.unlabeled.pipeline[1].unsup_teacher == ours.weak_pipeline


SUP, WEAK = dict(type='Collect', keys=['img']), dict(type='Collect', keys=['img'], meta_keys=('transform_matrix',))


@pytest.mark.parametrize(
    'theirs, ours',
    [
        (dict(type='RandResize', img_scale=(9, 9), keep_ratio=False, record=True), dict(type='ResizeWithMatrix')),
        (
            dict(type='RandFlip', flip_ratio=[0.2, 0.3], direction=['horizontal', 'vertical']),
            dict(type='FlipWithMatrix'),
        ),
    ],
)
def test_host_ops_keep_their_arguments_and_record_what_they_move(theirs, ours):
    notes = Notes()
    arguments = {key: value for key, value in theirs.items() if key not in ('type', 'record')}
    for tag, collect in (('unsup_teacher', WEAK), ('sup', SUP)):
        assert View('p', tag, collect, notes).translate([theirs]) == [{**ours, **arguments}]
    assert notes.lost == notes.needless == []


def test_the_end_of_a_view_becomes_one_op_only_where_that_does_the_same():
    pad, norm, bundle = dict(type='Pad', size_divisor=16), dict(type='Normalize', **NORM), view('sup')[-2]
    one = dict(type='NormalizeOnDevice', **NORM, size_divisor=16)
    before, tag = dict(type='CutOut', n_holes=1), dict(type='ExtraAttrs', tag='sup')
    fixed, unchanged = dict(type='Pad', size=(64, 64)), dict(bundle, img_to_float=False)
    notes = Notes()
    for theirs, ours in [
        ([pad, norm, bundle], [one]),
        ([before, pad, norm, tag, bundle], [before, one]),
        ([norm, pad, bundle], None),
        ([fixed, norm, bundle], None),
        ([pad, norm, unchanged], None),
        ([pad, norm], None),
        ([dict(type='PhotoMetricDistortion'), pad, norm, bundle], None),  # float32 from there on
    ]:
        assert View('p', 'sup', SUP, notes).translate(theirs) == (ours or theirs)
    theirs, load = [pad, norm, bundle], dict(type='LoadImageFromFile')
    assert View('p', 'sup', SUP, notes).translate(theirs, [load]) == [one]
    assert View('p', 'sup', SUP, notes).translate(theirs, [dict(load, to_float32=True)]) == theirs
    assert notes.lost == notes.needless == []


@pytest.mark.parametrize(
    'theirs, ours, lost',
    [
        (dict(type='RandSolarize', magnitude=5), dict(type='Solarize', levels=(1, 4)), []),
        (dict(type='RandColor', magnitude=7, random_magnitude=False), dict(type='Color', levels=(7, 7)), []),
        (dict(type='AutoContrast', prob=0.5), dict(type='AutoContrast'), ['p: AutoContrast.prob = 0.5']),
        (dict(type='RandRotate', angle=(-5, 5), center=None), dict(type='RandomRotate', angle=(-5, 5)), []),
        (
            dict(type='RandRotate', angle=9, random_magnitude=False, scale=2),
            dict(type='RandomRotate', angle=(9, 9)),
            ['p: RandRotate.scale = 2'],
        ),
        (
            dict(type='RandShear', x=(0, 9), img_fill_val=(7, 7, 7), min_size=3),
            dict(type='RandomShear', x=(0, 9), min_size=3, fill=7),
            [],
        ),
        (
            dict(type='RandTranslate', y=(0, 0.5), img_fill_val=(1, 2, 3)),
            dict(type='RandomTranslate', y=(0, 0.5)),
            ['p: RandTranslate.img_fill_val = (1, 2, 3)'],
        ),
        (
            erase(n_iterations=3, size=0.25, squared=False, img_fill_val=0),
            dict(type='RandomErasing', n_patches=(3, 3), ratio=(0.25, 0.25), squared=False, fill=0),
            [],
        ),
        (dict(type='RandomCrop', crop_size=(8, 8)), None, ["p: RandomCrop = {'crop_size': (8, 8)}"]),
        (dict(type='RecomputeBox'), None, ['p: RecomputeBox = {}']),
        (dict(type='ExtraAttrs', tag='unsup_student', more=1), None, ['p: ExtraAttrs.more = 1']),
        (dict(type='ExtraAttrs', tag='sup'), None, ["p: ExtraAttrs.tag = 'sup'"]),
        (
            dict(type='ExtraCollect', keys=['img', 'proposals'], extra_meta_keys=['mine', 'tag']),
            WEAK,
            ["p: ExtraCollect.keys = ['proposals']", "p: ExtraCollect.meta_keys = ['mine']"],
        ),
        (
            dict(type='OneOf', transforms=[dict(type='Identity'), dict(type='RecomputeBox')]),
            dict(type='AutoAugment', policies=[[dict(type='Identity')], [dict(type='Identity')]]),
            ['p: RecomputeBox = {}'],
        ),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else '',
)
def test_ops(theirs, ours, lost):
    notes = Notes()
    assert View('p', 'unsup_student', WEAK, notes).translate([theirs]) == ([ours] if ours else [])
    assert len(notes.lost) == len(lost)
    assert all(line.startswith(f'{start}: ') for line, start in zip(notes.lost, lost, strict=True))


def test_nothing_is_lost_in_silence(convert):
    cfg = official()
    cfg['data']['train']['unsup']['pipeline'].insert(2, dict(type='Expand', ratio=2))
    cfg['data']['train']['unsup']['pipeline'][-1]['third'] = view('third')
    cfg['data']['train']['more'] = 1
    cfg['data']['train']['sup']['type'] = 'TheirDataset'
    cfg['data'].update(persistent_workers=True, samples_per_gpu=None)
    cfg['data']['val'] = dict(cfg['data']['val'], classes=['x'])
    cfg['data']['sampler']['train']['secret'] = 2
    cfg['semi_wrapper']['train_cfg'].update(use_teacher_proposal=True, dynamic_thr=3)
    cfg['semi_wrapper']['test_cfg']['soft'] = 4
    cfg['semi_wrapper']['wrapped'] = 5
    cfg['custom_hooks'] = [dict(type='Weighter', name='unsup_weight', steps=[5], vals=[0, 4]), dict(type='TheirHook')]
    cfg['log_config']['hooks'].append(dict(type='WandbLoggerHook', init_kwargs=dict(project='p'), with_step=False))
    cfg['optimizer_config'] = dict(grad_clip=dict(max_norm=1), detect_anomalous_params=True)
    cfg.update(fp16=dict(loss_scale=dict(init_scale=512.0)), workflow=[('train', 1), ('val', 1)], mystery=[7], number=8)
    cfg.update(resume_from='iter_4.pth', auto_scale_lr=dict(enable=True, base_batch_size=16))
    ours, settings, lost, _ = convert(cfg)
    assert sorted(line.split(' = ')[0] for line in lost) == sorted(
        [
            'data.train.unsup: Expand',
            'data.train.unsup: MultiBranch.third',
            'data.train.more',
            'data.train.sup.type',
            'data.persistent_workers',
            'data.samples_per_gpu',
            'data.val.classes',
            'data.sampler.train.secret',
            'semi_wrapper.train_cfg.use_teacher_proposal',
            'semi_wrapper.train_cfg.dynamic_thr',
            'semi_wrapper.test_cfg.soft',
            'semi_wrapper.wrapped',
            *['custom_hooks'] * 3,
            'log_config.hooks: WandbLoggerHook.with_step',
            'fp16.loss_scale',
            'optimizer_config.detect_anomalous_params',
            'workflow',
            'mystery',
            'number',
            'resume_from',
            'auto_scale_lr',
        ]
    )
    assert ours.data.samples_per_gpu == 5 and ours.data.train.labeled.type == 'CocoDataset'
    assert settings['wandb'] == dict(project='p') and 'fp16' not in settings
    assert ours.optimizer_config == dict(grad_clip=dict(max_norm=1))


@pytest.mark.parametrize(
    'ratio, by_prob, images, ours, lost',
    [
        ([1, 4], True, 8, (1, 4), []),  # drawn: nothing to round
        ([1, 4], False, 10, (1, 4), []),
        ([1, 4], False, 8, (1, 7), []),  # int(8 / 5) = 1
        ([2, 3], False, 10, (1, 1), []),  # int(3 / 2) = 1
        ([1, 4], False, 4, (1, 4), ['data.sampler.train.by_prob']),
        (1, False, 6, (1, 1), []),
    ],
)
def test_the_ratio_is_what_their_sampler_makes_of_it(convert, ratio, by_prob, images, ours, lost):
    cfg = official()
    cfg['data']['samples_per_gpu'] = images
    cfg['data']['sampler']['train'].update(sample_ratio=ratio, by_prob=by_prob)
    result, _, said, _ = convert(cfg)
    assert (tuple(result.data.sampler.ratio), result.data.sampler.by_prob) == (ours, by_prob)
    assert [line.split(' = ')[0] for line in said] == lost


@pytest.mark.parametrize(
    'change, sentence',
    [
        (lambda cfg: cfg['semi_wrapper'].update(type='DenseTeacher'), "semi_wrapper.type is 'DenseTeacher'"),
        (lambda cfg: cfg['semi_wrapper'].pop('train_cfg'), 'semi_wrapper has no train_cfg'),
        (lambda cfg: cfg['semi_wrapper'].update(model='${modle}'), 'refers to ${modle}'),
        (lambda cfg: cfg['semi_wrapper']['train_cfg'].update(jitter_times=1), 'num_jitters of at least 2, got 1'),
        (lambda cfg: cfg['model']['roi_head'].update(type='DoubleHeadRoIHead'), 'cannot be converted: model: '),
        (lambda cfg: cfg['data'].pop('val'), 'data has no val'),
        (lambda cfg: cfg['data'].update(test=[cfg['data']['test']]), 'data.test is not one data set'),
        (lambda cfg: cfg['data']['train'].update(type='ConcatDataset'), 'data.train is not their SemiDataset'),
        (lambda cfg: cfg['data']['train']['unsup']['pipeline'].pop(), 'has no MultiBranch(unsup_student'),
        (lambda cfg: cfg['data']['sampler'].pop('train'), 'data.sampler has no train'),
        (lambda cfg: cfg['data']['sampler']['train'].update(type='GroupSampler'), 'is not their SemiBalanceSampler'),
        (
            lambda cfg: cfg.update(runner=dict(type='EpochBasedRunner', max_epochs=12)),
            'only runs counted in iterations',
        ),
        (lambda cfg: cfg['data']['val'].update(pipeline=[dict(type='Nothing')]), 'Nothing is not in the pipeline'),
    ],
)
def test_refusals(tmp_path, change, sentence):
    cfg = official()
    cfg['data']['val'] = dict(cfg['data']['val'])
    change(cfg)
    path, out = tmp_path / 'theirs.py', tmp_path / 'ours.py'
    path.write_text(''.join(f'{name} = {value!r}\n' for name, value in cfg.items()))
    assert sentence in refusal('tools/convert_config.py', path, '--out', out)
    assert not out.exists()


def test_files_that_are_missing_or_there(tmp_path, monkeypatch):
    def refused(path, *options):
        gc.collect()
        return refusal('tools/convert_config.py', path, *options)

    monkeypatch.chdir(tmp_path)
    out = ['--out', 'ours.py']
    assert 'no config file nowhere.py' in refused('nowhere.py')
    path = tmp_path / 'theirs.py'
    path.write_text('a = dict(')
    assert 'theirs.py exists: choose another --out' in refused(path)
    assert f'cannot read the config {path}' in refused(path, *out)
    path.write_text("_base_ = 'other.py'")
    assert f'inherits from {tmp_path}/other.py, which does not exist' in refused(path, *out)
    folder, link = tmp_path / 'third', tmp_path / 'third/mmdetection'
    path.write_text(f'_base_ = {str(link / "configs/_base_/models/faster_rcnn_r50_fpn.py")!r}')
    assert refused(path, *out).endswith(f'mkdir -p {folder}/ && ln -s {mmdet.__path__[0]}/.mim {link}')
    folder.mkdir()
    link.symlink_to(f'{mmdet.__path__[0]}/.mim')  # which mends it
    assert 'the config has no data' in refused(path, *out)
    gc.collect()


def test_a_difference_makes_the_target_of_the_base():
    base = dict(a=1, b=dict(c=2, d=dict(e=3)), f=None, g=[1, 2], h=dict(i=1), j=(1, 2))
    targets = [
        (base, {}),
        ({**base, 'a': 2}, dict(a=2)),
        ({**base, 'b': dict(c=2, d=dict(e=4))}, dict(b=dict(d=dict(e=4)))),
        ({**base, 'b': dict(d=dict(e=3))}, dict(b=dict(_delete_=True, d=dict(e=3)))),
        ({**base, 'f': dict(x=1)}, dict(f=dict(_delete_=True, x=1))),
        ({**base, 'g': [1, 3], 'j': [1, 2]}, dict(g=[1, 3])),
        ({**base, 'h': None, 'new': dict(k=dict(m=1))}, dict(h=None, new=dict(k=dict(m=1)))),
    ]
    for target, expected in targets:
        assert difference(base, target) == expected
        merged = Config(base)
        merged.merge_from_dict(difference(base, target))
        assert canonical(merged._cfg_dict) == canonical(target)


def test_split():
    load, rest = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')], [dict(type='Pad')]
    assert split(load + rest) == (load, rest) and split(load) == (load, []) and split([]) == ([], [])
