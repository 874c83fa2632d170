"""The sections of the authors' configs about the model, the schedule, logs and hooks."""

import copy

from mmcv import Config
from mmcv.runner import HOOKS

from ssod.apis import InputError

from .conversion import Conversion
from .pipelines import is_pipeline
from .settings import take

# Their setting, and where it stands in our semi_train_cfg. The first spelling of the box size is theirs.
SEMI_TRAIN_CFG = {
    'unsup_weight': ('unsup_weight',),
    'pseudo_label_initial_score_thr': ('candidate_score_thr',),
    'min_pseduo_box_size': ('min_pseudo_bbox_size',),
    'min_pseudo_box_size': ('min_pseudo_bbox_size',),
    'rpn_pseudo_threshold': ('rpn_filter', 'thr'),
    'cls_pseudo_threshold': ('cls_filter', 'thr'),
    'reg_pseudo_threshold': ('reg_filter', 'thr'),
    'jitter_times': ('reg_filter', 'num_jitters'),
    'jitter_scale': ('reg_filter', 'jitter_scale'),
}
MEAN_TEACHER = dict(momentum=0.999, interval=1, warm_up=100)  # their hook's defaults
AS_THEY_ARE = ('lr_config', 'momentum_config', 'load_from', 'log_level', 'seed', 'opencv_num_threads')
AS_THEY_ARE += ('mp_start_method',)
ROI_ALIGN = {'type', 'output_size', 'sampling_ratio'}
NEEDLESS = {
    'mmdet_base': 'a variable of the file',
    'dist_params': 'NCCL with GPUs, gloo without',
    'gpu_ids': 'say the number of GPUs to tools/dist_train.sh',
    'find_unused_parameters': 'every trained parameter gets a gradient',
    'auto_resume': 'say --auto-resume to tools/train.py',
}
HOOKS_NEEDLESS = {
    'NumClassCheckHook': 'classes are checked before training starts',
    'WeightSummary': 'it prints only',
}
EVALUATION_NEEDLESS = ('type', 'by_epoch', 'tmpdir', 'gpu_collect', 'broadcast_bn_buffer', 'priority')


def model(conv: Conversion, ours: Config) -> None:
    """The detector, and over it the method's thresholds and weights."""
    detector = take(conv.theirs, 'model', 'the config')
    if conv.semi is None:
        conv.override(conv.raw, 'model', as_ours(conv, detector, ours.model))
        return
    detector = take(conv.semi, 'model', 'semi_wrapper')
    if (method := conv.semi.pop('type', None)) not in ('SoftTeacher', 'MaskSoftTeacher'):  # the second in a fork
        raise InputError(f'semi_wrapper.type is {method!r}: only SoftTeacher and MaskSoftTeacher can be converted')
    target = dict(ours.model, detector=as_ours(conv, detector, ours.model.detector))
    target['semi_train_cfg'] = semi_train_cfg(conv, copy.deepcopy(ours.model.semi_train_cfg))
    test_cfg = conv.semi.pop('test_cfg', None) or {}
    target['semi_test_cfg'] = dict(predict_on=test_cfg.pop('inference_on', 'teacher'))  # their default
    conv.notes.lose_rest('semi_wrapper.test_cfg', test_cfg)
    conv.notes.lose_rest('semi_wrapper', conv.semi)
    conv.override(conv.raw, 'model', target)  # not `ours`, whose heads have the classes already


def as_ours(conv: Conversion, detector: dict, ours: dict) -> dict:
    """The detector with what MMDetection cannot say: the kernel of RoIAlign, and classes that reach the head."""
    roi_head = detector.get('roi_head') or {}
    for kind in ('bbox', 'mask'):
        extractor = roi_head.get(f'{kind}_roi_extractor') or {}
        if isinstance(extractor, dict) and set(extractor.get('roi_layer', ())) == ROI_ALIGN:
            extractor['roi_layer']['use_torchvision'] = True  # the same sums
        head = roi_head.get(f'{kind}_head') or {}
        if 'classes' in conv.settings and isinstance(head, dict) and 'num_classes' in head:
            expected = ours['roi_head']['bbox_head']['num_classes']
            if head['num_classes'] != expected:
                why = f'the data has {expected} classes, which is what the head gets'
                conv.notes.lose(f'model.roi_head.{kind}_head.num_classes', head['num_classes'], why)
                head['num_classes'] = expected
    return detector


