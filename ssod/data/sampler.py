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


class Decay(NamedTuple):
    """A share that falls linearly, from its full value to 0 over the last ``iters`` of ``max_iters`` iterations.

    What is left of the share is counted in parts of 1 / ``iters``, so that it and its sums are whole numbers.
    """

    iters: int
    max_iters: int

    def parts(self, step: np.ndarray) -> np.ndarray:
        """Parts left in iteration ``step``: ``iters`` up to the first of the decay, 1 in its last, 0 after it."""
        return np.clip(self.max_iters - step, 0, self.iters)

    def parts_before(self, step: np.ndarray) -> np.ndarray:
        """Sum of ``parts`` over the iterations before ``step``, in closed form."""
        over = np.clip(step - (self.max_iters - self.iters), 0, self.iters)
        return self.iters * np.minimum(step, self.max_iters) - over * (over - 1) // 2


class MultiSourceSampler(Sampler):
    """Endless batches of :class:`SampleKey` mixed from several sources, labeled and unlabeled say.

    The batches of all ranks are one plan that every rank computes alike and takes its own part of. Each source (and
    aspect-ratio group in it) is walked in random order, every image once before any comes again; a source smaller
    than its share wraps around. A batch keeps to one aspect-ratio group, in each source that has it.

    Args:
        flags: one integer array a source, the aspect-ratio group of each of its images. Indices run through the
            sources in order.
        batch_size: images a batch, on this rank.
        ratio: shares of the sources, [1, 4] for one labeled to four unlabeled.
        by_prob: draw each image's source with probability ``ratio`` (the authors' way: with five images at 1:4 and
            ``at_least_one`` the labeled share is 26.5 %, not 20 %); else keep ``ratio``, then whole numbers, exactly.
        at_least_one: never let a batch lack a source, even where that breaks an exact ratio (4 images at 1:4).
        decay: ``dict(iters=K, max_iters=T)``: over the last K of T iterations the first source's share falls linearly
            to 0 and stays there; the others take what it gives up, in their own proportions (Soft Teacher, Xu et al.
            ICCV 2021, sec. 4: the last 10k or 20k iterations). With ``by_prob`` the probability falls; else the
            number of its images, over all ranks and up to any point, follows the summed share to within a cycle of
            ``ratio``.
        seed, rank, world_size: as given to every rank.
        start: number of batches already used (the iteration a run resumes at).

    Raises:
        ValueError: an empty source, a ratio or decay that does not fit, a batch too small for ``at_least_one``.
    """

    def __init__(
        self,
        flags: Sequence[np.ndarray],
        batch_size: int,
        ratio: Sequence[float] = (1,),
        by_prob: bool = True,
        at_least_one: bool = True,
        decay: dict | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
    ) -> None:
        check_arguments(flags, batch_size, ratio, by_prob, at_least_one)
        if decay is not None:
            check_decay(decay, len(flags), at_least_one)
        self.batch_size = batch_size
        self.ratio = np.asarray(ratio)
        self.by_prob = by_prob
        self.at_least_one = at_least_one
        self.decay = None if decay is None else Decay(**decay)
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

    def counts(self, first: int, end: int) -> np.ndarray:
        """(end - first, sources): images of each source in this rank's batches ``first`` to ``end - 1``."""
        blocks = [self._plan(block) for block in range(first // BLOCK, (end - 1) // BLOCK + 1)]
        start = first - first // BLOCK * BLOCK
        return np.concatenate(blocks)[start : start + end - first, self.rank].sum(axis=-1)

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
            # Slots of source s are those drawn at or above s of the limits.
            limits = self._cumulative_share(np.arange(BLOCK) + block * BLOCK)[:, :-1]
            source = (rng.random(slots)[..., None] >= limits[:, None, None]).sum(axis=-1)
        else:
            source = self._exact_sources(block * np.prod(slots), np.prod(slots)).reshape(slots)
        return np.stack([(source == s).sum(axis=-1) for s in range(len(self.ratio))], axis=-1)

    def _cumulative_share(self, step: np.ndarray) -> np.ndarray:
        """(N, sources): cumulative probability of the sources in iterations ``step`` (N,)."""
        share = np.cumsum(self.ratio) / self.ratio.sum()
        if self.decay is None:
            return np.tile(share, (len(step), 1))
        others = np.cumsum([0, *self.ratio[1:]]) / self.ratio[1:].sum()
        left = self.decay.parts(step)[:, None] / self.decay.iters
        return left * share + (1 - left) * others

    def _exact_sources(self, start: int, count: int) -> np.ndarray:
        """(count,) sources of the slots from ``start`` on; slots are counted through iterations, ranks and batches."""
        first = int(self.ratio[0])
        pattern = np.repeat(np.arange(len(self.ratio)), self.ratio.astype(int))
        slot = np.arange(start, start + count + 1)
        if self.decay is None:
            return pattern[slot[:-1] % len(pattern)]
        per_step = self.world_size * self.batch_size
        step, inside = divmod(slot, per_step)
        parts = self.decay.parts_before(step) * per_step + self.decay.parts(step) * inside
        summed_share = -(-first * parts // (self.decay.iters * len(pattern)))  # rounded up
        before_decay = np.minimum(slot, (self.decay.max_iters - self.decay.iters) * per_step)
        by_pattern = before_decay // len(pattern) * first + np.minimum(before_decay % len(pattern), first)
        # How many slots before each are the first source's: the pattern may run ahead of the share, never behind.
        taken = np.maximum(by_pattern, summed_share)
        others = pattern[first:]
        return np.where(np.diff(taken) > 0, 0, others[(slot - taken)[:-1] % len(others)])

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


def mean_counts(
    batch_size: int, ratio: Sequence[float] = (1,), by_prob: bool = True, at_least_one: bool = True
) -> tuple[float, float]:
    """Mean images of each of two sources in a batch of :class:`MultiSourceSampler`, before any decay.

    Raises:
        ValueError: the batch does not fit, as for the sampler.

    Examples:
        >>> [round(count, 3) for count in mean_counts(5, (1, 4))]  # 26.5 % labeled, not 20 %
        [1.327, 3.673]
        >>> mean_counts(4, (1, 1), by_prob=False)
        (2.0, 2.0)
    """
    sampler = MultiSourceSampler([np.zeros(1)] * 2, batch_size, ratio, by_prob, at_least_one)
    if by_prob:
        share = sampler.ratio / sampler.ratio.sum()
        lacking = at_least_one * (1 - share) ** batch_size  # such a batch changes one of its images for one of these
        mean = batch_size * share + lacking - lacking[::-1]
    else:
        mean = sampler.counts(0, int(sampler.ratio.sum())).mean(axis=0)
    return float(mean[0]), float(mean[1])


def check_decay(decay: dict, num_sources: int, at_least_one: bool) -> None:
    """Raise a ValueError that says what is wrong with ``decay`` and what to do."""
    if set(decay) != {'iters', 'max_iters'} or not all(isinstance(value, int) for value in decay.values()):
        raise ValueError(f'sampler: decay is dict(iters=K, max_iters=T) with whole numbers, got {dict(decay)}')
    if not 0 < decay['iters'] <= decay['max_iters']:
        raise ValueError(f'sampler: decay.iters is a part of decay.max_iters, above 0, got {dict(decay)}')
    if num_sources < 2:
        raise ValueError('sampler: decay needs a second source, to take what the first gives up')
    if at_least_one:
        raise ValueError(
            'sampler: with decay a batch comes to lack the first source: set data.sampler.at_least_one=False'
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
