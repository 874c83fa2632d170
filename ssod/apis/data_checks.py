"""What is wrong with annotation files and images, said before training or testing starts."""

import os.path as osp
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from mmcv import Config
from mmdet.datasets import CocoDataset, CocoPanopticDataset, LVISV05Dataset
from mmdet.utils import get_root_logger
from PIL import Image
from torch.utils.data import Dataset

from ssod.core.errors import InputError, building
from ssod.data.annotations import check_annotations
from ssod.data.files import read_json
from ssod.data.reading import check_size

# Images of a test or validation set that are looked at, by their headers: one that is missing loses an evaluation.
TEST_HEADERS = 5000
EXIF_ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height


@contextmanager
def building_data(what: str, configs: Sequence[dict]) -> Iterator[None]:
    """An error while data sets are built is one sentence with the file's name; pycocotools and mmcv leave that out.

    Args:
        what: the place in the config, put in front of a message about anything but an annotation file.
        configs: of the data sets.

    Raises:
        InputError: an annotation file is unusable, or a setting is refused.
    """
    try:
        with building(what):
            yield
    except Exception:
        for config in configs:
            check_file(config)
        raise


def check_file(config: dict) -> None:
    """Read a COCO data set's annotation file again, and say what is wrong with it."""
    path = config.get('ann_file')
    if isinstance(path, str) and config.get('type') in ('CocoDataset', 'PseudoLabelDataset'):
        path = path if osp.isabs(path) else osp.join(config.get('data_root') or '', path)
        check_annotations(read_json(Path(path)), path)


def check_source(dataset: Dataset, headers: int = 64) -> None:
    """Refuse a built data set whose annotation file or images would be trained on without a word.

    Args:
        dataset: of one source, or made of some.
        headers: images whose files are looked at: that they are there, and as large as the annotation file says.

    Raises:
        InputError: see :func:`ssod.data.annotations.check_annotations`; a file name that leads out of the image folder;
            an image that is missing, or of another size.
    """
    for part in [*getattr(dataset, 'datasets', []), getattr(dataset, 'dataset', None)]:
        if part is not None:
            check_source(part, headers)
    if isinstance(dataset, CocoDataset) and not isinstance(dataset, (LVISV05Dataset, CocoPanopticDataset)):
        for warning in check_annotations(dataset.coco.dataset, dataset.ann_file):
            get_root_logger().warning(warning)
    if isinstance(getattr(dataset, 'data_infos', None), Sequence):
        check_names(dataset)
        check_images(dataset, headers)


def check_names(dataset: Dataset) -> None:
    """Refuse file names that lead out of the image folder; without a folder any path is one.

    Links inside the folder may lead anywhere: who made them has the folder.
    """
    if not dataset.img_prefix or '://' in dataset.img_prefix:
        return
    for info in dataset.data_infos:
        name = info['filename']
        if osp.isabs(name) or ('..' in name and osp.normpath(name).split(osp.sep)[0] == '..'):
            raise InputError(
                f'{dataset.ann_file} names the image {name}, which is outside of img_prefix {dataset.img_prefix}: '
                'write names below that folder'
            )


def check_images(dataset: Dataset, sample: int = 64) -> None:
    """Refuse a data set of whose image files, ``sample`` of them looked at, some are missing or of another size."""
    infos = getattr(dataset, 'data_infos', [])
    for index in np.unique(np.linspace(0, len(infos) - 1, min(sample, len(infos))).astype(int)):
        info = infos[index]
        path = osp.join(dataset.img_prefix or '', info['filename'])
        if '://' in path:
            continue
        if not osp.isfile(path):
            raise InputError(f'the image {path} named in {dataset.ann_file} does not exist: check img_prefix')
        if size := header_size(path):
            check_size(path, info, *size)


def header_size(path: str) -> tuple[int, int] | None:
    """(height, width) that an image will have when it is loaded, by its header; None if Pillow cannot read that."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            sideways = image.format in ('JPEG', 'PNG', 'TIFF', 'WEBP') and (
                image.getexif().get(EXIF_ORIENTATION, 1) in SIDEWAYS
            )
    except Exception:  # Pillow fails in many ways on what OpenCV reads; what OpenCV cannot read is said later
        return None
    return (width, height) if sideways else (height, width)


def files_of(cfg: Config) -> list[str]:
    """The annotation files that a config names, and itself."""
    found = [cfg.filename] if cfg.filename else []
    pending = [cfg.get('data', {})]
    while pending:
        section = pending.pop()
        if isinstance(section, dict):
            path = section.get('ann_file')
            if isinstance(path, str):
                found.append(path if osp.isabs(path) else osp.join(section.get('data_root') or '', path))
            pending += section.values()
        elif isinstance(section, (list, tuple)):
            pending += section
    return found


def check_out(out: str | Path, cfg: Config, *inputs: str) -> None:
    """Refuse to write over a file that the command reads.

    Args:
        out: what ``--out`` says.
        cfg: its annotation files count.
        inputs: further files, a checkpoint.

    Raises:
        InputError: ``out`` is a folder or one of these files.
    """
    if Path(out).is_dir():
        raise InputError(f'--out {out} would overwrite a folder: give a file')
    for path in (*files_of(cfg), *inputs):
        if osp.exists(out) and osp.exists(path) and osp.samefile(out, path):
            raise InputError(f'--out {out} would overwrite {path}, which is read: give another file')
