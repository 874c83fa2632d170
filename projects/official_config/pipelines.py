"""The authors' augmentation pipelines in our ops."""

from collections.abc import Sequence
from typing import Any

from mmdet.datasets import PIPELINES

from .settings import Notes

COLORS = {
    'Identity': 'Identity',
    'AutoContrast': 'AutoContrast',
    'RandEqualize': 'Equalize',
    'RandSolarize': 'Solarize',
    'RandColor': 'Color',
    'RandContrast': 'Contrast',
    'RandBrightness': 'Brightness',
    'RandSharpness': 'Sharpness',
    'RandPosterize': 'Posterize',
}
WARPS = {'RandTranslate': 'RandomTranslate', 'RandRotate': 'RandomRotate', 'RandShear': 'RandomShear'}
# Ours record how they move boxes, which a view that pseudo boxes are projected to or from needs.
MOVES = {'Resize': 'ResizeWithMatrix', 'RandomFlip': 'FlipWithMatrix'}
STILL = ('Pad', 'Normalize', 'DefaultFormatBundle', 'PhotoMetricDistortion', 'Corrupt', 'CutOut')
# Their arguments, and the values with which ours does the same.
IMPLIED = dict(prob=1.0, magnitude_limit=10, seg_ignore_label=255, center=None, scale=1, interpolation='bilinear')
META = ('filename', 'ori_shape', 'img_shape', 'img_norm_cfg', 'pad_shape', 'scale_factor', 'tag', 'transform_matrix')


class View:
    """Translates the ops of one view.

    Args:
        place: of the pipeline in the authors' config, for the notes.
        tag: what they call the view: the name of the branch here.
        collect: our ``Collect`` for this view; if it collects ``transform_matrix``, ops must record what they move.
        notes: takes what cannot be translated.
        on_device: normalize on the device, by our op; else by MMDetection's own.
    """

    def __init__(self, place: str, tag: str, collect: dict, notes: Notes, on_device: bool = True) -> None:
        self.place = place
        self.tag = tag
        self.collect = collect
        self.tracked = 'transform_matrix' in collect.get('meta_keys', ())
        self.notes = notes
        self.on_device = on_device

    def translate(self, ops: Sequence[dict], load: Sequence[dict] = ()) -> list[dict]:
        """Our ops for theirs, in order; a ``Sequential`` becomes its ops.

        Args:
            ops: of the view.
            load: those before them. Images that they, or an op, make float32 stay with MMDetection's
                own op.
        """
        ours = self._all(ops)
        if not self.on_device or any(op.get('to_float32') for op in load) or find(ours, 'PhotoMetricDistortion'):
            return ours
        return normalized_on_device(ours)

    def _all(self, ops: Sequence[dict]) -> list[dict]:
        return [ours for op in ops for ours in self._one(dict(op))]

    def _one(self, op: dict) -> list[dict]:
        """Our ops for one of theirs, whose arguments are taken out of ``op`` as they are understood."""
        kind = op.pop('type')
        name = f'{self.place}: {kind}'
        if not op.pop('record', True):
            self.notes.skip(f'{name}.record', False, 'our views always record their matrix')
        if kind == 'Sequential':
            ours = self._all(op.pop('transforms'))
        elif kind in ('Collect', 'ExtraCollect'):
            ours = self._collect(op, name)
        elif kind == 'ExtraAttrs':
            if op.get('tag') == self.tag:
                del op['tag']
            ours = []
        else:
            ours = self._op(kind, op, name)
        for key, value in op.items():
            if key not in IMPLIED or IMPLIED[key] != value:
                self.notes.lose(f'{name}.{key}', value, 'our op has no such argument')
        return ours

    def _op(self, kind: str, op: dict, name: str) -> list[dict]:
        if kind == 'OneOf':
            choices = op.pop('transforms')
            policies = [self._all(ops if isinstance(ops, list) else [ops]) for ops in choices]
            policies = [ops or [dict(type='Identity')] for ops in policies]  # keeps the odds of the others
            return [dict(type='AutoAugment', policies=policies)]
        if kind == 'ShuffledSequential':
            return [dict(type='RandomOrder', transforms=self._all(op.pop('transforms')))]
        if kind in COLORS:
            return [dict(type=COLORS[kind], **levels(op))]
        if kind in WARPS:
            return [dict(type=WARPS[kind], **self._warp(op, name))]
        if kind == 'RandErase':
            return [dict(type='RandomErasing', **self._erase(op, name))]
        return self._mmdet_op(kind, op, name)

    def _mmdet_op(self, kind: str, op: dict, name: str) -> list[dict]:
        """An op of mmdet's own, with all its arguments."""
        kind = {'RandResize': 'Resize', 'RandFlip': 'RandomFlip'}.get(kind, kind)
        if PIPELINES.get(kind) is None:
            self.notes.lose(name, dict(op), 'no such op here: register it and add it to the view')
            ours = []
        elif self.tracked and kind not in (*MOVES, *STILL):
            self.notes.lose(name, dict(op), 'it does not record how it moves boxes, so pseudo boxes would miss')
            ours = []
        else:
            ours = [dict(type=MOVES.get(kind, kind), **op)]
        op.clear()
        return ours

    def _warp(self, op: dict, name: str) -> dict:
        fixed = not op.pop('random_magnitude', True)
        ours = {key: op.pop(key) for key in ('x', 'y', 'angle') if op.get(key) is not None}
        if fixed:
            ours = {key: (value, value) for key, value in ours.items()}
        if op.get('min_size', 0) is not None:
            ours.update({key: op.pop(key) for key in ('min_size',) if key in op})
        return {**ours, **self._fill(op, name)}

    def _erase(self, op: dict, name: str) -> dict:
        number, size = op.pop('n_iterations'), op.pop('size')
        # They draw the number with an upper end that is not included.
        ours = dict(n_patches=(number, number) if isinstance(number, int) else (number[0], number[1] - 1))
        ours['ratio'] = (size, size) if isinstance(size, float) else tuple(size)
        if op.pop('random_magnitude', True) is False:
            self.notes.lose(f'{name}.patches', op.pop('patches', None), 'patches are always drawn here')
        return {**ours, **{key: op.pop(key) for key in ('squared',) if key in op}, **self._fill(op, name)}

    def _fill(self, op: dict, name: str) -> dict:
        fill = op.pop('img_fill_val', 125)
        values = set(fill) if isinstance(fill, (list, tuple)) else {fill}
        if len(values) > 1:
            self.notes.lose(f'{name}.img_fill_val', fill, 'one value for all channels here: 125 is used')
        return {} if values == {125} or len(values) > 1 else dict(fill=values.pop())

    def _collect(self, op: dict, name: str) -> list[dict]:
        keys, known = op.pop('keys'), ('img', 'gt_bboxes', 'gt_labels', *self.collect['keys'])
        if self.tag != 'sup':
            known += ('gt_masks',)  # made up for the format, as the boxes are
        if more := [key for key in keys if key not in known]:
            self.notes.lose(f'{name}.keys', more, 'nothing here learns from them')
        meta = [key for part in ('meta_keys', 'extra_meta_keys') for key in op.pop(part, ())]
        if more := [key for key in meta if key not in (*META, *self.collect.get('meta_keys', ()))]:
            self.notes.lose(f'{name}.meta_keys', more, 'nothing here reads them')
        return [self.collect]


