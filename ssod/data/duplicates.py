"""Images that look alike, such as frames of one video, by their difference hashes."""

import numpy as np

# Bits of 64. Of 364 micrographs of one kind and 638 photographs, 0 and 3 pairs are nearer, all three true ones.
NEAR = 4
ROWS = 1024


def near_pairs(first: np.ndarray, second: np.ndarray, distance: int = NEAR) -> np.ndarray:
    """Pairs of hashes that differ in at most `distance` bits.

    Args:
        first: (n, 64) bool.
        second: (m, 64) bool.

    Returns:
        (k, 2) int: rows of `first` and of `second`, sorted.
    """
    signs = np.where(second, 1, -1).astype(np.float32).T
    found = [np.zeros((0, 2), int)]
    for start in range(0, len(first), ROWS):
        # Of 64 products of signs, those of differing bits are -1: the sum is 64 - 2 * distance.
        sums = np.where(first[start : start + ROWS], 1, -1).astype(np.float32) @ signs
        found.append(np.argwhere(sums >= 64 - 2 * distance) + (start, 0))
    return np.concatenate(found)


def near_groups(hashes: np.ndarray, distance: int = NEAR) -> np.ndarray:
    """(n,) int: the group of each hash; a group is held together by a chain of near pairs, and numbered by its first.

    Args:
        hashes: (n, 64) bool.
    """
    # Equal hashes once: a thousand blank images would be a million pairs.
    unique, first, inverse = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    parent = np.arange(len(unique))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in near_pairs(unique, unique, distance):
        a, b = sorted((root(i), root(j)), key=lambda k: first[k])
        parent[b] = a
    roots = np.array([first[root(i)] for i in range(len(unique))], int)
    return roots[inverse.ravel()]


def groups_to_split(hashes: np.ndarray, digests: list[bytes]) -> tuple[np.ndarray, int | None]:
    """Groups that must stay together in a split, none larger than half of the images where that is possible.

    Plain images, such as X-rays, look alike to the hash, and one group of all could not be split. Then a smaller
    distance is taken, and at last only equal files form a group.

    Returns:
        (n,) int, the groups; and the distance in bits, None for equal files alone.
    """
    for distance in (NEAR, NEAR // 2, 0):
        groups = near_groups(hashes, distance)
        if len(groups) < 2 or np.bincount(groups).max() <= max(1, len(groups) // 2):
            return groups, distance
    first = {digest: i for i, digest in reversed(list(enumerate(digests)))}
    return np.array([first[digest] for digest in digests], int), None
