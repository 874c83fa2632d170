"""Images that cannot be read, named: in place of what MMDetection says of an array that is None."""

import os.path as osp
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from mmdet.datasets.pipelines import LoadImageFromFile
from PIL import Image, ImageOps, UnidentifiedImageError
from torch.utils.data import Dataset

from ssod.core.errors import InputError

# An image of more pixels takes gigabytes before it is resized, whatever the size of its file.
MAX_PIXELS = 100_000_000
ImageLike = str | Path | np.ndarray | Image.Image


class BrokenImage(InputError):
    """An image file that cannot be trained on or looked at.

    Attributes:
        reason: an index of ``REASONS``.
    """

    REASONS = ('', 'does not exist', 'is empty', 'is cut off', 'is too large', 'is no image', 'has another size')

    def __init__(self, message: str, reason: int = 0) -> None:
        super().__init__(message)  # a loader makes the error of a worker again of its message alone
        self.reason = reason

    @classmethod
    def of(cls, path: str, reason: str, more: str) -> 'BrokenImage':
        """The error about a file: one of ``REASONS``, and what else there is to say."""
        return cls(f'the image {path} {reason}{more}', cls.REASONS.index(reason))


class CheckedFiles:
    """A client of mmcv's for files that refuses an image's bytes before they are decoded.

    Args:
        arguments: of mmcv's ``FileClient``.
        max_pixels: most pixels that an image may have.
    """

    def __init__(self, arguments: dict, max_pixels: int) -> None:
        self.client = mmcv.FileClient(**arguments)
        self.max_pixels = max_pixels

    def get(self, path: str) -> bytes:
        """The bytes of an image file.

        Raises:
            BrokenImage: it is not there, cannot be opened, is empty, was cut off, or would be too large.
        """
        try:
            content = self.client.get(path)
        except FileNotFoundError as error:
            advice = ': put it there, or take it out of the annotation file'
            raise BrokenImage.of(path, 'does not exist', advice) from error
        except OSError as error:
            raise BrokenImage.of(path, 'is no image', f' that can be opened ({error.strerror})') from error
        check_bytes(content, path, self.max_pixels)
        return content


class Held:
    """In place of mmcv's ``FileClient``: every file is one picture, (H, W, 3) uint8 BGR."""

    def __init__(self, picture: np.ndarray) -> None:
        self.picture = picture

    def get(self, path: str) -> bytes:
        """The picture as a BMP file, which changes no pixel."""
        return cv2.imencode('.bmp', self.picture)[1].tobytes()


def as_array(image: ImageLike, max_pixels: int | None = None) -> np.ndarray:
    """(H, W, 3) uint8 BGR of an image.

    Args:
        image: a file; an array uint8 as OpenCV reads one, (H, W, 3) BGR, (H, W, 4) BGRA whose alpha is left out, or
            gray (H, W) or (H, W, 1); or an image of Pillow, which is turned upright by its EXIF tag as a file is.
        max_pixels: most pixels that a file may have; None: ``MAX_PIXELS``.

    Raises:
        BrokenImage: the file cannot be read.
        InputError: an array of another type or shape, an image of Pillow with more than 8 bits a channel, or none of
            these.
    """
    if isinstance(image, (str, Path)):
        load = ReadImage(LoadImageFromFile(), max_pixels or MAX_PIXELS)
        return load(dict(img_info=dict(filename=str(image)), img_prefix=None))['img']
    if isinstance(image, Image.Image):
        if image.mode[0] in 'IF':
            raise InputError(f'an image of Pillow has mode {image.mode}: convert it to 8 bits per channel')
        return np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(image).convert('RGB'))[..., ::-1])
    if not isinstance(image, np.ndarray):
        raise InputError(f'an image is a path, an array or an image of Pillow, not {type(image).__name__}')
    if image.dtype != np.uint8:
        raise InputError(f'an image array is uint8, 0 to 255, got {image.dtype}')
    deep = image[..., None] if image.ndim == 2 else image
    if deep.ndim != 3 or deep.shape[2] not in (1, 3, 4) or not deep.size:
        raise InputError(f'an image array is (H, W, 3) BGR, or gray (H, W), got the shape {image.shape}')
    return np.ascontiguousarray(np.repeat(deep, 3, axis=2) if deep.shape[2] == 1 else deep[..., :3])


