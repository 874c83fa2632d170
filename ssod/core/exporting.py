"""What a task has to say so that its models can be exported: a graph of tensors, and how far two results are apart."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Outputs = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Difference:
    """How far an exported file is from PyTorch, on some images.

    Attributes:
        said: a sentence with the figures.
        too_large: whether the file must not be used.
    """

    said: str
    too_large: bool


class Exporter(ABC):
    """How the models of a task leave PyTorch."""

    @abstractmethod
    def graph(self, model: nn.Module, script: bool) -> nn.Module:
        """The model as a module of tensors: an image (1, 3, H, W), normalized, to the outputs of :meth:`outputs`.

        Args:
            model: a plain detector or segmentor; it is copied.
            script: for TorchScript; else for ONNX.

        Raises:
            InputError: a part of the model cannot be exported; the sentence names it.
        """

    @abstractmethod
    def outputs(self, model: nn.Module) -> dict[str, tuple[str, ...]]:
        """Name of each output, and the names of its axes; 'height' and 'width' are those of the image."""

    @abstractmethod
    def expected(self, model: nn.Module, image: Tensor) -> Any:
        """What the model says of an image (1, 3, H, W) in PyTorch, by the code that tests it; nothing is scaled."""

    @abstractmethod
    def difference(
        self, model: nn.Module, expected: Sequence[Any], found: Sequence[Outputs], tolerance: float | None
    ) -> Difference:
        """Compare PyTorch's results with those of the exported file.

        Args:
            model: a plain detector or segmentor.
            expected: of each image, from :meth:`expected`.
            found: of each image, the file's outputs.
            tolerance: pixels for boxes, a share of pixels for label maps; None: the task's own.

        Raises:
            InputError: there is nothing to compare.
        """

    def metadata(self, model: nn.Module) -> dict[str, Any]:
        """What a user of the file has to know beyond classes and input."""
        return {}


def meta_of(image: Tensor) -> dict[str, Any]:
    """What MMDetection and MMSegmentation ask of an image (1, 3, H, W) that is as large as the input."""
    shape = (*image.shape[2:], image.shape[1])
    scale = np.ones(4, np.float32)
    return dict(img_shape=shape, pad_shape=shape, ori_shape=shape, scale_factor=scale, flip=False)


@contextmanager
def exporting() -> Iterator[None]:
    """Within the block MMDetection and MMSegmentation take the path that they have for an ONNX export.

    It has no branch that depends on the values of an image. TorchScript needs that as much.
    """
    before = torch.onnx.is_in_onnx_export
    torch.onnx.is_in_onnx_export = lambda: True
    try:
        yield
    finally:
        torch.onnx.is_in_onnx_export = before
