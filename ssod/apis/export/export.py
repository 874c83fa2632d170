"""Write a trained model in a format that others run, once it is shown to agree with PyTorch on real images."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv import Config
from torch import nn

import ssod
from ssod.apis.data_checks import building_data, check_out
from ssod.apis.inference import init_detector
from ssod.apis.predict import find_images
from ssod.apis.predictor import recommended
from ssod.core.checkpoint_file import load_file, write_safetensors
from ssod.core.errors import InputError, building, needed
from ssod.core.files import replacing
from ssod.core.task import Task, inner_model, task_of
from ssod.data.reading import as_array

from .files import Graph, Runner, run_onnx, run_torchscript, running, write_onnx, write_torchscript
from .preparing import input_of, prepared

# Format -> how a graph is written and run.
GRAPHS: dict[str, tuple[Callable[[Graph, Path], None], Callable[[Path], Runner]]] = dict(
    onnx=(write_onnx, run_onnx), torchscript=(write_torchscript, run_torchscript)
)
FORMATS = dict(onnx='.onnx', torchscript='.torchscript', safetensors='.safetensors')  # and the files' endings
PACKAGES = dict(onnx=('onnx', 'onnxruntime'), torchscript=(), safetensors=('safetensors.torch',))
IMAGES = 5  # that are compared


@dataclass(frozen=True)
class Form:
    """What is exported.

    Attributes:
        kind: 'onnx', 'torchscript' or 'safetensors'.
        size: (width, height) of the input; None: that of the test pipeline.
        dynamic: the input may have other sizes too; ONNX alone.
        tolerance: how far the side of a box may move, in pixels (0.1), or the share of pixels that may have another
            class (0.001); None: as in brackets.

    Raises:
        InputError: settings that do not fit the format.
    """

    kind: str
    size: tuple[int, int] | None = None
    dynamic: bool = False
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.kind == 'safetensors' and (self.size or self.dynamic or self.tolerance is not None):
            raise InputError('safetensors holds weights alone: --size, --dynamic and --tolerance would do nothing')
        if self.kind == 'torchscript' and self.dynamic:
            raise InputError('TorchScript is traced for one size of images: leave out --dynamic, or take --format onnx')


def export_model(
    cfg: Config,
    checkpoint: str,
    form: Form,
    out: Path | None = None,
    patterns: Sequence[str] = (),
    predict_on: str | None = None,
) -> str:
    """Export the detector or segmentor that a checkpoint's model predicts with: the student or the teacher, alone.

    The file is run on some images and compared with PyTorch's own test of the checkpoint. One that differs too much is
    not left behind. Weights in safetensors are read again and compared.

    Args:
        cfg: from :func:`ssod.apis.load_config`, or :func:`ssod.apis.publishing.config_in` the checkpoint.
        checkpoint: of the config's model.
        form: the format.
        out: the file; None: beside the checkpoint, with the format's ending. What is there is replaced.
        patterns: images to compare on, folders and globs, of which five are taken; none: the images of ``data.val``.
        predict_on: 'student' or 'teacher'; None: see :func:`ssod.apis.predictor.recommended`.

    Returns:
        Sentences: what was written, and how far it is from PyTorch.

    Raises:
        InputError: the model cannot be exported, a package is missing, no image is there, the file differs too much
            from PyTorch, or what ``init_detector`` refuses.
    """
    for package in PACKAGES[form.kind]:
        needed(package, 'export')
    out = out or Path(checkpoint).with_suffix(FORMATS[form.kind])
    check_out(out, cfg, checkpoint)
    if form.kind == 'safetensors' and out.suffix != FORMATS[form.kind]:
        raise InputError(f'--out {out} has to end in .safetensors: by that it is known as a checkpoint')
    with building('model'):
        task = task_of(cfg)
    model = init_detector(cfg, checkpoint, 'cpu', predict_on=predict_on)
    which, why = getattr(model, 'predict_on', ''), 'as asked'
    if which and predict_on is None:
        model.predict_on, why = recommended(checkpoint, which)
        which = model.predict_on
    if model.CLASSES is None:
        raise InputError(f'neither {checkpoint} nor the config names the classes: set classes=[...] in the config')
    plain = plain_model(task, cfg, model)
    about = dict(model=type(plain).__name__, published=which, ssod_version=ssod.__version__)
    if form.kind == 'safetensors':
        said = export_weights(cfg, plain, {'CLASSES': list(model.CLASSES), **about}, out)
    else:
        said = export_graph(task, cfg, model, plain, about, form, some_images(task, cfg, patterns), out)
    name = f'{type(plain).__name__}, the {which} ({why})' if which else type(plain).__name__
    return f'{out}: {name}, {out.stat().st_size / 2**20:.1f} MiB\n{said}'


def plain_model(task: Task, cfg: Config, model: nn.Module) -> nn.Module:
    """The detector or segmentor that a model of ``init_detector`` predicts with, without the other one."""
    inner = inner_model(cfg.model)
    if inner is None:
        return model
    plain = task.build_model(inner)
    plain.load_state_dict(task.publishable(model.predictor.state_dict()))
    return plain.eval()


def export_weights(cfg: Config, plain: nn.Module, about: dict[str, Any], out: Path) -> str:
    """Write a plain model's weights, its classes and its config as safetensors."""
    data = {key: cfg.data[key] for key in ('val', 'test') if key in cfg.data}
    config = Config(dict(model=inner_model(cfg.model) or cfg.model, data=data)).pretty_text
    weights = plain.state_dict()
    with replacing(out) as temporary:
        write_safetensors(temporary, weights, dict(about, config=config))
        again = load_file(temporary)['state_dict']
        if again.keys() != weights.keys() or not all(torch.equal(again[name], weights[name]) for name in weights):
            raise InputError(f'{out} was not written: its weights are not those of the checkpoint when they are read')
    return f'{len(weights)} weights, equal to those of the checkpoint'


