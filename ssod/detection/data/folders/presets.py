"""What a device has room for, whatever the data."""

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Preset:
    """Settings that follow from the memory of a device.

    Attributes:
        backbone: 'mobilenet_v2' or 'r50'.
        samples_per_gpu: images of an iteration, labeled and unlabeled; None: as many as the recipe takes.
        cumulative_iters: iterations of a step of the optimizer.
        workers: processes that prepare images, at most; None: as many as the recipe takes.
        fp16: whether the networks run in half precision.
        max_scale: the largest (long, short) side of an image in pixels.
    """

    backbone: str
    samples_per_gpu: int | None = None
    cumulative_iters: int = 1
    workers: int | None = None
    fp16: bool = False
    max_scale: tuple[int, int] = (1333, 800)


# The least bytes of a GPU, largest first.
PRESETS = (
    (30 * GIB, Preset('r50', 8, 1, 8, True)),
    (14 * GIB, Preset('r50', 4, 1, 4, True)),
    (7.5 * GIB, Preset('r50', 2, 2, 4, True)),  # 8 GB are a little less than 8 GiB
    (0, Preset('mobilenet_v2', 2, 2, 4, True, (800, 600))),
)
CPU = Preset('mobilenet_v2', max_scale=(512, 512))


def preset_for(memory: int | None) -> Preset:
    """The preset of a GPU with so many bytes; of a CPU for None."""
    if memory is None:
        return CPU
    return next(preset for least, preset in PRESETS if memory >= least)
