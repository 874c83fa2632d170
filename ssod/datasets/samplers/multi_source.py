"""Which image of which source comes when: a pure function of (seed, rank, position)."""

import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

# Iterations planned at once: enough to make numpy quick, few enough to start at once.
BLOCK = 512


class SampleKey(NamedTuple):
    """What the sampler asks the data set for: an image, and the seed of all that is drawn while it is prepared."""

    index: int
    seed: int


class MultiSourceSampler(Sampler):
    """Endless batches of :class:`SampleKey` mixed from several sources, labelled and unlabelled say.

    The batches of all ranks are one plan that every rank computes alike and takes its own part of. Each source (and
    aspect-ratio group in it) is walked in random order, every image once before any comes again; a source smaller
    than its share wraps around. A batch keeps to one aspect-ratio group, in each source that has it.

    Args:
        flags: one integer array a source, the aspect-ratio group of each of its images. Indices run through the
            sources in order.
        batch_size: images a batch, on this rank.
        ratio: shares of the sources, [1, 4] for one labelled to four unlabelled.
        by_prob: draw each image's source with probability ``ratio`` (the authors' way: with five images at 1:4 and
            ``at_least_one`` the labelled share is 26.5 %, not 20 %); else keep ``ratio``, then whole numbers, exactly.
        at_least_one: never let a batch lack a source, even where that breaks an exact ratio (4 images at 1:4).
        seed, rank, world_size: as given to every rank.
        start: number of batches already used (the iteration a run resumes at).

    Raises:
        ValueError: an empty source, a ratio that does not fit, or a batch too small for ``at_least_one``.
    """

    def __init__(
        self,
        flags: Sequence[np.ndarray],
        batch_size: int,
        ratio: Sequence[float] = (1,),
        by_prob: bool = True,
        at_least_one: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
    ) -> None:
        check_arguments(flags, batch_size, ratio, by_prob, at_least_one)
        self.batch_size = batch_size
        self.ratio = np.asarray(ratio)
        self.by_prob = by_prob
        self.at_least_one = at_least_one
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.start = start
        self.groups = np.unique(np.concatenate(flags))
        self.members = list_members(flags, self.groups)
        self.group_share = np.array([sum(np.sum(flag == group) for flag in flags) for group in self.groups])
        self.group_share = self.group_share / self.group_share.sum()
        self._permutation = lru_cache(maxsize=4 * len(flags) * len(self.groups))(self._draw_permutation)

    def __iter__(self) -> Iterator[list[SampleKey]]:
        used = np.zeros((len(self.members), len(self.groups)), dtype=np.int64)
        block, skip = divmod(self.start, BLOCK)
        for earlier in range(block):
            used += self._plan(earlier).sum(axis=(0, 1))
        while True:
            plan = self._plan(block)
            flat = plan.reshape(-1, *used.shape)
            first = (used + np.cumsum(flat, axis=0) - flat).reshape(plan.shape)
            for step in range(skip, BLOCK):
                yield self._batch(block * BLOCK + step, first[step, self.rank], plan[step, self.rank])
            used += flat.sum(axis=0)
            block, skip = block + 1, 0

    def __len__(self) -> int:
        return sys.maxsize  # endless; mmcv's hooks ask whether an epoch is over

    def _plan(self, block: int) -> np.ndarray:
        """(BLOCK, world_size, sources, groups): how many images each batch takes from each source and group."""
        rng = np.random.default_rng([self.seed, block])
        shape = (BLOCK, self.world_size)
        counts = self._draw_counts(rng, shape, block)
        if self.at_least_one:
            give_every_source_one(counts)
        chosen = np.searchsorted(np.cumsum(self.group_share), rng.random(shape), side='right')
        chosen = np.minimum(chosen, len(self.groups) - 1)
        plan = np.zeros((*shape, len(self.members), len(self.groups)), dtype=np.int64)
        for source, members in enumerate(self.members):
            # A source without the batch's group gives images of its largest group instead.
            sizes = np.array([len(indices) for indices in members])
            group = np.where(sizes > 0, np.arange(len(sizes)), sizes.argmax())[chosen]
            np.put_along_axis(plan[:, :, source], group[..., None], counts[..., source, None], axis=-1)
        return plan

    def _draw_counts(self, rng: np.random.Generator, shape: tuple[int, int], block: int) -> np.ndarray:
        """(BLOCK, world_size, sources): images of each source in each batch."""
        slots = (*shape, self.batch_size)
        if self.by_prob:
            source = np.searchsorted(np.cumsum(self.ratio) / self.ratio.sum(), rng.random(slots), side='right')
        else:
            pattern = np.repeat(np.arange(len(self.ratio)), self.ratio.astype(int))
            position = np.arange(np.prod(slots)) + block * np.prod(slots)
            source = pattern[position % len(pattern)].reshape(slots)
        return np.stack([(source == s).sum(axis=-1) for s in range(len(self.ratio))], axis=-1)

    def _batch(self, step: int, first: np.ndarray, counts: np.ndarray) -> list[SampleKey]:
        """The keys of this rank's batch: ``counts[s, g]`` images from position ``first[s, g]`` of each stream."""
        indices = []
        for source, group in zip(*np.nonzero(counts), strict=True):
            members = self.members[source][group]
            for position in range(first[source, group], first[source, group] + counts[source, group]):
                epoch, place = divmod(int(position), len(members))
                indices.append(int(members[self._permutation(int(source), int(group), epoch)[place]]))
        seeds = np.random.SeedSequence([self.seed, step, self.rank]).generate_state(len(indices))
        return [SampleKey(index, int(seed)) for index, seed in zip(indices, seeds, strict=True)]

    def _draw_permutation(self, source: int, group: int, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, source, group, epoch])
        return rng.permutation(len(self.members[source][group]))


def check_arguments(
    flags: Sequence[np.ndarray], batch_size: int, ratio: Sequence[float], by_prob: bool, at_least_one: bool
) -> None:
    """Raise a ValueError that says what does not fit and what to do."""
    for source, flag in enumerate(flags):
        if len(flag) == 0:
            raise ValueError(f'sampler: source {source} has no image')
    if len(ratio) != len(flags) or min(ratio) <= 0:
        raise ValueError(f'sampler: ratio needs {len(flags)} positive numbers, one a source, got {list(ratio)}')
    if not by_prob and any(share != int(share) for share in ratio):
        raise ValueError(f'sampler: an exact ratio (by_prob=False) needs whole numbers, got {list(ratio)}')
    if at_least_one and batch_size < len(flags):
        raise ValueError(
            f'sampler: a batch of {batch_size} cannot hold one image of each of the {len(flags)} sources: '
            f'set data.samples_per_gpu to {len(flags)} or more, or data.sampler.at_least_one=False'
        )


def list_members(flags: Sequence[np.ndarray], groups: np.ndarray) -> list[list[np.ndarray]]:
    """``members[source][group]``: indices, into the sources one after another, of the images in that group."""
    offsets = np.cumsum([0, *[len(flag) for flag in flags]])
    return [
        [np.flatnonzero(flag == group) + offset for group in groups]
        for flag, offset in zip(flags, offsets[:-1], strict=True)
    ]


def give_every_source_one(counts: np.ndarray) -> None:
    """Where a batch (last axis: sources) lacks a source, take one image from its largest source. In place."""
    for source in range(counts.shape[-1]):
        lacking = np.nonzero(counts[..., source] == 0)
        donor = counts[lacking].argmax(axis=-1)
        counts[(*lacking, donor)] -= 1
        counts[(*lacking, np.full_like(donor, source))] += 1
