"""Batch, size and backbone for a machine that nobody has tuned: what `ssod new` writes into a config.

The GPU rows are estimates from arithmetic (:func:`estimated_bytes`), not measurements; `ssod train --auto-batch`
measures. The CPU row is the recipe of configs/small_data, which docs/results.md tries.
"""

import math
from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Preset:
    """What fits a device of so much memory.

    Attributes:
        name: '8 GB GPU', say.
        memory: bytes of the smallest device that it is for; 0: a CPU, or a GPU with less than any row's.
        samples_per_gpu: images of an iteration, labeled and unlabeled together.
        ratio: labeled to unlabeled, exact (``sampler=dict(ratio=..., by_prob=False)``).
        cumulative_iters: iterations of a step.
        workers: processes that prepare images.
        fp16: mixed precision (``fp16=dict(loss_scale='dynamic')``).
        backbone: 'mobilenet_v2' or 'resnet50', of configs/small_data.
        max_scale: (long side, short side) of the largest training image, in pixels.
    """

    name: str
    memory: int
    samples_per_gpu: int
    ratio: tuple[int, int]
    cumulative_iters: int
    workers: int
    fp16: bool
    backbone: str
    max_scale: tuple[int, int]


# A card of "8 GB" reports a little less than 8 GiB: a row is for 15/16 of its name.
PRESETS = (
    Preset('CPU', 0, 4, (1, 1), 1, 1, False, 'mobilenet_v2', (512, 448)),
    Preset('8 GB GPU', 8 * GIB * 15 // 16, 4, (1, 1), 2, 2, True, 'resnet50', (800, 600)),
    Preset('12 GB GPU', 12 * GIB * 15 // 16, 8, (1, 1), 1, 4, True, 'resnet50', (800, 600)),
    Preset('24 GB GPU', 24 * GIB * 15 // 16, 8, (1, 1), 1, 4, True, 'resnet50', (1333, 800)),
    Preset('80 GB GPU', 80 * GIB * 15 // 16, 16, (1, 1), 1, 8, True, 'resnet50', (1333, 800)),
)


def preset_for(memory_bytes: int | None) -> Preset:
    """The preset of a GPU with so much memory, of all its processes the smallest; None: of a CPU.

    A GPU with less memory than any row's gets the CPU's small detector and batch.

    Examples:
        >>> preset_for(None).name, preset_for(11 * GIB).name, preset_for(16 * GIB).name, preset_for(4 * GIB).name
        ('CPU', '8 GB GPU', '12 GB GPU', 'CPU')
    """
    return [preset for preset in PRESETS if preset.memory <= (memory_bytes or 0)][-1]


def estimated_bytes(preset: Preset) -> int:
    """Memory that a ResNet-50 step of a preset takes on a GPU, by arithmetic.

    MMDetection's logs for Faster R-CNN R50-FPN say 4 GB for two images of 1333 x 800 in float32: with 0.8 GB of
    weights and state, 1.5 kB a pixel. Half of it in half precision, plus a fifth for the teacher, which keeps nothing
    for a backward pass. Each image besides has 512 RoIs of 256 x 7 x 7 features, and as much again in their copies
    and gradients. Student, teacher, gradients and AdamW's two averages are five times 41 million float32 weights.
    One GiB is CUDA's own.
    """
    per_pixel = 1500 * (0.5 if preset.fp16 else 1) * 1.2
    rois = 4 * 512 * 256 * 7 * 7 * 4
    weights = 5 * 41_000_000 * 4
    return int(preset.samples_per_gpu * (math.prod(preset.max_scale) * per_pixel + rois) + weights + GIB)
