"""What a device has room for, whatever the data."""

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Preset:
    """Settings that follow from the memory of a device.

    Attributes:
        memory: bytes of the smallest device that it is for; 0: a CPU, or a GPU with less than any other row's.
        samples_per_gpu: images of an iteration, labeled and unlabeled together.
        ratio: labeled to unlabeled.
        cumulative_iters: iterations of a step.
        workers: processes that prepare images, at most.
        fp16: whether the networks run in half precision.
        backbone: 'mobilenet_v2' or 'resnet50'.
        max_scale: (long, short) side of the largest image in pixels.
    """

    memory: int
    samples_per_gpu: int
    ratio: tuple[int, int]
    cumulative_iters: int
    workers: int
    fp16: bool
    backbone: str
    max_scale: tuple[int, int]


# A card of 8 GB reports a little less than 8 GiB.
PRESETS = (
    Preset(0, 4, (1, 1), 1, 1, False, 'mobilenet_v2', (512, 448)),
    Preset(int(7.5 * GIB), 4, (1, 1), 2, 2, True, 'resnet50', (800, 600)),
    Preset(int(22.5 * GIB), 8, (1, 1), 1, 4, True, 'resnet50', (1333, 800)),
)


def preset_for(memory: int | None) -> Preset:
    """The preset of a GPU with so many bytes; of a CPU for None."""
    return [preset for preset in PRESETS if preset.memory <= (memory or 0)][-1]
