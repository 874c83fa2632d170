"""A data set that can be trained on, of raw folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssod.core.task import TASKS


def new_dataset(
    name: str,
    labeled: str | Path,
    unlabeled: str | Path | None = None,
    val: str | Path | None = None,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    force: bool = False,
    labeled_percent: float = 10,
    task: str = 'detection',
    **options: Any,
) -> Any:
    """Make a data set of raw folders, without copying an image.

    Args:
        name: of the set.
        labeled: folder or file of labels; for detection COCO JSON, Pascal VOC or YOLO text.
        unlabeled: folder of images; None: part of the labeled images is used without labels, to try.
        val: labeled folder or file of validation images; None: the labeled set's own, else a part split off.
        classes: class names to use, in this order; None: all.
        seed: of the parts that are drawn.
        out: folder to write; None: data/{name}.
        force: write over a set that is there.
        labeled_percent: images that keep their labels where `unlabeled` is None, at least 20 or half of them.
        task: name of the task.
        options: of the task; for detection ``detector``, 'faster_rcnn' (default), 'retinanet', 'fcos', 'atss', 'yolox',
            and ``masks``, whether to train masks: each labeled box needs one.

    Returns:
        The task's report, whose `str` is what a person reads; for detection `ssod.detection.data.folders.Report`.

    Raises:
        InputError: one sentence on what is missing or wrong, and where.
    """
    return TASKS[task].new_dataset(name, labeled, unlabeled, val, classes, seed, out, force, labeled_percent, **options)
