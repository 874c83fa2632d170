"""A config file and the options of the command line, resolved."""

import argparse
import os.path as osp
from difflib import get_close_matches
from typing import Any

from mmcv import Config, DictAction
from mmdet.utils import replace_cfg_vals

from ssod.core.errors import InputError, building
from ssod.core.task import task_of

from .checks import check_classes


class Options(DictAction):
    """mmcv's ``--cfg-options KEY=VALUE ...``, with a usage message where ``=`` is missing."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: list[str], *args: Any) -> None:
        """Parse the options into a dictionary."""
        wrong = [value for value in values if '=' not in value]
        if wrong:
            parser.error(f'--cfg-options takes KEY=VALUE, got {wrong[0]!r}')
        super().__call__(parser, namespace, values, *args)


def load_config(path: str, options: dict | None = None, work_dir: str | None = None) -> Config:
    """Read a config, apply ``--cfg-options``, then fill in ``${...}``; one setting reaches every place it is named.

    A top-level ``classes`` also sets the number of classes of every box and mask head. Without ``work_dir``, here or
    in the config, it is ``work_dirs/NAME_OF_THE_CONFIG``.

    Raises:
        InputError: no such file, or an option or ``${name}`` that does not fit the config.
    """
    if not osp.isfile(path):
        raise InputError(f'no config file {path}')
    try:
        cfg = Config.fromfile(path)
    except (OSError, SyntaxError, KeyError, TypeError, ValueError) as error:
        raise InputError(f'cannot read the config {path}: {error}') from error
    refuse_typos(cfg, options or {})
    try:
        cfg.merge_from_dict(options or {})
    except (TypeError, KeyError, IndexError, AssertionError) as error:
        raise InputError(f'--cfg-options do not fit {path}: {error}') from error
    cfg.cfg_name = osp.splitext(osp.basename(path))[0]
    cfg.work_dir = work_dir or cfg.get('work_dir') or osp.join('work_dirs', cfg.cfg_name)
    cfg = resolve(cfg)
    if cfg.get('classes') is not None:
        check_classes(cfg.classes)
        with building('model'):
            task_of(cfg).set_num_classes(cfg.model, len(cfg.classes))
    return cfg


def refuse_typos(cfg: Config, options: dict) -> None:
    """Refuse an option that is nearly the name of a setting: mmcv would add it, and nothing would change.

    Names that differ by ``un`` in front are two names.

    Raises:
        InputError: there is such an option.
    """
    for option in options:
        section: Any = cfg._cfg_dict
        for key in option.split('.'):
            if not isinstance(section, dict):  # mmcv checks the places of a list
                break
            near = [] if key in section else get_close_matches(key, section, n=1, cutoff=0.9)
            if near and f'un{key}' != near[0] != key.removeprefix('un'):
                raise InputError(f'--cfg-options {option}: {cfg.filename} has no {key}; did you mean {near[0]}?')
            section = section.get(key)


def resolve(cfg: Config) -> Config:
    """Fill in every ``${name}``, also where the setting that is named names others in turn.

    Raises:
        InputError: a name that the config does not define, or one that names itself.
    """
    for _ in range(8):
        before = cfg
        try:
            cfg = replace_cfg_vals(cfg)
        except KeyError as error:
            raise InputError(f'{cfg.filename} refers to ${{{error.args[0]}}}, which it does not define') from error
        if cfg._cfg_dict == before._cfg_dict:
            return cfg
    raise InputError(f'{cfg.filename} has a ${{...}} that names itself')
