"""Settings that a config names once and writes out in several places: an override of the name reaches them all.

A data config reads from top to bottom, ``strong_pipeline = [...]``, then ``data = dict(...)`` that holds the list. mmcv
hands on both, and whoever overrides the name alone changes nothing. Here an option is copied to where the list stands,
and a file that redefines the name for nothing is refused.
"""

import ast
import copy
import os.path as osp
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from mmcv import Config

from ssod.core.errors import InputError

# What MMDetection or we read at the top of a config. Any other name there serves to write one of these.
SETTINGS = frozenset(
    'accelerate auto_resume auto_scale auto_scale_lr base_batch cfg_name channels_last checkpoint_config classes '
    'compile cudnn_benchmark custom_hooks custom_imports data deterministic device dist_params evaluation '
    'find_unused_parameters fp16 gpu_ids load_from log_config log_level lr_config mkl_num_threads mlflow '
    'model momentum_config mp_start_method omp_num_threads opencv_num_threads optimizer optimizer_config '
    'pseudo_score_thr rank_timeout resume_from resume_optimizer runner seed test_cfg total_epochs train_cfg wandb '
    'work_dir workflow'.split()
)
# What tools/pseudo_label.py reads in a config without unlabeled images of its own.
LABELING = frozenset(['unlabeled_ann', 'unlabeled_images', 'unlabeled_dataset'])
Place = tuple[str | int, ...]


def merge_options(cfg: Config, options: dict[str, Any]) -> None:
    """Apply ``--cfg-options`` in place, those of a name that ``data`` has written out wherever it stands.

    Raises:
        InputError: an option that does not fit the config or would change nothing.
    """
    refuse_typos(cfg, options)
    named: dict[str, dict] = {}
    for option, value in options.items():
        name = option.split('.')[0]
        named.setdefault('' if is_read(cfg, name) else name, {})[option] = value
    direct = named.pop('', {})
    for name, own in named.items():
        found = list(places_of(cfg, name))
        if not any(place[0] in ('data', 'model') for place in found):
            raise InputError(f'--cfg-options {next(iter(own))} would change nothing: {nothing_holds(cfg, name)}')
        merge(cfg, own)
        for place in found:
            write(cfg._cfg_dict, place, cfg[name])
    merge(cfg, direct)


def merge(cfg: Config, options: dict[str, Any]) -> None:
    """As mmcv's ``merge_from_dict``; an InputError if the options do not fit."""
    try:
        cfg.merge_from_dict(options)
    except (TypeError, KeyError, IndexError, AssertionError, AttributeError) as error:
        raise InputError(f'--cfg-options do not fit {cfg.filename}: {error}') from error


def refuse_typos(cfg: Config, options: dict[str, Any]) -> None:
    """Refuse an option that is nearly the name of a setting: mmcv would add it, and nothing would change.

    Names that differ by ``un`` in front are two names.

    Raises:
        InputError: there is such an option, or one of which nothing is known.
    """
    for option in options:
        section: Any = cfg._cfg_dict
        for key in option.split('.'):
            if isinstance(section, (list, tuple)) and key.isdigit() and int(key) < len(section):
                section = section[int(key)]
                continue
            if not isinstance(section, dict):  # mmcv says that it does not fit
                break
            near = [] if key in section else get_close_matches(key, section, n=1, cutoff=0.9)
            if near and f'un{key}' != near[0] != key.removeprefix('un'):
                raise InputError(f'--cfg-options {option}: {cfg.filename} has no {key}; did you mean {near[0]}?')
            section = section.get(key)
        name = option.split('.')[0]
        if name not in cfg and not is_read(cfg, name):
            raise InputError(f'--cfg-options {option}: {cfg.filename} has no {name}, and nothing would read it')


def is_read(cfg: Config, name: str) -> bool:
    """Whether a top-level name has an effect by itself: a setting, or one that a ``${name}`` in a setting refers to."""
    known = SETTINGS
    if cfg.get('data', {}).get('train', {}).get('type') != 'SemiDataset':
        known = SETTINGS | LABELING
    text = str({key: value for key, value in cfg.items() if key in known})
    return name in known or re.search(rf'\$\{{{re.escape(name)}[.}}]', text) is not None


