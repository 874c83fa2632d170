"""A config of the authors being taken apart, and ours being put together."""

import copy
from pathlib import Path
from typing import Any

from mmcv import Config

from .settings import Notes, difference, leaves

BASES = Path(__file__).resolve().parents[2] / 'configs/_base_'
SCHEDULE = ('schedules/sgd_180k.py', 'runtime.py')
SOFT_TEACHER = ('models/soft_teacher_faster_rcnn_r50_caffe_fpn.py', 'datasets/coco_semi.py', *SCHEDULE)
BASELINE = ('models/faster_rcnn_r50_caffe_fpn.py', 'datasets/coco_sup.py', *SCHEDULE)
MASK_SOFT_TEACHER = ('models/soft_teacher_mask_rcnn_r50_caffe_fpn.py', 'datasets/coco_instance_semi.py', *SCHEDULE)
MASK_BASELINE = ('models/mask_rcnn_r50_caffe_fpn.py', 'datasets/coco_instance_sup.py', *SCHEDULE)
SECTIONS = ('data', 'model', 'semi_wrapper')


class Conversion:
    """What is left of the authors' settings, and what the new config says over our bases.

    Sections take out of ``theirs`` what they know; what is left in the end is noted as lost.

    Args:
        theirs: the authors' config, every ``${name}`` filled in but for ``variables``.
        variables: values of the names that stay variables, ``fold`` and ``percent``.
        name: of the config's file, without .py: what their ``${cfg_name}`` stands for.
        named: the names that a ``${name}`` in it refers to.
        notes: takes what cannot be carried.

    Attributes:
        semi: their ``semi_wrapper``; None for a supervised baseline.
        used: every value in their data and model, by which a variable of the file is known.
        bases: our base configs, absolute paths.
        raw: the bases as they are read, with ``${...}``.
        settings: what the new config says over them.
        sets, names: their data sets by our names (labeled, unlabeled, val, test), and what they call them.
    """

    def __init__(self, theirs: dict, variables: dict, name: str, named: set[str], notes: Notes) -> None:
        self.used = [copy.deepcopy(value) for key in SECTIONS for value in leaves(theirs.get(key))]
        self.theirs = theirs
        self.variables = variables
        self.name = name
        self.named = named
        self.notes = notes
        self.semi = theirs.pop('semi_wrapper', None)
        self.bases = [str(BASES / base) for base in self.find_bases()]
        self.raw = Config()
        self.settings: dict[str, Any] = {}
        self.sets: dict[str, dict] = {}
        self.names: dict[str, str] = {}

    def find_bases(self) -> tuple[str, ...]:
        """Our base configs for their method and their detector, which is read and stays."""
        detector = (self.theirs if self.semi is None else self.semi).get('model')
        roi_head = detector.get('roi_head') if isinstance(detector, dict) else None
        if isinstance(roi_head, dict) and roi_head.get('mask_head'):
            return MASK_BASELINE if self.semi is None else MASK_SOFT_TEACHER
        return BASELINE if self.semi is None else SOFT_TEACHER

    def put(self, key: str, value: Any) -> None:
        """Set a top-level setting, unless our bases say the same."""
        self.override(self.raw, key, value)

    def override(self, base: Config, key: str, value: Any) -> None:
        """Set what a top-level section has to say over the base's."""
        self.settings.update(difference({key: base[key]} if key in base else {}, {key: value}))

    def put_data(self, key: str, value: Any, *sections: str) -> None:
        """Set a setting of ``data`` or of a section in it."""
        section = self.settings.setdefault('data', {})
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = value

    def put_source(self, name: str, key: str, value: Any) -> None:
        """Set a setting of one of ``sets``."""
        self.put_data(key, value, *self.section_of(name))

    def section_of(self, name: str) -> tuple[str, ...]:
        """Where in our ``data`` one of ``sets`` is."""
        if name in ('val', 'test'):
            return (name,)
        return ('train',) if self.semi is None else ('train', name)

    def source(self, cfg: Config, name: str) -> dict:
        """One of ``sets`` in a config of ours."""
        section = cfg.data
        for key in self.section_of(name):
            section = section[key]
        return section

    def is_variable(self, name: str, value: Any) -> bool:
        """Whether a top-level name of theirs only serves to write settings that are dealt with elsewhere."""
        if name in self.named:
            return True
        if isinstance(value, str):
            paths = (other for other in self.used if isinstance(other, str))
            return any(
                value and (other == value or (value.endswith('/') and other.startswith(value))) for other in paths
            )
        if isinstance(value, dict):  # perhaps unpacked, dict(type='Normalize', **img_norm_cfg)
            return bool(value) and any(isinstance(other, dict) and {**other, **value} == other for other in self.used)
        return bool(value) and isinstance(value, (list, tuple)) and value in self.used