def normalized_on_device(ops: list[dict]) -> list[dict]:
    """The same ops with our one for ``Pad``, ``Normalize`` and ``DefaultFormatBundle`` in a row."""
    for i, (pad, normalize, bundle) in enumerate(zip(ops, ops[1:], ops[2:], strict=False)):
        plain = pad.keys() == {'type', 'size_divisor'} and bundle == dict(type='DefaultFormatBundle')
        if plain and (pad['type'], normalize['type']) == ('Pad', 'Normalize'):
            ours = {**normalize, 'type': 'NormalizeOnDevice', 'size_divisor': pad['size_divisor']}
            return [*ops[:i], ours, *ops[i + 3 :]]
    return ops


def levels(op: dict) -> dict:
    """Arguments of our color op for their magnitude, whose upper end is not included."""
    magnitude = op.pop('magnitude', 10)
    if not op.pop('random_magnitude', True):
        return dict(levels=(magnitude, magnitude))
    return {} if magnitude == 10 else dict(levels=(1, magnitude - 1))


def find(ops: Any, *kinds: str) -> dict | None:
    """The first op of one of these types in nested ops, None if there is none."""
    if isinstance(ops, dict):
        if ops.get('type') in kinds:
            return ops
        ops = list(ops.values())
    if isinstance(ops, (list, tuple)):
        return next((found for op in ops if (found := find(op, *kinds)) is not None), None)
    return None


def split(pipeline: Sequence[dict]) -> tuple[list[dict], list[dict]]:
    """Ops that read an image and its annotations, and those after them."""
    first = next((i for i, op in enumerate(pipeline) if not op['type'].startswith('Load')), len(pipeline))
    return list(pipeline[:first]), list(pipeline[first:])


def is_pipeline(value: Any) -> bool:
    """Whether a value is a list of ops."""
    return isinstance(value, list) and bool(value) and all(isinstance(op, dict) and 'type' in op for op in value)
