"""The sections of the authors' configs about data: files, classes, views, batches."""

import os.path as osp

from mmcv import Config
from mmdet.datasets import DATASETS

from ssod.apis import InputError

from .conversion import Conversion
from .pipelines import View, find, split
from .settings import difference, same, take


def sources(conv: Conversion) -> None:
    """Data sets: their files below one ``data_root``, and their classes."""
    data = conv.theirs.get('data') or take(conv.theirs, 'data', 'the config')
    train = take(data, 'train', 'data')
    if conv.semi is None:
        conv.sets, conv.names = {'labeled': train}, {'labeled': 'data.train'}
    elif not isinstance(train, dict) or train.pop('type', None) != 'SemiDataset':
        raise InputError('data.train is not their SemiDataset(sup=..., unsup=...)')
    else:
        conv.sets = {'labeled': take(train, 'sup', 'data.train'), 'unlabeled': take(train, 'unsup', 'data.train')}
        conv.names = {'labeled': 'data.train.sup', 'unlabeled': 'data.train.unsup'}
        conv.notes.lose_rest('data.train', train)
    for name in ('val', 'test'):
        conv.sets[name], conv.names[name] = take(data, name, 'data'), f'data.{name}'
    for name, settings in conv.sets.items():
        if not isinstance(settings, dict):
            raise InputError(f'{conv.names[name]} is not one data set')
    for name, value in conv.variables.items():
        conv.put(name, value)
    paths(conv)
    classes(conv)


def paths(conv: Conversion) -> None:
    """``data_root``, and each file and folder relative to it."""
    found = {}
    for name, settings in conv.sets.items():
        root = settings.pop('data_root', None) or ''
        for key in ('ann_file', 'img_prefix'):
            value = settings.pop(key, '' if key == 'img_prefix' else None)
            if not isinstance(value, str):
                place = '.'.join(('data', *conv.section_of(name), key))
                conv.notes.lose(f'{conv.names[name]}.{key}', value, f'not one path: set {place} yourself')
                continue
            path = osp.normpath(osp.join(root, value)) if root + value else ''
            found[name, key] = osp.join(path, '') if key == 'img_prefix' else path
    try:
        root = osp.join(osp.commonpath([osp.dirname(path) for path in found.values()]), '')
    except ValueError:  # absolute paths and others, or none
        root = ''
    conv.put('data_root', root)
    for (name, key), path in found.items():
        if (relative := path.removeprefix(root)) != conv.source(conv.raw, name)[key]:
            conv.put_source(name, key, relative)


def classes(conv: Conversion) -> None:
    """One list of classes for all data sets."""
    given = {name: settings.pop('classes', None) for name, settings in conv.sets.items()}
    classes = given['labeled']
    conv.put('classes', list(classes) if isinstance(classes, tuple) else classes)
    for name, value in given.items():
        if not same(value, classes):
            conv.notes.lose(f'{conv.names[name]}.classes', value, "the labeled images' classes are used for all")


def parameters(conv: Conversion) -> None:
    """The scale that all training views share."""
    resize = find(conv.sets['labeled'].get('pipeline'), 'RandResize', 'Resize')
    if resize and resize.get('img_scale'):
        conv.put('train_scale', resize['img_scale'])


def views(conv: Conversion, ours: Config) -> None:
    """Pipelines; one that is ours at their scale is not written."""
    load, ops = split(take(conv.sets['labeled'], 'pipeline', conv.names['labeled']))
    collect = ours.sup_pipeline[-1] if conv.semi is not None else ours.train_pipeline[-1]
    view = View(conv.names['labeled'], 'sup', collect, conv.notes, on_device=conv.semi is not None)
    sup = [*with_polygons(conv, load), *view.translate(ops, load)]
    put_pipeline(conv, ours, 'labeled', sup if conv.semi is None else [dict(type='MultiBranch', sup=sup)])
    if conv.semi is not None:
        put_pipeline(conv, ours, 'unlabeled', branches(conv, ours))
    for name in ('val', 'test'):
        put_pipeline(conv, ours, name, take(conv.sets[name], 'pipeline', conv.names[name]))


def with_polygons(conv: Conversion, load: list[dict]) -> list[dict]:
    """The ops that read labels, with ours for masks, which leaves polygons as they are."""
    plain = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
    if plain in load:
        conv.notes.skip(f'{conv.names["labeled"]}: LoadAnnotations', 'with_mask', 'polygons are not made bitmaps here')
    return [dict(type='LoadInstances') if op == plain else op for op in load]