def export_graph(
    task: Task,
    cfg: Config,
    model: nn.Module,
    plain: nn.Module,
    about: dict[str, Any],
    form: Form,
    paths: Sequence[Path],
    out: Path,
) -> str:
    """Write a plain model as a graph, run it, and compare it with ``model``, from which it was taken."""
    images, pipeline = [as_array(path, cfg.data.get('max_image_pixels')) for path in paths], cfg.data.test.pipeline
    given = input_of(pipeline, images[0], form.size)
    batches = prepared(images, given, pipeline, form.dynamic)
    with torch.no_grad():
        expected = [task.exporter.expected(model, torch.from_numpy(batch)) for batch in batches]
    metadata = {'classes': list(model.CLASSES), **about, **asdict(given), **task.exporter.metadata(plain)}
    graph = Graph(
        task.exporter.graph(plain, form.kind == 'torchscript'),
        torch.from_numpy(batches[0]),
        task.exporter.outputs(plain),
        form.dynamic,
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()},
    )
    write, open_file = GRAPHS[form.kind]
    with replacing(out) as temporary:
        write(graph, temporary)
        with running(out):
            run = open_file(temporary)
            found = [run(batch) for batch in batches]
        difference = task.exporter.difference(plain, expected, found, form.tolerance)
        if difference.too_large:
            raise InputError(f'{out} differs too much from PyTorch and was not written: {difference.said}')
    return f'input {given.width} x {given.height}{" or another size" * form.dynamic}; {difference.said}'


def some_images(task: Task, cfg: Config, patterns: Sequence[str]) -> list[Path]:
    """Paths of a few images, spread over those that are given, or over the validation images.

    Raises:
        InputError: there is none.
    """
    paths = find_images(patterns) if patterns else validation_images(task, cfg)
    if not paths:
        raise InputError('data.val holds no image to compare on: give some, --images FOLDER')
    places = np.unique(np.linspace(0, len(paths) - 1, min(IMAGES, len(paths))).astype(int))
    return [paths[place] for place in places]


def validation_images(task: Task, cfg: Config) -> list[Path]:
    """Paths of the images of ``data.val``, or of ``data.test`` where there is no such.

    Raises:
        InputError: the set cannot be read.
    """
    config = cfg.data.get('val') or cfg.data.test
    try:
        with building_data('data.val', [config]):
            dataset = task.build_dataset(config, test_mode=True)
    except (InputError, OSError) as error:
        raise InputError(f'no validation images to compare on ({error}): give others, --images FOLDER') from error
    infos = getattr(dataset, 'data_infos', None) or getattr(dataset, 'img_infos', [])
    folder = getattr(dataset, 'img_prefix', None) or getattr(dataset, 'img_dir', None) or ''
    return [Path(folder, info['filename']) for info in infos]
