"""Which image is in which part: validation images set apart by group, duplicates found, labels put aside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssod.core.errors import InputError
from ssod.data.duplicates import groups_to_split, near_pairs
from ssod.data.images import ImageFacts
from ssod.data.splitting import draw_part, part_size

from .structure import LabelSource, RawImage, some

Facts = Mapping[Path, ImageFacts | None]


@dataclass
class Parts:
    """The images of each part.

    Attributes:
        labeled, val, test: with their boxes.
        unlabeled: files alone.
        notes: sentences on what was done.
        warnings: sentences on what makes results worse or better than they are.
    """

    labeled: list[RawImage]
    val: list[RawImage]
    test: list[RawImage]
    unlabeled: list[Path]
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def split_off_val(self, facts: Facts, classes: Sequence[str], seed: int) -> None:
        """Move about a fifth of the labeled images to the validation part, images that look alike together.

        Raises:
            InputError: there are too few images, or all look alike.
        """
        size = part_size(len(self.labeled))
        self.labeled, self.val, distance = divide(self.labeled, size, facts, classes, seed)
        if not self.val:
            raise InputError(f'{len(self.labeled)} labeled images cannot be split: label more, or give --val')
        self.notes.append(
            f'no validation part was given: {len(self.val)} of {len(self.val) + len(self.labeled)} labeled images are '
            'it, chosen by group of images that look alike'
        )
        if distance is None:
            self.warnings.append(
                'the images look too much alike to tell which belong together: validation images were chosen one by '
                'one; if they are frames of a video, give --val'
            )

    def put_labels_aside(self, percent: float, facts: Facts, classes: Sequence[str], seed: int) -> None:
        """Make most labeled images unlabeled ones: `percent` of them keep their labels, at least 20 or half of them."""
        total = len(self.labeled)
        keep = max(round(total * percent / 100), min(20, total // 2), 1)
        self.labeled, aside, _ = divide(self.labeled, total - keep, facts, classes, seed)
        self.unlabeled = [image.path for image in aside]
        self.notes.append(
            f'no unlabeled images were given: to try the method, {len(aside)} of {total} labeled images are used '
            'without their labels'
        )

    def drop_known(self, facts: Facts) -> None:
        """Take out of the unlabeled images those that are in another part or come twice, by their content."""
        names = {facts[i.path].digest: part for part in ('test', 'val', 'labeled') for i in getattr(self, part)}
        counts = dict.fromkeys(('labeled', 'val', 'test'), 0)
        seen, kept, twice = set(), [], 0
        for path in self.unlabeled:
            digest = facts[path].digest
            if digest in names:
                counts[names[digest]] += 1
            elif digest in seen:
                twice += 1
            else:
                kept.append(path)
            seen.add(digest)
        self.unlabeled = kept
        for part, count in counts.items():
            if count:
                self.notes.append(f'{count} unlabeled images are in the part `{part}` too: they were left out')
        if twice:
            self.notes.append(f'{twice} unlabeled images are copies of others: they were left out')

    def check_leaks(self, facts: Facts) -> None:
        """Warn of validation and test images that look like images to learn from."""
        learned = {'labeled': [image.path for image in self.labeled], 'unlabeled': self.unlabeled}
        for held_out in ('val', 'test'):
            paths = [image.path for image in getattr(self, held_out)]
            for part, others in learned.items():
                pairs = near_pairs(looks(paths, facts), looks(others, facts))
                if not len(pairs):
                    continue
                examples = some(f'{paths[i].name} and {others[j].name}' for i, j in pairs)
                self.warnings.append(
                    f'{len(set(pairs[:, 0]))} images of `{held_out}` look like images of `{part}` ({examples}): the '
                    'result on them may be too good'
                )


def looks(paths: Sequence[Path], facts: Facts) -> np.ndarray:
    """Difference hashes (n, 64) bool of images."""
    return np.array([facts[path].look for path in paths], bool).reshape(-1, 64)


def divide(
    images: Sequence[RawImage], size: int, facts: Facts, classes: Sequence[str], seed: int
) -> tuple[list[RawImage], list[RawImage], int | None]:
    """The rest, a part of about `size` images, and the distance in bits within which images stay together."""
    groups, distance = groups_to_split(
        looks([image.path for image in images], facts), [facts[image.path].digest for image in images]
    )
    labels = [{box.name for box in image.boxes} & set(classes) for image in images]
    taken = set(draw_part(groups.tolist(), labels, size, seed))
    rest = [image for i, image in enumerate(images) if i not in taken]
    return rest, [image for i, image in enumerate(images) if i in taken], distance


def held_out_images(source: LabelSource, classes: Sequence[str], chosen: bool, path: Path) -> list[RawImage]:
    """The validation images of a source given for that: its part `val`, else all of it.

    Args:
        classes: those of the labeled set.
        chosen: the user has named them, so others are left out on purpose.

    Raises:
        InputError: it has boxes of classes that the labeled set lacks.
    """
    images = source.splits.get('val') or source.splits['train']
    found = {box.name for image in images for box in image.boxes}
    if not chosen and found - set(classes):
        unknown = some(sorted(found - set(classes)))
        raise InputError(
            f'{path} has boxes of {unknown}, but the labeled set has {some(classes, 20)}: use the same names, or '
            'choose classes with --classes'
        )
    return images