def places_of(cfg: Config, name: str) -> Iterator[Place]:
    """Where in the rest of a config the value of a top-level name stands, as keys and indices."""
    for key, section in cfg._cfg_dict.items():
        if key != name:
            yield from places(section, cfg[name], (key,))


def places(section: Any, value: Any, place: Place = ()) -> Iterator[Place]:
    """Where in nested settings a list stands, or a dictionary, perhaps unpacked among other keys."""
    if holds(section, value):
        yield place
    elif isinstance(section, dict):
        for key, item in section.items():
            yield from places(item, value, (*place, key))
    elif isinstance(section, list):
        for index, item in enumerate(section):
            if not isinstance(item, tuple):  # one of several scales, which is not the setting of the same numbers
                yield from places(item, value, (*place, index))


def holds(section: Any, value: Any) -> bool:
    """Whether a part of the settings is the list ``value``, or has all that the dictionary ``value`` has."""
    if not isinstance(value, (dict, list, tuple)) or not value or not isinstance(section, type(value)):
        return False
    if isinstance(value, dict):
        return all(key in section and section[key] == item for key, item in value.items())
    return section == value


def write(settings: dict, place: Place, value: Any) -> None:
    """Put a copy of ``value`` at a place of :func:`places`, beside what else a dictionary there has."""
    for key in place[:-1]:
        settings = settings[key]
    value = copy.deepcopy(value)
    if isinstance(value, dict):
        settings[place[-1]].update(value)
    else:
        settings[place[-1]] = value


def refuse_idle(path: str) -> None:
    """Refuse a config file, or one of its bases, that redefines an inherited name for nothing.

    Raises:
        InputError: what the file inherits has the name's old value written out, and the new one stands nowhere.
    """
    if not path.endswith('.py'):
        return
    names, bases = assigned_in(path)
    for base in bases:
        refuse_idle(base)
    names -= SETTINGS
    if not bases or not names:
        return
    cfg = Config.fromfile(path, import_custom_modules=False)
    inherited: dict[str, Any] = {}
    for base in bases:
        inherited.update(Config.fromfile(base, import_custom_modules=False)._cfg_dict)
    for name in sorted(names & inherited.keys() & cfg.keys()):
        if cfg[name] == inherited[name] or is_read(cfg, name):
            continue
        if any(place[0] in ('data', 'model') for place in places_of(cfg, name)):
            continue
        # Names that no part held before, such as `data_root` of MMDetection's configs, serve to write others.
        before = Config({**cfg._cfg_dict, name: inherited[name]})
        held = ['.'.join(map(str, place)) for place in places_of(before, name) if place[0] in ('data', 'model')]
        if held:
            where = ' and '.join(held)
            raise InputError(f'{path} redefines {name}, which alone changes nothing: set {where} too')


def assigned_in(path: str) -> tuple[set[str], list[str]]:
    """The names that a config file itself sets at its top, and the paths of its bases."""
    with open(path, encoding='utf-8') as file:
        body = ast.parse(file.read()).body
    values = {
        target.id: line.value
        for line in body
        if isinstance(line, ast.Assign)
        for target in line.targets
        if isinstance(target, ast.Name)
    }
    written = values.pop('_base_', None)
    base = ast.literal_eval(written) if written is not None else []
    bases = base if isinstance(base, (list, tuple)) else [base]
    return set(values), [osp.join(osp.dirname(path), each) for each in bases]


def nothing_holds(cfg: Config, name: str) -> str:
    """That the value of a name stands nowhere, and which part of ``data`` is most like it."""
    count, near = max(likeness(cfg.get('data', {}), cfg[name], ('data',)), default=(0, ''))
    return f'{name} stands nowhere in `data`; set {near if count else "the part that is meant"} itself'


def likeness(section: Any, value: Any, place: Place) -> Iterator[tuple[int, str]]:
    """(number of equal items, place) of each list in nested settings; of each dictionary, if ``value`` is one."""
    if not isinstance(section, (dict, list)):
        return
    items = list(section.items() if isinstance(section, dict) else enumerate(section))
    if isinstance(value, type(section)):
        own = list(value.items() if isinstance(value, dict) else enumerate(value))
        yield sum(item in own for item in items), '.'.join(map(str, place))
    for key, item in items:
        yield from likeness(item, value, (*place, key))
