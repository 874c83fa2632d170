"""Make a plain MMDetection model of student or teacher: `python tools/publish_model.py CHECKPOINT --out NAME.pth`.

Writes NAME-HASH.pth, HASH being the first 8 digits of the file's sha256, as MMDetection's own publish tool does: the
weights of one of the two under the plain detector's names, without optimizer, and of the meta what is of use to others.
Beside it NAME-HASH.py, the plain detector's config with the data it was evaluated on. Neither needs this repository:

    python .../mmdet/.mim/tools/test.py NAME-HASH.py NAME-HASH.pth --eval bbox

Takes checkpoints of ours and of the authors' repository. The weights can start a new run of Soft Teacher (`load_from`).
"""

import argparse
import ast
import hashlib
import io
import os.path as osp
from pathlib import Path
from typing import Any

import ssod  # noqa: F401  first: it keeps its host quiet

# isort: split
import mmdet
import torch
from mmcv import Config
from mmcv.runner import CheckpointLoader
from torch import Tensor

from ssod.apis import InputError
from ssod.apis.checks import reading_checkpoint, run_command

# The rest of a checkpoint's meta is about the run that wrote it: its machine, folders, best score, loss scale.
META = ('CLASSES', 'PALETTE', 'epoch', 'iter', 'seed', 'exp_name', 'time', 'mmcv_version', 'mmdet_version')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help="of Soft Teacher, ours or the authors'")
    parser.add_argument('--model', choices=['student', 'teacher'], default='student', help='which of the two (student)')
    parser.add_argument('--out', required=True, metavar='NAME.pth', help='the file; its hash is added to the name')
    return parser.parse_args()


def half_of(state_dict: dict[str, Tensor], name: str, checkpoint: str) -> dict[str, Tensor]:
    """The weights behind ``student.`` or ``teacher.``, without that prefix.

    Raises:
        InputError: there are none.
    """
    half = {key.removeprefix(f'{name}.'): value for key, value in state_dict.items() if key.startswith(f'{name}.')}
    if not half:
        parts = ', '.join(sorted({key.split('.')[0] for key in state_dict}))
        raise InputError(f'{checkpoint} holds no {name}: it has {parts or "no weights"}')
    return half


class AsLiteral(ast.NodeTransformer):
    """Makes ``dict(a=1)`` the literal ``{'a': 1}``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A dictionary for a call of ``dict`` with keywords alone; any other call stays and is no literal."""
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id != 'dict' or node.args:
            return node
        keys = [keyword.arg and ast.Constant(keyword.arg) for keyword in node.keywords]
        return ast.Dict(keys, [keyword.value for keyword in node.keywords])


def read_settings(text: str) -> dict[str, Any]:
    """The top-level settings of a config's text that are literals. A checkpoint is not trusted: nothing is run."""
    settings = {}
    for line in ast.parse(text).body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            try:
                settings[line.targets[0].id] = ast.literal_eval(AsLiteral().visit(line.value))
            except ValueError:  # gpu_ids = range(0, 8), say
                continue
    return settings


def plain_config(text: str) -> Config | None:
    """The config of the detector inside a semi-supervised one, with its evaluation data; None if there is none.

    Args:
        text: config of a run, ours or the authors', as its checkpoints hold it.
    """
    try:
        settings = read_settings(text)
    except SyntaxError:
        return None
    model, data = settings.get('model', {}), settings.get('data', {})
    detector = model.get('detector') or model.get('model')  # ours, theirs
    if not detector or 'runner' not in settings:
        return None
    data = {key: data[key] for key in ('workers_per_gpu', 'val', 'test') if key in data}
    host = dict(  # what mmdet's tools read besides
        runner=settings['runner'],
        evaluation=dict(metric=settings.get('evaluation', {}).get('metric', 'bbox')),
        dist_params=dict(backend='nccl'),
    )
    return Config(dict(model=detector, data=data, **host))


def publish(checkpoint: str, name: str) -> tuple[bytes, str]:
    """The published file's content, and the text of the plain detector's config ('' if the checkpoint has none).

    Raises:
        InputError: no such file, no checkpoint, or one without that model.
    """
    with reading_checkpoint(checkpoint):
        loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
        state_dict = loaded.get('state_dict', loaded)
        meta = loaded.get('meta', {})
    config = plain_config(meta.get('config', ''))
    text = config.pretty_text if config else ''
    published = {key: meta[key] for key in META if meta.get(key) is not None}
    published.setdefault('mmdet_version', mmdet.__version__)
    published.update(config=text, ssod_version=ssod.__version__, published=name)
    buffer = io.BytesIO()
    torch.save(dict(meta=published, state_dict=half_of(state_dict, name, checkpoint)), buffer)
    return buffer.getvalue(), text


def main() -> None:
    """Publish; bad input ends in one sentence."""
    args = parse_args()
    content, config = publish(args.checkpoint, args.model)
    digest = hashlib.sha256(content).hexdigest()[:8]
    out = Path(f'{args.out.removesuffix(".pth")}-{digest}.pth')
    for path in (out, out.with_suffix('.py')):
        if path.exists():
            raise InputError(f'{path} exists: choose another --out')
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(content)
    print(f'{out}: the {args.model}, {len(content) / 2**20:.1f} MiB')
    if not config:
        print('The checkpoint holds no config: use the one of the plain detector that it was trained with.')
        return
    out.with_suffix('.py').write_text(config, encoding='utf-8')
    test = osp.join(osp.dirname(mmdet.__file__), '.mim/tools/test.py')
    print(f'python {test} {out.with_suffix(".py")} {out} --eval bbox')


if __name__ == '__main__':
    run_command(main)
