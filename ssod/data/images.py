"""Image files: which there are in a folder, and what can be known of one before training."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ssod.core.errors import InputError
from ssod.core.screen import track

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """What is known of an image that can be read.

    Attributes:
        width, height: in pixels, as mmcv loads it, that is, turned upright by its EXIF tag.
        turned: the EXIF tag turns or mirrors it.
        digest: of the file's bytes; equal for equal files.
        look: (64,) bool, the difference hash; images that look alike differ in few bits.
    """

    width: int
    height: int
    turned: bool
    digest: bytes
    look: np.ndarray


def walk(folder: Path) -> Iterator[Path]:
    """Files under `folder`, sorted within each folder, through links; hidden files and folders are left out."""
    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        # A link to a folder above would go round for ever.
        folders[:] = sorted(name for name in folders if not name.startswith('.')) if real not in seen else []
        if real not in seen:
            seen.add(real)
            yield from (Path(root, name) for name in sorted(files) if not name.startswith('.'))


def is_image(path: Path) -> bool:
    """Whether the file has the ending of an image that OpenCV reads, in upper or lower case."""
    return path.suffix.lower() in SUFFIXES


def difference_hash(gray: np.ndarray) -> np.ndarray:
    """(64,) bool: of a gray image (H, W) reduced to 8 x 9 pixels, where brightness rises from left to right."""
    small = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA)
    return (small[:, 1:] > small[:, :-1]).ravel()


def look_at(path: Path) -> ImageFacts | None:
    """Read and decode an image; None if OpenCV, which mmcv reads with, cannot."""
    try:
        content = path.read_bytes()
        gray = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    except (OSError, cv2.error):
        return None
    if gray is None:
        return None
    height, width = gray.shape
    return ImageFacts(width, height, is_turned(content), hashlib.sha256(content).digest(), difference_hash(gray))


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels as mmcv and OpenCV load it, turned upright by its EXIF tag.

    Raises:
        InputError: the file is not an image.
    """
    facts = look_at(path)
    if facts is None:
        raise InputError(f'{path} is not a readable image: replace it')
    return facts.width, facts.height


def is_turned(content: bytes) -> bool:
    """Whether the EXIF tag of an image file asks to turn or mirror it."""
    try:
        with Image.open(BytesIO(content)) as image:
            return image.getexif().get(EXIF_ORIENTATION, 1) not in (0, 1)
    except Exception:  # Pillow fails in many ways on what OpenCV reads; such a tag is not worth a stop
        return False


def look_at_all(paths: Iterable[Path]) -> dict[Path, ImageFacts | None]:
    """`look_at` each file once, in threads; in the order of the paths."""
    paths = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(paths, track(pool.map(look_at, paths), 'reading images', len(paths)), strict=True))