def semi_train_cfg(conv: Conversion, ours: dict) -> dict:
    """Our ``semi_train_cfg`` with their values."""
    theirs = take(conv.semi, 'train_cfg', 'semi_wrapper')
    for key in set(SEMI_TRAIN_CFG) & set(theirs):
        *sections, name = SEMI_TRAIN_CFG[key]
        place = ours
        for section in sections:
            place = place[section]
        place[name] = theirs.pop(key)
    if theirs.get('use_teacher_proposal') is False:
        del theirs['use_teacher_proposal']
    if 'use_teacher_proposal' in theirs:
        why = "the student's own proposals are used"
        conv.notes.lose('semi_wrapper.train_cfg.use_teacher_proposal', theirs.pop('use_teacher_proposal'), why)
    if (threshold := theirs.pop('pseudo_mask_thr', 0.5)) != 0.5:
        conv.notes.lose('semi_wrapper.train_cfg.pseudo_mask_thr', threshold, 'masks are cut at a probability of 0.5')
    conv.notes.lose_rest('semi_wrapper.train_cfg', theirs)
    ours['ema'] = ema(conv, ours['ema'])
    return ours


def ema(conv: Conversion, ours: dict) -> dict:
    """How the teacher follows the student: their hook's settings, which are the model's here."""
    hooks = conv.theirs.get('custom_hooks') or []
    hook = next((hook for hook in hooks if hook['type'] == 'MeanTeacher'), None)
    if hook is None:
        conv.notes.lose('custom_hooks', 'without MeanTeacher', 'their teacher stays as it starts, ours follows')
        return ours
    hooks.remove(hook)
    rest = {key: v for key, v in hook.items() if key not in ('type', *MEAN_TEACHER) and (key != 'decay_intervals' or v)}
    conv.notes.lose_rest('custom_hooks: MeanTeacher', rest)
    return {**ours, **MEAN_TEACHER, **{key: hook[key] for key in MEAN_TEACHER if key in hook}}


def schedule(conv: Conversion, ours: Config) -> None:
    """Optimiser, learning rate, iterations, precision, checkpoints."""
    theirs = conv.theirs
    runner = take(theirs, 'runner', 'the config')
    if runner.get('type') != 'IterBasedRunner':
        raise InputError(f"runner is {runner}: only runs counted in iterations, as the authors' are, can be converted")
    conv.override(ours, 'runner', runner)
    conv.override(ours, 'optimizer', optimizer(conv, take(theirs, 'optimizer', 'the config')))
    precision(conv, ours)
    checkpoints = theirs.pop('checkpoint_config', {})
    checkpoints.pop('by_epoch', None)
    conv.override(ours, 'checkpoint_config', checkpoints)
    for key in AS_THEY_ARE:
        if key in theirs:
            conv.override(conv.raw, key, theirs.pop(key))
    work_dir(conv)
    if path := theirs.pop('resume_from', None):
        conv.notes.lose('resume_from', path, 'set load_from: the weights load, their optimizer holds the teacher too')


def work_dir(conv: Conversion) -> None:
    """Their folder, unless it is what a config without ``work_dir`` gets here."""
    theirs = conv.theirs.pop('work_dir', None) or ''
    if theirs not in ('', 'work_dirs/${cfg_name}', 'work_dirs/${cfg_name}/${percent}/${fold}'):
        conv.put('work_dir', theirs.replace('${cfg_name}', conv.name))


def precision(conv: Conversion, ours: Config) -> None:
    """Mixed precision, and how gradients are clipped."""
    fp16, clip = conv.theirs.pop('fp16', None), conv.theirs.pop('optimizer_config', {})
    if fp16 is not None:
        if isinstance(fp16.get('loss_scale'), dict):
            conv.notes.lose('fp16.loss_scale', fp16['loss_scale'], "'dynamic' with torch's own growth is used")
            fp16['loss_scale'] = 'dynamic'
        conv.notes.lose_rest('optimizer_config', {k: v for k, v in clip.items() if k != 'grad_clip'}, 'not with fp16')
        clip = {'grad_clip': clip.get('grad_clip')}
    conv.override(ours, 'fp16', fp16)
    conv.override(ours, 'optimizer_config', clip)


