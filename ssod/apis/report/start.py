"""What a training is, written when it starts: its config beside the base, and the machine it runs on."""

import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mmcv import Config

from ssod.core.errors import InputError
from ssod.core.files import write_whole
from ssod.core.hardware import this_machine

from ..config import fill_in
from ..overrides import SETTINGS, assigned_in

FILE = 'run.json'
PACKAGES = ('ssod', 'torch', 'torchvision', 'mmcv-full', 'mmdet', 'mmsegmentation', 'numpy', 'opencv-python-headless')
UNSAID = {'cfg_name', 'work_dir', 'custom_imports', 'auto_resume', 'resume_from'}  # of no run's figures
# A setting, its value in the base and in the run; None: it is not there.
Change = tuple[str, str | None, str | None]


def start_record(cfg: Config, seed: int, processes: int) -> dict[str, Any]:
    """The content of ``run.json``; before the runner, which adds settings of its own to the config."""
    base, changes = difference_to_base(cfg)
    return dict(
        config=cfg.filename,
        command=' '.join(map(os.fspath, sys.argv)),
        started=time.strftime('%Y-%m-%d %H:%M:%S'),
        seed=seed,
        processes=processes,
        environment=environment(),
        base=base,
        changes=changes,
    )


def write_start(work_dir: str | Path, record: dict[str, Any]) -> None:
    """Write ``run.json`` to the work dir of a training that begins or goes on."""
    write_whole(Path(work_dir) / FILE, json.dumps(record, indent=1) + '\n')


def environment() -> dict[str, str]:
    """Versions and hardware."""
    found = dict(Python=platform.python_version(), system=platform.platform(), hardware=str(this_machine()))
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def difference_to_base(cfg: Config) -> tuple[str | None, list[Change]]:
    """The base of a config, and the settings in which a run differs from it, by name.

    The base are the files that the config's own file inherits from; of one that inherits nothing the file itself, from
    which the command line may differ.
    """
    path = cfg.filename
    if not path or not path.endswith('.py') or not os.path.isfile(path):
        return None, []
    bases = assigned_in(path)[1] or [path]
    settings: dict[str, Any] = {}
    for base in bases:
        settings.update(Config.fromfile(base, import_custom_modules=False)._cfg_dict.to_dict())
    own = cfg._cfg_dict.to_dict()
    names = [key for key in settings if key not in SETTINGS and key in own]
    # `${name}` in the base means what the run says of the name, so that one change is one line.
    named = {**{key: value for key, value in own.items() if key not in settings}, **settings}
    try:
        filled = fill_in(Config({**named, **{key: own[key] for key in names}}, filename=path))
    except InputError:
        return None, []
    before = {key: value for key, value in filled._cfg_dict.to_dict().items() if key in settings and key in SETTINGS}
    changed = [key for key in names if is_plain(own[key]) and said(settings[key]) != said(own[key])]
    lines: list[Change] = [(key, said(settings[key]), said(own[key])) for key in changed]
    now = {key: value for key, value in own.items() if key in SETTINGS}
    old, new = flatten(before), flatten(now)
    for key in sorted(old.keys() | new.keys()):
        if key.split('.')[0] not in UNSAID and old.get(key) != new.get(key):
            lines.append((key, old.get(key), new.get(key)))
    return ', '.join(map(os.path.relpath, bases)), lines


def is_plain(value: Any) -> bool:
    """Whether a value is no dictionary and no list of them, whose parts are named one by one."""
    return not isinstance(value, dict) and not (isinstance(value, list) and any(isinstance(v, dict) for v in value))


def flatten(value: Any, name: str = '') -> dict[str, str]:
    """Nested settings as {'a.b.0.c': value in words}."""
    if is_plain(value) or not value:
        return {name: said(value)}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found: dict[str, str] = {}
    for key, item in items:
        found.update(flatten(item, f'{name}.{key}' if name else str(key)))
    return found


def said(value: Any) -> str:
    """A value as a config says it; a tuple and a list are the same, as JSON has it."""
    return repr(list(value) if isinstance(value, tuple) else value)


def read_start(work_dir: Path) -> dict[str, Any]:
    """The content of ``run.json``; empty where there is none."""
    path = work_dir / FILE
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else {}
