"""Data loaders: every draw a function of the sample's key, batches collated branch by branch."""

import gc
import math
import os.path as osp
import random
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.parallel import DataContainer, collate, scatter
from mmcv.runner import get_dist_info
from mmdet.datasets import build_dataloader, replace_ImageToTensor
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, get_worker_info

from ssod.core.errors import InputError
from ssod.core.processes import die_with_parent

from .preprocessing import batch_shape, check_metas, stack_images
from .reading import BrokenImage
from .sampler import MultiSourceSampler, SampleKey
from .semi_dataset import SemiDataset

Buckets = Sequence[tuple[int, int]]  # (width, height) in pixels


class SeededDataset(Dataset):
    """Seeds every generator from the sample's key before the sample is prepared.

    So a sample's augmentation does not depend on the worker that prepares it, nor on what it prepared before.

    In place of an image that cannot be read comes the next one of its source that can.

    Attributes:
        broken: (len,) uint8, why each image cannot be read, as far as that was tried; an index of
            ``BrokenImage.REASONS``, 0 if it can. All workers write to this one tensor.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.broken = torch.zeros(len(dataset), dtype=torch.uint8).share_memory_()
        sizes = [len(source) for source in sources_of(dataset)]
        self.ends = np.cumsum(sizes)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: SampleKey) -> Any:
        index = key.index
        source = self.source_of(index)
        first, end = [0, *self.ends][source], self.ends[source]
        for _ in range(first, end):
            random.seed(key.seed)
            np.random.seed(key.seed)
            torch.manual_seed(key.seed)
            try:
                return self.dataset[index]
            except BrokenImage as error:
                self.broken[index] = error.reason
                last = error
                index = index + 1 if index + 1 < end else first
        raise InputError(f'no image of a source of {end - first} can be read: {last}')

    def source_of(self, index: int) -> int:
        """Which of the sources an index is in."""
        return int(np.searchsorted(self.ends, index, side='right'))

    def name_of(self, index: int) -> str:
        """The file of an image, as far as its data set says it."""
        number = self.source_of(index)
        source = sources_of(self.dataset)[number]
        infos = getattr(source, 'data_infos', None) or getattr(source, 'img_infos', None)  # MMSegmentation's
        if not infos:
            return f'number {index}'
        folder = getattr(source, 'img_prefix', None) or getattr(source, 'img_dir', None) or ''
        return osp.join(folder, infos[int(index - [0, *self.ends][number])]['filename'])


def sources_of(dataset: Dataset) -> list[Dataset]:
    """The data sets that one is made of, one after another; itself if it is not."""
    return list(dataset.datasets) if isinstance(dataset, ConcatDataset) else [dataset]


def collate_branches(samples: list[dict], buckets: Buckets = ()) -> dict[str, dict]:
    """Samples, each a dict of views, to one mmdet batch a view; images are padded to the largest of their branch.

    ``buckets`` as of :func:`collate_views`.
    """
    branches: dict[str, list] = {}
    for sample in samples:
        for name, view in sample.items():
            branches.setdefault(name, []).append(view)
    return {name: collate_views(views, buckets) for name, views in branches.items()}


def collate_views(views: list[dict], buckets: Buckets = ()) -> dict[str, Any]:
    """One mmdet batch of all views. Images of ``NormalizeOnDevice`` become one (B, H, W, 3) uint8 tensor.

    Args:
        views: of one branch.
        buckets: (width, height) that the batch may have: it is padded to the smallest that holds it. Without
            any it is as large as its largest image.

    Raises:
        ValueError: such an image without the meta keys by which it is normalized.
        InputError: no bucket is large enough, the pipeline has normalized the images already, or label maps would be
            smaller than their images.
    """
    views = [_ignored_where_padded(view) for view in views]
    if not isinstance(views[0]['img'].data, np.ndarray):
        if buckets:
            raise InputError('data.size_buckets wants images of NormalizeOnDevice: put it in the place of Normalize')
        return collate(views, samples_per_gpu=len(views))
    images, metas = ([view[key].data for view in views] for key in ('img', 'img_metas'))
    check_metas(metas)
    rest = collate([{key: view[key] for key in view if key != 'img'} for view in views], samples_per_gpu=len(views))
    shapes = [meta['pad_shape'] for meta in metas]
    size = in_bucket(batch_shape(shapes), buckets)
    if 'gt_semantic_seg' in rest and size != batch_shape(shapes):
        raise InputError('data.size_buckets does not pad label maps: name the size of the crops, or leave it out')
    batch = stack_images(images, shapes, out=_empty(size))
    return dict(img=ImageBatch([batch], stack=True), **rest)


def in_bucket(shape: tuple[int, int, int, int], buckets: Buckets) -> tuple[int, int, int, int]:
    """(B, H, W, 3) of a batch, padded to the smallest bucket that holds it.

    Raises:
        InputError: none does.

    Examples:
        >>> in_bucket((2, 100, 90, 3), [(128, 64), (64, 128), (96, 128), (128, 128)])
        (2, 128, 96, 3)
        >>> in_bucket((2, 100, 90, 3), [])
        (2, 100, 90, 3)
    """
    count, height, width, channels = shape
    holding = [(w * h, h, w) for w, h in buckets if w >= width and h >= height]
    if buckets and not holding:
        raise InputError(f'data.size_buckets: none holds a batch of {width} x {height} pixels, add one')
    _, height, width = min(holding, default=(0, height, width))
    return count, height, width, channels


def _ignored_where_padded(view: dict) -> dict:
    """The view with a label map that collation pads with 255; mmcv pads with 0, which is a class."""
    labels = view.get('gt_semantic_seg')
    if not isinstance(labels, DataContainer) or not labels.stack:
        return view
    return {**view, 'gt_semantic_seg': DataContainer(labels.data, stack=True, padding_value=255)}


def _empty(size: tuple[int, ...]) -> torch.Tensor:
    empty = torch.empty(0, dtype=torch.uint8)
    if get_worker_info() is None:
        return empty.new_empty(size)
    # A worker writes where the main process will read, as torch's own collate does; from elsewhere it would be copied.
    return empty.set_(torch.UntypedStorage._new_shared(math.prod(size))).view(size)


class ImageBatch(DataContainer):
    """A batch's images in mmcv's container, with the method that ``DataLoader(pin_memory=True)`` looks for.

    mmcv's own lacks it, so what is in it stays in ordinary memory, from where a copy to a GPU makes the CPU wait.
    """

    def pin_memory(self) -> 'ImageBatch':
        """The same images in page-locked memory."""
        return ImageBatch([images.pin_memory() for images in self.data], stack=self.stack)


def build_train_loader(dataset: Dataset, data_cfg: dict, seed: int, start: int = 0) -> DataLoader:
    """An endless loader of training batches.

    Args:
        dataset: a :class:`SemiDataset`, or any data set of mmdet (one source, ordinary batches).
        data_cfg: ``samples_per_gpu``, ``workers_per_gpu`` and, for a ``SemiDataset``, ``sampler`` with the arguments
            ``ratio``, ``by_prob``, ``at_least_one``, ``decay`` of :class:`MultiSourceSampler`. ``size_buckets`` are
            those of :func:`collate_views`.
        seed: the same on every rank.
        start: iteration to start at, when a run resumes.

    Raises:
        ValueError: the batch does not fit the sources; see :class:`MultiSourceSampler`.
    """
    rank, world_size = get_dist_info()
    semi = isinstance(dataset, SemiDataset)
    sources = list(dataset.sources.values()) if semi else [dataset]
    sampler = MultiSourceSampler(
        [getattr(source, 'flag', np.zeros(len(source), dtype=np.uint8)) for source in sources],
        data_cfg['samples_per_gpu'],
        **(data_cfg.get('sampler', {}) if semi else {}),
        seed=seed,
        rank=rank,
        world_size=world_size,
        start=start,
    )
    workers = data_cfg['workers_per_gpu']
    return DataLoader(
        SeededDataset(dataset),
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=partial(collate_branches if semi else collate_views, buckets=data_cfg.get('size_buckets', ())),
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
        worker_init_fn=_start_worker,
    )


def test_dataset_config(dataset_cfg: dict, data_cfg: dict) -> dict:
    """The config of an evaluation set for batches of ``test_samples_per_gpu`` images, which its pipeline must allow."""
    if data_cfg.get('test_samples_per_gpu', 1) == 1:
        return dataset_cfg
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # MMDetection says that it does what is asked for
        return {**dataset_cfg, 'pipeline': replace_ImageToTensor(dataset_cfg['pipeline'])}


def build_test_loader(dataset: Dataset, data_cfg: dict, distributed: bool) -> DataLoader:
    """The images of an evaluation set, in order; each rank has its part.

    Args:
        dataset: built in test mode, from a config of :func:`test_dataset_config`.
        data_cfg: ``workers_per_gpu`` and ``test_samples_per_gpu`` (default 1).
        distributed: whether several processes share the work.
    """
    return build_dataloader(
        dataset,
        samples_per_gpu=data_cfg.get('test_samples_per_gpu', 1),
        workers_per_gpu=data_cfg['workers_per_gpu'],
        dist=distributed,
        shuffle=False,
    )


def test_batch(model: nn.Module, samples: list[dict]) -> dict[str, Any]:
    """Images of a test pipeline as one batch on the model's device; those of other sizes are padded to the largest."""
    device = next(model.parameters()).device
    gpu = device.index or 0 if device.type == 'cuda' else -1
    return scatter(collate(samples, samples_per_gpu=len(samples)), [gpu])[0]


def _start_worker(worker: int) -> None:
    die_with_parent()  # one that hangs would not see that its trainer is gone
    cv2.setNumThreads(0)  # workers run side by side; OpenCV's own threads would make them fight for cores
    gc.freeze()  # what a forked worker was born with is no garbage; looking at it would make a copy of its pages
