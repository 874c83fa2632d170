"""A part of the images set apart, by group, with every class on both sides where that is possible."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np


def part_size(total: int, share: float = 0.2, least: int = 20) -> int:
    """Images of a part: `share` of `total`, at least `least`, but not more than two fifths for that."""
    return max(1, round(share * total), min(least, int(0.4 * total))) if total > 1 else 0


class Draw:
    """Takes groups one by one, and never the last group that holds a class."""

    def __init__(self, groups: Sequence[int], labels: Sequence[Collection[str]], size: int) -> None:
        self.size = size
        self.members: dict[int, list[int]] = {}
        for i, group in enumerate(groups):
            self.members.setdefault(group, []).append(i)
        self.classes = {group: {c for i in found for c in labels[i]} for group, found in self.members.items()}
        self.images = {
            group: Counter(c for i in found for c in set(labels[i])) for group, found in self.members.items()
        }
        self.left = Counter(c for found in self.classes.values() for c in found)
        self.have: Counter = Counter()
        self.taken: list[int] = []
        self.groups_taken: set[int] = set()

    def take(self, group: int) -> None:
        """Take a group, unless it is too large for the place left, or holds a class that no other group would hold."""
        room = 1.25 * self.size - len(self.taken)
        last = any(self.left[c] == 1 for c in self.classes[group])
        if group in self.groups_taken or last or len(self.members[group]) > max(room, 1):
            return
        self.groups_taken.add(group)
        self.taken += self.members[group]
        self.have += self.images[group]
        self.left.subtract(self.classes[group])


def draw_part(groups: Sequence[int], labels: Sequence[Collection[str]], size: int, seed: int = 0) -> list[int]:
    """Indices of the images of a part, sorted: about `size` of them, whole groups, a function of the arguments alone.

    Rare classes come first: each gets its share of the part, at least one image. The last group with a class stays
    in the rest, so a class that only one group holds is not in the part.

    Args:
        groups: group of each image.
        labels: classes of each image.
        size: images that the part shall have.
        seed: 0 or more.
    """
    draw = Draw(groups, labels, size)
    order = [list(draw.members)[i] for i in np.random.default_rng(seed).permutation(len(draw.members))]
    share = size / max(len(groups), 1)
    totals = Counter(c for found in labels for c in set(found))
    for name in sorted(totals, key=lambda c: (totals[c], c)):
        for group in order:
            if draw.have[name] >= max(1, int(share * totals[name])) or len(draw.taken) >= size:
                break
            if name in draw.classes[group]:
                draw.take(group)
    for group in order:
        if len(draw.taken) < size:
            draw.take(group)
    return sorted(draw.taken)