def optimizer(conv: Conversion, theirs: dict) -> dict:
    """Their optimizer, for the student alone: that is all ours trains."""
    if theirs.get('constructor') == 'NamedOptimizerConstructor':
        conv.notes.skip('optimizer.constructor', theirs.pop('constructor'), 'it names parameters only')
    paramwise = theirs.get('paramwise_cfg') or {}
    if 'custom_keys' in paramwise:
        paramwise['custom_keys'] = {key.removeprefix('student.'): v for key, v in paramwise['custom_keys'].items()}
    return theirs


def evaluation(conv: Conversion, ours: Config) -> None:
    """When, on what, and which of student and teacher is evaluated."""
    theirs = conv.theirs.pop('evaluation', None)
    if theirs is None:
        conv.notes.lose('evaluation', None, 'say --no-validate to tools/train.py')
        return
    eval_on = theirs.pop('evaluated_modules', None) or 'both'
    if conv.semi is not None:
        predict_on = conv.settings.get('model', {}).get('semi_test_cfg', ours.model.semi_test_cfg)['predict_on']
        if theirs.get('type') != 'SubModulesDistEvalHook':
            eval_on = predict_on
        if eval_on != 'both':
            theirs['eval_on'] = eval_on
        if (metric := theirs.get('save_best')) not in (None, 'auto'):
            theirs['save_best'] = f'{predict_on}_{metric}'
            conv.notes.lose('evaluation.save_best', metric, f'carried as {theirs["save_best"]}, theirs takes the best')
    for key in EVALUATION_NEEDLESS:
        theirs.pop(key, None)
    conv.override(ours, 'evaluation', theirs)


def logging(conv: Conversion) -> None:
    """How often and where to log; Weights & Biases is on request here."""
    theirs = conv.theirs.pop('log_config', {})
    hooks = []
    for hook in theirs.pop('hooks', []):
        hook.pop('by_epoch', None)
        if hook['type'] == 'WandbLoggerHook':
            conv.notes.skip('log_config.hooks', 'WandbLoggerHook', 'say --wandb to tools/train.py')
            init = {key: v for key, v in hook.pop('init_kwargs', {}).items() if (key, v) != ('name', '${cfg_name}')}
            if 'config' in init:
                conv.notes.skip('log_config.hooks: WandbLoggerHook.config', init.pop('config'), 'the log has them')
            conv.put('wandb', {**conv.raw.wandb, **init})
            conv.notes.lose_rest('log_config.hooks: WandbLoggerHook', {k: v for k, v in hook.items() if k != 'type'})
        else:
            hooks.append(hook)
    hooks += [hook for hook in conv.raw.log_config.hooks if hook['type'] not in {other['type'] for other in hooks}]
    conv.put('log_config', {**theirs, 'hooks': hooks})


def custom_hooks(conv: Conversion, ours: Config) -> None:
    """Hooks of mmcv and MMDetection, and ours."""
    carried = []
    for hook in conv.theirs.pop('custom_hooks', None) or []:
        kind = hook['type']
        if kind in HOOKS_NEEDLESS:
            conv.notes.skip('custom_hooks', kind, HOOKS_NEEDLESS[kind])
        elif kind == 'Weighter':
            conv.notes.lose('custom_hooks', hook, 'see UnsupWeightHook(burn_in=..., ramp=...)')
        elif HOOKS.get(kind) is None:
            conv.notes.lose('custom_hooks', hook, 'no such hook here')
        else:
            carried.append(hook)
    carried += ours.get('custom_hooks', [])
    if carried:
        conv.override(ours, 'custom_hooks', carried)


def leftovers(conv: Conversion) -> None:
    """Everything else: what needs nothing, variables of the file, and settings that are not known here."""
    theirs = conv.theirs
    if theirs.pop('workflow', [('train', 1)]) not in ([('train', 1)], [['train', 1]]):
        conv.notes.lose('workflow', 'with validation', 'losses of the validation set are not computed')
    scale = theirs.pop('auto_scale_lr', {})
    if scale.get('enable'):
        conv.notes.lose('auto_scale_lr', scale, 'set base_batch, and say --auto-scale')
    for key, value in theirs.items():
        if key in NEEDLESS:
            conv.notes.skip(key, value, NEEDLESS[key])
        elif conv.is_variable(key, value):
            continue
        elif is_pipeline(value):
            conv.notes.skip(key, value, 'no data set uses it')
        else:
            conv.notes.lose(key, value, 'no such setting here')
