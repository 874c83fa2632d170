"""Graphs in files: how one is written, and how it is run."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ssod.core.errors import InputError, needed
from ssod.core.exporting import Outputs, exporting

OPSET = 16  # the first whose RoIAlign is mmcv's: before, RoIs below one pixel of a feature map are made that large
METADATA = 'ssod.json'  # in a TorchScript file
Runner = Callable[[np.ndarray], Outputs]


@dataclass(frozen=True)
class Graph:
    """What is written.

    Attributes:
        module: from an image (1, 3, H, W) to tensors.
        image: an example, with objects.
        outputs: name of each output, and the names of its axes, '' for one of fixed length.
        dynamic: height and width of the image may differ.
        metadata: texts by name.
    """

    module: nn.Module
    image: Tensor
    outputs: dict[str, tuple[str, ...]]
    dynamic: bool
    metadata: dict[str, str]

    def axes(self) -> dict[str, dict[int, str]]:
        """The axes whose length differs from image to image."""
        fixed = () if self.dynamic else ('height', 'width')
        named = {'image': ('', '', 'height', 'width'), **self.outputs}
        return {
            name: {place: axis for place, axis in enumerate(axes) if axis and axis not in fixed}
            for name, axes in named.items()
        }


def write_onnx(graph: Graph, path: Path) -> None:
    """Write a graph as ONNX, its metadata as the file's own.

    Raises:
        InputError: a part of it has no operator in ONNX.
    """
    onnx = needed('onnx', 'export')
    with tracing('ONNX'):
        torch.onnx.export(
            graph.module,
            (graph.image,),
            str(path),
            dynamo=False,
            autograd_inlining=False,
            opset_version=OPSET,
            input_names=['image'],
            output_names=list(graph.outputs),
            dynamic_axes={name: axes for name, axes in graph.axes().items() if axes},
        )
    model = onnx.load(str(path))
    custom = {f'{node.domain}::{node.op_type}' for node in model.graph.node if node.domain not in ('', 'ai.onnx')}
    if custom:
        raise InputError(f'the model needs operators that ONNX lacks: {", ".join(sorted(custom))}')
    onnx.helper.set_model_props(model, graph.metadata)
    onnx.save(model, str(path))


def run_onnx(path: Path) -> Runner:
    """The outputs of a file for an image, by onnxruntime on the CPU."""
    runtime = needed('onnxruntime', 'export')
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    return lambda image: tuple(session.run(None, {'image': image}))


def write_torchscript(graph: Graph, path: Path) -> None:
    """Write a graph as TorchScript, its metadata in the file :data:`METADATA` within.

    Raises:
        InputError: a part of it cannot be traced.
    """
    with tracing('TorchScript'), exporting(), torch.no_grad():
        traced = torch.jit.trace(graph.module, graph.image, check_trace=False)
        buffer = io.BytesIO()  # torch takes no file whose name begins with a dot
        torch.jit.save(traced, buffer, _extra_files={METADATA: json.dumps(graph.metadata)})
    path.write_bytes(buffer.getvalue())


def run_torchscript(path: Path) -> Runner:
    """The outputs of a file for an image, by torch on the CPU; torchvision has the operators."""
    module = torch.jit.load(str(path), map_location='cpu')

    @torch.no_grad()
    def run(image: np.ndarray) -> Outputs:
        return tuple(output.numpy() for output in module(torch.from_numpy(image)))

    return run


@contextmanager
def running(path: Path) -> Iterator[None]:
    """A file that does not run is one sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # what a runtime raises is not fixed
        raise InputError(f'{path} does not run and was not written: {first_line(error)}') from error


@contextmanager
def tracing(what: str) -> Iterator[None]:
    """What stops an exporter is one sentence; what it warns of is left out: the file is compared afterwards."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            logger.setLevel(logging.ERROR)
            yield
    except (InputError, OSError):
        raise
    except Exception as error:  # what an exporter raises is not fixed
        raise InputError(f'the model cannot be exported to {what}: {first_line(error)}') from error
    finally:
        logger.setLevel(level)


def first_line(error: Exception) -> str:
    """What an error says first."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
