"""Turn a config of the authors' repository into ours: `python tools/convert_config.py OFFICIAL.py [--out OURS.py]`.

Reads a Soft Teacher or baseline config of github.com/microsoft/SoftTeacher, its `_base_` files included, and writes a
config that inherits from ours and says what differs: data, classes, images a GPU, model, thresholds, views, schedule,
hooks. Every setting that it cannot carry is printed with its value and the reason: first those without which training
differs (the head of the new file has them too), then those that need nothing.

The new config has been loaded, and its detector and pipelines built, before the command ends.
"""

import argparse
import os.path as osp
import re
import tempfile
from pathlib import Path

import mmdet
from mmcv import Config
from mmdet.datasets.pipelines import Compose
from mmdet.models import build_detector
from mmdet.utils import replace_cfg_vals

from ssod.apis import InputError, load_config
from ssod.apis.checks import data_set_configs
from ssod.core.errors import building

from . import data, training
from .conversion import Conversion
from .settings import Notes

ROOT = Path(__file__).resolve().parents[2]
# Names that stay variables; every other ${name} is replaced by its value.
VARIABLES = ('fold', 'percent', 'cfg_name')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('official', help="config of the authors' repository")
    parser.add_argument('--out', metavar='FILE.py', help='the new config (of the same name, in the present folder)')
    return parser.parse_args()


def read(path: str, notes: Notes) -> Conversion:
    """The authors' config, ready to be converted.

    Raises:
        InputError: no such file, one of its bases is missing, or it is no config.
    """
    if not osp.isfile(path):
        raise InputError(f'no config file {path}')
    try:
        cfg = Config.fromfile(path, import_custom_modules=False)
    except FileNotFoundError as error:
        raise InputError(missing_base(path, str(error))) from error
    except (SyntaxError, ImportError, NameError, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise InputError(f'cannot read the config {path}: {error}') from error
    named = {name.split('.')[0] for name in re.findall(r'\$\{([\w.]*)\}', str(cfg._cfg_dict))}
    variables = {name: cfg[name] for name in VARIABLES if name in cfg and name != 'cfg_name'}
    cfg.merge_from_dict({name: f'${{{name}}}' for name in VARIABLES})
    theirs = resolve(cfg)._cfg_dict.to_dict()
    for name in VARIABLES:
        theirs.pop(name)
    return Conversion(theirs, variables, Path(path).stem, named, notes)


def resolve(cfg: Config) -> Config:
    """Fill in every ``${name}``, also where the setting that is named names others in turn, as theirs do.

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


def missing_base(path: str, error: str) -> str:
    """What to do about a file of ``_base_`` that is not there."""
    found = re.search(r'"(.+)"', error)
    base = osp.normpath(found.group(1)) if found else error
    sentence = f'{path} inherits from {base}, which does not exist'
    folder, is_mmdet, _ = base.partition('mmdetection/configs/')
    if is_mmdet:
        installed = osp.join(osp.dirname(mmdet.__file__), '.mim')
        sentence += (
            f'; link the installed MMDetection there: mkdir -p {folder} && ln -s {installed} {folder}mmdetection'
        )
    return sentence


def convert(conv: Conversion) -> None:
    """Convert every section.

    Raises:
        InputError: a part without which there is nothing to convert is missing, or the method is another one.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'bases.py')
        path.write_text(f'_base_ = {conv.bases}\n')
        conv.raw = Config.fromfile(str(path))
        data.sources(conv)
        data.parameters(conv)
        ours = load_config(str(path), dict(conv.settings))
    data.views(conv, ours)
    data.loading(conv)
    training.model(conv, ours)
    training.schedule(conv, ours)
    training.evaluation(conv, ours)
    training.logging(conv)
    training.custom_hooks(conv, ours)
    training.leftovers(conv)


def write(conv: Conversion, official: str, out: Path) -> None:
    """Write the new config, and see that it loads and builds; else there is none.

    Raises:
        InputError: it does not.
    """
    head = [f'# {osp.basename(official)} of the authors, by tools/convert_config.py.']
    if conv.notes.lost:
        head += ['# Not carried, so training differs:', *(f'#   {line}' for line in conv.notes.lost)]
    inside = ROOT in out.resolve().parents  # then it may move with our configs
    bases = [osp.relpath(base, out.resolve().parent) if inside else base for base in conv.bases]
    text = Config(dict(_base_=bases, **conv.settings)).pretty_text
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text('\n'.join([*head, text]), encoding='utf-8')
    try:
        cfg = load_config(str(out))
        with building('model'):
            build_detector(cfg.model)
        for place, settings in data_set_configs(cfg).items():
            with building(f'{place}.pipeline'):
                Compose(settings.pipeline)
    except Exception as error:  # whatever a part of MMDetection raises
        out.unlink()
        raise InputError(f'{official} cannot be converted: {error}') from error


def main() -> None:
    """Convert; bad input ends in one sentence."""
    args = parse_args()
    out = Path(args.out or osp.basename(args.official))
    if out.exists():
        raise InputError(f'{out} exists: choose another --out')
    notes = Notes()
    conv = read(args.official, notes)
    with building(args.official):
        convert(conv)
    write(conv, args.official, out)
    print(f'{out}: loads and builds')
    for title, lines in (('Not carried, so training differs', notes.lost), ('Needs nothing', notes.needless)):
        if lines:
            print(f'{title}:', *lines, sep='\n  ')
