"""Label maps and images that would be trained or tested on wrongly, or fail in the middle: named before the start."""

import os.path as osp
from collections.abc import Iterator

import mmcv
import numpy as np
from mmseg.datasets import CustomDataset
from PIL import Image
from torch.utils.data import Dataset

from ssod.apis.data_checks import header_size
from ssod.core.errors import InputError
from ssod.data import SemiDataset
from ssod.data.reading import MAX_PIXELS, check_bytes

IGNORE = 255
SAMPLE = 16  # images and label maps of a set that are decoded


def check_maps(dataset: Dataset, headers: int = 64) -> None:
    """Refuse a built data set of whose images and label maps some are not what they should be.

    Args:
        dataset: of training or test, or made of some.
        headers: image files of each set that are looked at: that they are there, and their label maps of their size;
            ``SAMPLE`` of both are decoded.

    Raises:
        InputError: a file that is missing, empty, cut off or no image; a label map of another size than its image, of
            several channels, or with numbers that are no class.
    """
    for part in parts_of(dataset):
        if isinstance(part, CustomDataset):
            check_part(part, headers)


def check_part(part: CustomDataset, headers: int) -> None:
    """:func:`check_maps` of a data set that is not made of others."""
    for index in evenly(len(part), headers):
        check_headers(part, index)
    for index in evenly(len(part), SAMPLE):
        check_image(image_path(part, index))
        if part.ann_dir is not None:
            check_map(part, index)


def parts_of(dataset: Dataset) -> Iterator[Dataset]:
    """A data set, or those that it is made of."""
    inner = [*dataset.sources.values()] if isinstance(dataset, SemiDataset) else [*getattr(dataset, 'datasets', [])]
    if getattr(dataset, 'dataset', None) is not None:  # repeated
        inner.append(dataset.dataset)
    for part in inner:
        yield from parts_of(part)
    if not inner:
        yield dataset


def evenly(length: int, count: int) -> list[int]:
    """Up to ``count`` places of ``length``, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).astype(int)).tolist()


def image_path(dataset: CustomDataset, index: int) -> str:
    """Of an image's file."""
    return osp.join(dataset.img_dir or '', dataset.img_infos[index]['filename'])


def map_path(dataset: CustomDataset, index: int) -> str:
    """Of an image's label map."""
    return osp.join(dataset.ann_dir, dataset.img_infos[index]['ann']['seg_map'])


def check_headers(dataset: CustomDataset, index: int) -> None:
    """Refuse files that are not there, and a label map whose header has another size than that of its image."""
    image = image_path(dataset, index)
    if '://' in image:
        return
    if not osp.isfile(image):
        raise InputError(f'the image {image} does not exist: check img_dir and split')
    if dataset.ann_dir is None:
        return
    path = map_path(dataset, index)
    if not osp.isfile(path):
        raise InputError(f'{path}, the label map of {image}, does not exist: check ann_dir and seg_map_suffix')
    try:
        with Image.open(path) as opened:
            size = opened.height, opened.width
    except Exception:  # Pillow fails in many ways; what cannot be decoded is said later
        return
    of_image = header_size(image)
    if of_image not in (None, size):
        turned = ', perhaps because its EXIF tag turns it' if of_image == size[::-1] else ''
        raise InputError(
            f'the label map {path} has {size[1]} x {size[0]} pixels and its image {image} {of_image[1]} x '
            f'{of_image[0]}{turned}: export the map again at the size of its image'
        )


def read_bytes(dataset: CustomDataset, path: str) -> bytes:
    """A label map's bytes.

    Raises:
        InputError: the file is empty, cut off, too large or cannot be opened.
    """
    try:
        content = dataset.file_client.get(path)
    except OSError as error:
        raise InputError(f'the label map {path} cannot be opened ({error.strerror})') from error
    check_bytes(content, path, MAX_PIXELS)
    return content


def check_image(path: str) -> None:
    """Refuse an image that cannot be decoded."""
    if '://' in path:
        return
    with open(path, 'rb') as file:
        content = file.read()
    check_bytes(content, path, MAX_PIXELS)
    if mmcv.imfrombytes(content) is None:
        raise InputError(f'the image {path} is no image that OpenCV can read: replace it')


def check_map(dataset: CustomDataset, index: int) -> None:
    """Refuse a label map that is not of one channel, or holds numbers that are no class."""
    path = map_path(dataset, index)
    content = read_bytes(dataset, path)
    try:
        raw = mmcv.imfrombytes(content, flag='unchanged', backend='pillow')
        labels = dataset.get_gt_seg_map_by_idx(index)
    except Exception as error:  # decoders fail in many ways
        raise InputError(f'the label map {path} is no image that can be read: replace it') from error
    if labels.ndim != 2:
        raise InputError(
            f'{path} has {labels.shape[-1]} channels: a label map has one, a class number in each pixel; write the '
            'numbers of the classes in place of their colors'
        )
    if (other := raw[raw != raw.astype(np.uint8)]).size:  # MMSegmentation would take 257 for 1
        raise InputError(
            f'{path} holds {other[0]}: the numbers of a label map are whole, 0 to 255; export it with 8 bits'
        )
    if dataset.CLASSES is None:
        raise InputError(f'the data set of {dataset.img_dir} has no classes: set `classes` at the top of the config')
    strange = sorted(set(np.unique(labels).tolist()) - {*range(len(dataset.CLASSES)), IGNORE})
    if strange:
        raise InputError(
            f'{path} holds {strange[:5]}, and the {len(dataset.CLASSES)} classes are 0 to {len(dataset.CLASSES) - 1}: '
            'set ignore_values of the data set, or its all_classes, or mend `classes`'
        )