def put_pipeline(conv: Conversion, ours: Config, name: str, pipeline: list[dict]) -> None:
    """Set a data set's pipeline, unless ours is the same."""
    if not same(pipeline, conv.source(ours, name)['pipeline']):
        conv.put_source(name, 'pipeline', pipeline)


def branches(conv: Conversion, ours: Config) -> list[dict]:
    """The pipeline of the weak and the strong view.

    Raises:
        InputError: theirs has none.
    """
    place = conv.names['unlabeled']
    load, ops = split(take(conv.sets['unlabeled'], 'pipeline', place))
    fork = find(ops, 'MultiBranch')
    if fork is None:
        raise InputError(f'{place}.pipeline has no MultiBranch(unsup_student=..., unsup_teacher=...)')
    for op in ops:
        if op['type'] == 'PseudoSamples' and set(op) <= {'type', 'with_bbox', 'with_mask'}:
            conv.notes.skip(f'{place}: PseudoSamples', 'with_bbox', 'unlabeled images need no empty boxes or masks')
        elif op is not fork:
            conv.notes.lose(f'{place}: {op["type"]}', op, 'beside MultiBranch: put it into a view')
    translated = {}
    for branch, view in (('unsup_teacher', 'weak_pipeline'), ('unsup_student', 'strong_pipeline')):
        translator = View(f'{place} {branch}', branch, ours[view][-1], conv.notes)
        translated[branch] = translator.translate(take(fork, branch, f'{place}: MultiBranch'), load)
    conv.notes.lose_rest(f'{place}: MultiBranch', {key: value for key, value in fork.items() if key != 'type'})
    load = [op for op in load if op['type'] != 'LoadAnnotations']
    return [*load, dict(type='MultiBranch', **translated)]


def loading(conv: Conversion) -> None:
    """What is left of the data sets, and how batches are made of them."""
    data = conv.theirs.pop('data')
    for name, settings in conv.sets.items():
        settings = {'filter_empty_gt': True, **settings}
        settings.pop('test_mode', None)
        if (images := settings.pop('samples_per_gpu', None)) and name == 'val':
            conv.put_data('test_samples_per_gpu', images)
        if DATASETS.get(str(settings.get('type'))) is None:
            conv.notes.lose(f'{conv.names[name]}.type', settings.get('type'), 'no such data set: CocoDataset is used')
            settings['type'] = 'CocoDataset'
        base = dict(type='CocoDataset', filter_empty_gt=name != 'unlabeled')
        for key, value in difference(base, settings).items():
            conv.put_source(name, key, value)
    for key in ('samples_per_gpu', 'workers_per_gpu'):
        if not isinstance(value := data.pop(key, None), int):
            conv.notes.lose(f'data.{key}', value, f'no number: set it yourself, {conv.raw.data[key]} is used')
        elif value != conv.raw.data[key]:
            conv.put_data(key, value)
    if conv.semi is not None:
        sampler(conv, data)
    if {'samples_per_gpu', 'sampler'} & conv.settings.get('data', {}).keys():
        conv.put('base_batch', None)  # their file does not say for how many GPUs its lr is
    conv.notes.lose_rest('data', data)


def sampler(conv: Conversion, data: dict) -> None:
    """Shares of labeled and unlabeled images, as their sampler rounds them."""
    place = 'data.sampler.train'
    theirs = take(data.pop('sampler', {}), 'train', 'data.sampler')
    if theirs.pop('type', None) != 'SemiBalanceSampler':
        raise InputError(f'{place} is not their SemiBalanceSampler')
    given = take(theirs, 'sample_ratio', place)
    ratio = [int(share / min(given)) for share in given] if isinstance(given, (list, tuple)) else [1, 1]
    by_prob = theirs.pop('by_prob', False)
    batch = conv.settings.get('data', {}).get('samples_per_gpu', conv.raw.data.samples_per_gpu)
    labeled = batch * ratio[0] // sum(ratio)
    if not by_prob and not labeled:
        conv.notes.lose(f'{place}.by_prob', False, f'theirs rounds to no labeled image in {batch}, ours to one')
    elif not by_prob and batch % sum(ratio):
        ratio = [labeled, batch - labeled]
    if not same(ratio, given):
        conv.notes.skip(f'{place}.sample_ratio', given, f'carried as {ratio}: theirs rounds to that')
    for key, value in dict(ratio=tuple(ratio), by_prob=by_prob).items():
        if not same(conv.raw.data.sampler.get(key), value):
            conv.put_data(key, value, 'sampler')
    for key, why in (('epoch_length', 'our sampler has no epochs'), ('at_least_one', 'theirs ignores it')):
        if key in theirs:
            conv.notes.skip(f'{place}.{key}', theirs.pop(key), why)
    conv.notes.lose_rest(place, theirs)
