"""Draw what training sees, image by image: by the data set, sampler, seeds and model that training has."""

import fnmatch
import os.path as osp
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from mmcv import Config
from mmcv.parallel import scatter
from torch import nn
from torch.utils.data import DataLoader

from ssod.apis.inference import init_detector
from ssod.apis.train import build_train_dataset
from ssod.core.errors import InputError, building
from ssod.core.panels import Row
from ssod.core.task import Task, task_of
from ssod.data import SemiDataset, build_train_loader
from ssod.data.loader import collate_branches
from ssod.data.preprocessing import normalized
from ssod.data.sampler import SampleKey

from .sheet import write_page, write_sheet
from .steps import Step, record_ops

# Samples of the plan that are looked through for those that are asked for.
FARTHEST = 20_000


def browse(
    cfg: Config,
    out: Path,
    checkpoint: str | None = None,
    number: int = 8,
    seed: int = 0,
    steps: bool = False,
    classes: Sequence[str] = (),
    files: Sequence[str] = (),
) -> str:
    """Write ``sheet.png`` and ``index.html``: of each image the views that training gets, labels on them.

    The images, and all that is drawn at random for them, are those of a run with this seed, from its start on.

    Args:
        cfg: from :func:`ssod.apis.load_config`.
        out: folder.
        checkpoint: whose teacher looks at the unlabeled images; None: nobody does.
        number: images, as many labeled as unlabeled ones where there are both.
        seed: of the run.
        steps: show also what each op of the pipeline leaves.
        classes: labeled images with one of these alone.
        files: names or globs of images; none: any.

    Returns:
        What was written, in a line.

    Raises:
        InputError: the config, its data or the checkpoint are unusable, or no image fits.
    """
    task = task_of(cfg)
    dataset = build_train_dataset(cfg)
    if unknown := [name for name in classes if name not in dataset.CLASSES]:
        raise InputError(f'--classes {unknown[0]}: the data have {", ".join(dataset.CLASSES)}')
    task.check_training_data(dataset)
    model = None if checkpoint is None else init_detector(cfg, checkpoint, 'cpu')
    recorded: list[Step] = []
    if steps:
        for source in getattr(dataset, 'sources', dict(all=dataset)).values():
            for part in getattr(source, 'datasets', [source]):
                record_ops(part.pipeline, recorded)
    with building('data'):
        loader = build_train_loader(dataset, {**cfg.data, 'workers_per_gpu': 0}, seed)
    rows = []
    for key in chosen(loader, task, number, classes, files):
        rows.append(draw(task, loader, key, model, recorded))
        print(f'[{len(rows)}/{number}] {rows[-1].source}: {rows[-1].name}', flush=True)
    if not rows:
        raise InputError(f'no image of {cfg.filename} fits --files and --classes: look at their names')
    write_sheet(rows, out / 'sheet.png')
    write_page(rows, out / 'index.html', f'{osp.basename(cfg.filename)}, seed {seed}', checkpoint)
    return f'{out / "index.html"}, {out / "sheet.png"}: {len(rows)} images'


def chosen(
    loader: DataLoader, task: Task, number: int, classes: Sequence[str], files: Sequence[str]
) -> Iterator[SampleKey]:
    """The first samples of a run that fit; half of them labeled and half unlabeled, if both fit."""
    dataset = loader.dataset
    keys = islice((key for batch in loader.batch_sampler for key in batch), FARTHEST)
    left = quotas(dataset, number, bool(classes))
    seen: set[int] = set()
    for key in keys:
        if len(seen) == len(dataset) or not any(left.values()):
            return
        if key.index in seen:
            continue
        seen.add(key.index)
        source = source_name(dataset, key.index)
        if left.get(source, 0) < 1 or files and not fits(dataset.name_of(key.index), files):
            continue
        if classes and not set(classes) & task.classes_of(*place_of(dataset, key.index)):
            continue
        left[source] -= 1
        yield key


def quotas(dataset: Any, number: int, labeled_alone: bool) -> dict[str, int]:
    """How many images of each source are shown."""
    if not isinstance(dataset.dataset, SemiDataset):
        return dict(labeled=number)
    return dict(labeled=number) if labeled_alone else dict(labeled=(number + 1) // 2, unlabeled=number // 2)


def source_name(dataset: Any, index: int) -> str:
    """'labeled' or 'unlabeled'; of a data set without unlabeled images 'labeled'."""
    semi = isinstance(dataset.dataset, SemiDataset)
    return list(dataset.dataset.sources)[dataset.source_of(index)] if semi else 'labeled'


def place_of(dataset: Any, index: int) -> tuple[Any, int]:
    """The source that an index is in, and its place there."""
    number = dataset.source_of(index)
    sources = list(getattr(dataset.dataset, 'sources', dict(all=dataset.dataset)).values())
    return sources[number], int(index - [0, *dataset.ends][number])


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Whether a file is one of the names or globs."""
    return any(fnmatch.fnmatch(end, pattern) for pattern in patterns for end in (name, osp.basename(name)))


def draw(task: Task, loader: DataLoader, key: SampleKey, model: nn.Module | None, recorded: list[Step]) -> Row:
    """All panels of a sample: it is prepared, collated and normalized as a batch of one."""
    recorded.clear()
    sample = loader.dataset[key]
    steps = list(recorded)
    views = sample if 'img' not in sample else dict(sup=sample)
    batch = scatter(collate_branches([views]), [-1])[0]
    batch = {name: normalized(view, torch.device('cpu')) for name, view in batch.items()}
    classes = loader.dataset.dataset.CLASSES
    palette = getattr(loader.dataset.dataset, 'PALETTE', None)
    row = Row(loader.dataset.name_of(key.index), source_name(loader.dataset, key.index))
    row.views = task.view_panels(batch, steps, classes, palette)
    if model is not None and 'unsup_student' in batch:
        model.CLASSES = classes
        with torch.no_grad(), torch.random.fork_rng([]):
            torch.manual_seed(key.seed % 2**63)
            row.found = task.teacher_panels(model, batch, palette)
    return row
