"""Run in a process of its own by ``test_neighbour.py``: prints, as JSON, what ``import ssod`` changes in it."""

import importlib
import json
import logging
import pkgutil
import signal
import sys
import types
import warnings
from pathlib import Path

import mmcv
import mmdet
import mmseg
import numpy as np
import torch
import torchvision
from mmcv import ConfigDict
from mmcv.runner import wrap_fp16_model
from mmcv.utils import Registry
from mmdet.models import build_detector

sys.path.insert(0, str(Path(__file__).parent / 'data/golden'))

import case  # noqa: E402  a small detector, its weights, an image

LIBRARIES = ('mmcv', 'mmdet', 'mmseg', 'torch', 'torchvision', 'numpy', 'logging', 'warnings', 'signal')


def import_all(package: types.ModuleType) -> None:
    """Import every module of a package, as far as what it needs is installed."""
    for module in pkgutil.walk_packages(package.__path__, f'{package.__name__}.', onerror=lambda name: None):
        try:
            importlib.import_module(module.name)
        except (ImportError, OSError, AttributeError, RuntimeError):
            pass


def attributes() -> dict[str, object]:
    """Every attribute of the libraries' modules and of their classes, by its place."""
    found = {}
    for name, module in list(sys.modules.items()):
        if name.split('.')[0] in LIBRARIES and isinstance(module, types.ModuleType):
            for key, value in list(vars(module).items()):
                found[f'{name}:{key}'] = value
                if isinstance(value, type) and value.__module__ == name:
                    found.update({f'{name}:{key}.{inner}': item for inner, item in vars(value).items()})
    return found


def registries(found: dict[str, object]) -> dict[str, dict[str, type]]:
    """Of each registry the classes by name."""
    known = {id(value): value for value in found.values() if isinstance(value, Registry)}
    return {f'{value.scope}.{value.name}': dict(value.module_dict) for value in known.values()}


def settings() -> dict[str, str]:
    """What a process has set for itself."""
    loggers = {name: log for name, log in logging.root.manager.loggerDict.items() if isinstance(log, logging.Logger)}
    return {
        'warnings': str(warnings.filters),
        'signals': str([signal.getsignal(number) for number in signal.valid_signals()]),
        'levels': str({name: (log.level, log.propagate) for name, log in loggers.items() if log.level}),
        'handlers': str({name: log.handlers for name, log in loggers.items() if log.handlers}),
        'root logger': str((logging.root.level, logging.root.handlers)),
        'torch': str([
            torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads(), torch.is_grad_enabled(),
            torch.is_autocast_enabled('cpu'), torch.get_float32_matmul_precision(), torch.initial_seed(),
            torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark,
            torch.multiprocessing.get_sharing_strategy(),
        ]),
        'print options': str(np.get_printoptions()),
        'hooks': str((sys.excepthook, sys.displayhook)),
    }  # fmt: skip


def detect_in_half() -> list:
    """Boxes of a Faster R-CNN in float16, as mmcv and MMDetection run one (on a CPU the weights have to be half, too).

    RoIAlign has no float16 kernel on a CPU: MMDetection's extractor computes it in float32, by mmcv's `force_fp32`.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = build_detector(ConfigDict(case.detector_cfg()))
    case.fill(model)
    wrap_fp16_model(model)
    model = model.to(device, torch.float16 if device == 'cpu' else torch.float32).eval()
    image, metas = case.image(1, case.SUP_HW)[None].to(device), [case.meta('1.jpg', case.SUP_HW, 'sup', np.eye(3))]
    seen = []
    extractor = model.roi_head.bbox_roi_extractor
    extractor.roi_layers[0].register_forward_hook(lambda layer, args, out: seen.append(str(args[0].dtype)))
    try:
        with torch.no_grad():
            boxes = model([image], [metas], return_loss=False)[0]
    except Exception as error:  # the reader of the answer compares
        return [type(extractor).__name__, *set(seen), str(error)]
    return [type(extractor).__name__, *set(seen), *(own.tolist() for own in boxes)]


def changes() -> dict[str, object]:
    """What is different after the import: attributes, registered names, settings."""
    for package in (mmcv, mmdet, mmseg, torchvision):
        import_all(package)
    boxes = detect_in_half()  # before the others: the first use of some parts of torch loads them
    before = attributes()
    known, set_before = registries(before), settings()
    import ssod  # noqa: F401

    after, set_after = attributes(), settings()
    ours = registries(after)
    return {
        'changed': sorted(p for p, v in before.items() if after.get(p) is not v),
        'added': sorted(
            p for p in after.keys() - before.keys() if p.split(':')[0] in {q.split(':')[0] for q in before}
        ),
        'registered': {p: sorted(ours[p].keys() - own.keys()) for p, own in known.items() if ours[p] != own},
        'replaced': [f'{p} {n}' for p, own in known.items() for n, kind in own.items() if ours[p].get(n) is not kind],
        'settings': [name for name, value in set_after.items() if value != set_before[name]],
        'half': [boxes, detect_in_half()],
        'modules': {f'{p} {n}': ours[p][n].__module__ for p, own in known.items() for n in ours[p].keys() - own.keys()},
        'counts': {'attributes': len(before), 'registries': len(known), 'classes': sum(map(len, known.values()))},
    }


if __name__ == '__main__':
    print(json.dumps(changes()))
