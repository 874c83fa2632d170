"""A config file and the options of the command line, resolved."""

import argparse
import os.path as osp
import pprint
import re
from pathlib import Path
from threading import Lock
from typing import Any

from mmcv import Config, DictAction
from mmdet.utils import replace_cfg_vals

from ssod.core.errors import InputError, building
from ssod.core.files import write_whole
from ssod.core.task import task_of

from .checks import check_classes
from .overrides import merge_options, refuse_idle
from .ranges_check import check_no_nan

READING = Lock()


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
    in the config, it is ``work_dirs/NAME_OF_THE_CONFIG``, with ``/PERCENT/FOLD`` behind it if ``data`` is of a split.

    Raises:
        InputError: no such file, an option or ``${name}`` that does not fit the config, or an override that would
            change nothing.
    """
    if not osp.isfile(path):
        raise InputError(f'no config file {path}')
    try:
        cfg = Config.fromfile(path)
        refuse_idle(path)
    except InputError:
        raise
    except ImportError as error:
        # mmcv does not say which; what it met does.
        reason = str(error) or str(error.__context__ or '') or 'a module of its custom_imports is not installed'
        raise InputError(f'cannot read the config {path}: {reason}') from error
    except (OSError, SyntaxError, NameError, KeyError, TypeError, ValueError) as error:
        raise InputError(f'cannot read the config {path}: {error}') from error
    merge_options(cfg, options or {})
    cfg.cfg_name = osp.splitext(osp.basename(path))[0]
    cfg.work_dir = work_dir or cfg.get('work_dir') or default_work_dir(cfg)
    cfg = fill_in(cfg)
    check_no_nan(cfg)
    if cfg.get('classes') is not None:
        check_classes(cfg.classes)
        if 'model' in cfg:  # a file of data alone has none
            with building('model'):
                task_of(cfg).set_num_classes(cfg.model, len(cfg.classes))
    return cfg


def default_work_dir(cfg: Config) -> str:
    """``work_dirs/NAME``, and behind it the percent and the fold that the names of ``data``'s files depend on."""
    parts = [name for name in ('percent', 'fold') if f'${{{name}}}' in str(cfg.get('data'))]
    return osp.join('work_dirs', cfg.cfg_name, *(str(cfg.get(name)) for name in parts))


def fill_in(cfg: Config) -> Config:
    """Fill in every ``${name}`` as MMDetection's ``replace_cfg_vals`` does, in one pass.

    Raises:
        InputError: a name that the config does not define, or one whose value has a ``${...}`` itself.
    """
    try:
        filled = replace_cfg_vals(cfg)
    except KeyError as error:
        raise InputError(f'{cfg.filename} refers to ${{{error.args[0]}}}, which it does not define') from error
    except (AssertionError, TypeError) as error:
        raise InputError(f'{cfg.filename} has a ${{...}} that cannot be filled in: {error}') from error
    if left := re.search(r'\$\{[\w.]*\}', str(filled._cfg_dict)):
        raise InputError(
            f'{cfg.filename} has {left[0]} in a setting that another ${{...}} names: write that setting in full, '
            'for one pass fills in all'
        )
    return filled


def read_config(path: Path) -> Config:
    """Read a config file as it stands, one thread at a time: mmcv changes sys.path meanwhile."""
    with READING:
        return Config.fromfile(str(path))


def write_config(cfg: Config, path: Path) -> Path:
    """Write a config in full, for the runs in the folders ``seed*`` beside it.

    Raises:
        InputError: those runs were trained with other settings.
    """
    settings = cfg._cfg_dict.to_dict()
    if path.is_file() and list(path.parent.glob('seed*')):
        before = read_config(path)._cfg_dict.to_dict()
        other = [key for key in {**before, **settings} if before.get(key) != settings.get(key)]
        if other:
            raise InputError(
                f'the runs in {path.parent} were trained with other settings of {", ".join(other)}: give another '
                f'folder, remove that one, or remove {path.name} in it to go on with the settings of now'
            )
    pretty = {key: pprint.pformat(value, width=110, sort_dicts=False) for key, value in settings.items()}
    write_whole(path, ''.join(f'{key} = {value}\n' for key, value in pretty.items()))
    return path
