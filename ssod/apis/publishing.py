"""Make a plain MMDetection model of student or teacher."""

import ast
import hashlib
import io
from pathlib import Path
from typing import Any

import mmdet
import torch
from mmcv import Config
from torch import Tensor

import ssod
from ssod.core.checkpoint_file import load_file
from ssod.core.errors import InputError
from ssod.core.files import write_whole
from ssod.core.task import TASKS, inner_model

# The rest of a checkpoint's meta is about the run that wrote it: its machine, folders, best score, loss scale.
META = ('CLASSES', 'PALETTE', 'epoch', 'iter', 'seed', 'exp_name', 'time', 'mmcv_version', 'mmdet_version')


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
        keys: list[ast.expr | None] = [ast.Constant(keyword.arg) if keyword.arg else None for keyword in node.keywords]
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


def config_in(checkpoint: str) -> Config:
    """The config in a checkpoint, as it was filled in for its training; none of its text is run.

    Raises:
        InputError: no such file, no checkpoint, or one without a config that names a model and its test data.
    """
    try:
        settings = read_settings(load_file(checkpoint).get('meta', {}).get('config') or '')
    except SyntaxError as error:
        raise InputError(f'the config in {checkpoint} cannot be read: {error}') from error
    if not isinstance(settings.get('model'), dict) or 'test' not in settings.get('data', {}):
        raise InputError(f'{checkpoint} holds no config with model and data: give the config too')
    return Config(settings)


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
    detector = inner_model(model) or model.get('model')  # ours, theirs
    if not detector or 'runner' not in settings:
        return None
    data = {key: data[key] for key in ('workers_per_gpu', 'val', 'test') if key in data}
    rest = dict(  # what MMDetection's tools read besides
        runner=settings['runner'],
        evaluation=dict(metric=settings.get('evaluation', {}).get('metric', 'bbox')),
        dist_params=dict(backend='nccl'),
    )
    if 'segmentor' in model:
        rest['custom_imports'] = dict(imports=['ssod.segmentation'], allow_failed_imports=False)  # its data sets
    return Config(dict(model=detector, data=data, **rest))


def publish(checkpoint: str, out: str, name: str = 'student') -> tuple[Path, Path | None]:
    """Write the weights of student or teacher as a file of a plain detector, and its config beside it.

    Args:
        checkpoint: of a semi-supervised detector, ours or the authors'.
        out: the file; the first 8 digits of its sha256 are added to the name, as MMDetection's publish tool does.
        name: 'student' or 'teacher'.

    Returns:
        The two files; the second is None if the checkpoint holds no config.

    Raises:
        InputError: no such file, no checkpoint, one without that model, or a file that is there already.
    """
    content, config = published(checkpoint, name)
    digest = hashlib.sha256(content).hexdigest()[:8]
    path = Path(f'{out.removesuffix(".pth")}-{digest}.pth')
    for file in (path, path.with_suffix('.py')):
        if file.exists():
            raise InputError(f'{file} exists: choose another --out')
    write_whole(path, content)
    if not config:
        return path, None
    write_whole(path.with_suffix('.py'), config)
    return path, path.with_suffix('.py')


def published(checkpoint: str, name: str) -> tuple[bytes, str]:
    """The published file's content, and the text of the plain detector's config ('' if the checkpoint has none).

    Raises:
        InputError: no such file, no checkpoint, or one without that model.
    """
    loaded = load_file(checkpoint)
    state_dict, meta = loaded.get('state_dict', loaded), loaded.get('meta', {})
    config = plain_config(meta.get('config', ''))
    text = config.pretty_text if config else ''
    kept = {key: meta[key] for key in META if meta.get(key) is not None}
    kept.setdefault('mmdet_version', mmdet.__version__)
    kept.update(config=text, ssod_version=ssod.__version__, published=name)
    weights = half_of(state_dict, name, checkpoint)
    for task in TASKS.values():
        weights = task.publishable(weights)
    buffer = io.BytesIO()
    torch.save(dict(meta=kept, state_dict=weights), buffer)
    return buffer.getvalue(), text