def check_bytes(content: bytes, path: str, max_pixels: int) -> None:
    """Refuse an empty file, one that was cut off, and one of too many pixels.

    A decoder fills up the rest of a JPEG file that ends too early with gray, and says nothing.
    """
    if not content:
        raise BrokenImage.of(path, 'is empty', ': replace it')
    pixels = count_pixels(content)
    if pixels > max_pixels:
        raise BrokenImage.of(
            path, 'is too large', f': more than {max_pixels} pixels; resize it, or set data.max_image_pixels'
        )
    # The data of a scan hold no marker: the last end comes behind the last start of a scan, a thumbnail's before it.
    cut_jpeg = content.startswith(b'\xff\xd8') and content.rfind(b'\xff\xd9') < content.rfind(b'\xff\xda')
    cut_png = content.startswith(b'\x89PNG') and b'IEND' not in content
    if (cut_jpeg or cut_png) and not is_complete(content):
        raise BrokenImage.of(path, 'is cut off', ', the end of its data is missing: replace it')


def is_complete(content: bytes) -> bool:
    """Whether Pillow, which is strict, can decode an image: bytes behind its end may look like another start."""
    try:
        with Image.open(BytesIO(content)) as image:
            image.load()
    except Exception:  # Pillow fails in many ways
        return False
    return True


def count_pixels(content: bytes) -> float:
    """Pixels that the header of an image file announces; 0 if it cannot be read."""
    try:
        with Image.open(BytesIO(content)) as image:
            return image.width * image.height
    except Image.DecompressionBombError:
        return 2.0 * Image.MAX_IMAGE_PIXELS  # at least: Pillow does not say how many
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return 0


class ReadImage:
    """Around MMDetection's ``LoadImageFromFile``, or MMSegmentation's: whatever fails there names the file.

    Args:
        load: the op.
        max_pixels: most pixels that an image may have.
    """

    def __init__(self, load: Any, max_pixels: int = MAX_PIXELS) -> None:
        self.load = load
        self.files = CheckedFiles(load.file_client_args, max_pixels)

    def __call__(self, results: dict) -> dict:
        """What the op gives; in place of a file it takes an array, ``picture`` (H, W, 3) uint8 BGR.

        Raises:
            BrokenImage: the file is not there, is no image, is cut off or too large, or its image has another size
                than the annotation file says: the boxes would be elsewhere.
        """
        # The op alone knows what it notes, and whether it wants gray or float: it is given a picture as a file, too.
        self.load.file_client = Held(results['picture']) if 'picture' in results else self.files
        path = osp.join(results.get('img_prefix') or '', results['img_info']['filename'])
        try:
            results = self.load(results)
        except (AttributeError, TypeError, cv2.error) as error:  # of None, which OpenCV gives
            raise BrokenImage.of(path, 'is no image', ' that OpenCV can read: replace it') from error
        check_size(path, results['img_info'], *results['img'].shape[:2])
        return results

    def __repr__(self) -> str:
        return repr(self.load)


def check_size(path: str, info: dict, height: int, width: int) -> None:
    """Refuse an image of another size than its entry in the annotation file has, if that says one."""
    stated = info.get('width', width), info.get('height', height)
    if stated != (width, height):
        turned = ', perhaps because its EXIF tag turns it' if stated == (height, width) else ''
        raise BrokenImage.of(
            path,
            'has another size',
            f', {width} x {height}, than the annotation file says, {stated[0]} x {stated[1]}{turned}: '
            'its boxes would be elsewhere',
        )


def guard_reading(dataset: Dataset, max_pixels: int | None = None) -> None:
    """Let the pipelines of a built data set, or of each that it is made of, read through :class:`ReadImage`. In place.

    Args:
        dataset: MMDetection's, MMSegmentation's, or made of some by ``datasets`` or ``dataset``.
        max_pixels: most pixels that an image may have; None: ``MAX_PIXELS``.
    """
    for part in [*getattr(dataset, 'datasets', []), getattr(dataset, 'dataset', None)]:
        if part is not None:
            guard_reading(part, max_pixels)
    guard_pipeline(getattr(dataset, 'pipeline', None), max_pixels)


def guard_pipeline(pipeline: Any, max_pixels: int | None = None) -> None:
    """:func:`guard_reading` of a pipeline's ops, and of those inside them."""
    ops = getattr(pipeline, 'transforms', None)
    if isinstance(ops, list):
        for place, op in enumerate(ops):
            if type(op).__name__ == 'LoadImageFromFile':
                ops[place] = ReadImage(op, max_pixels or MAX_PIXELS)
            guard_pipeline(op, max_pixels)
    for inner in getattr(pipeline, 'pipelines', {}).values():  # of MultiBranch
        guard_pipeline(inner, max_pixels)
    inner = getattr(pipeline, 'transforms', None)
    if inner is not None and not isinstance(inner, list):  # of MultiScaleFlipAug
        guard_pipeline(inner, max_pixels)
