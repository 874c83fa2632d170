"""Images with label maps, without labels, and with the maps that another model wrote."""

import os.path as osp
from collections.abc import Sequence
from typing import Any

from mmseg.core.evaluation import get_palette
from mmseg.datasets import DATASETS, CustomDataset
from mmseg.datasets import build_dataset as build_with_mmseg
from torch.utils.data import ConcatDataset, Dataset

from ssod.core.errors import InputError
from ssod.data import SemiDataset

from .names import every_nth, images_in, read_list

IGNORE = 255


def build_dataset(cfg: dict, default_args: dict | None = None) -> Dataset:
    """MMSegmentation's ``build_dataset``; classes that are left out become 255 in label maps.

    MMSegmentation writes -1 for them, which numpy 2 refuses to put into a uint8 map.
    """
    dataset = build_with_mmseg(cfg, default_args)
    for part in [dataset, *getattr(dataset, 'datasets', [])]:
        if getattr(part, 'label_map', None):
            part.label_map = {old: IGNORE if new == -1 else new for old, new in part.label_map.items()}
    return dataset


@DATASETS.register_module()
class LabelMapDataset(CustomDataset):
    """Images and label maps in folders: one's own, Cityscapes, PASCAL VOC, CamVid.

    A map is an 8-bit image of the size of its image, with a class's number in each pixel and 255 where it is to be
    ignored. It has its image's path below ``ann_dir``, with ``seg_map_suffix`` for ``img_suffix``.

    Args:
        img_suffix: end of the images' names; None: any image.
        split: list file; see :func:`ssod.segmentation.data.names.read_list`. None: all images of the folder.
        every_nth: ``(N, 'labeled')``: those of the sorted names at 0, N, 2N ...; ``(N, 'unlabeled')``: all others; with
            N None all.
        all_classes: names of all classes of the maps, if ``classes`` are some of them; the others become 255.
        ignore_values: further numbers in the maps that are to be ignored.
        palette: colors for pictures, or the name of a data set of MMSegmentation ('cityscapes').
        kwargs: of MMSegmentation's ``CustomDataset``: ``pipeline``, ``img_dir``, ``ann_dir``, ``seg_map_suffix``,
            ``data_root``, ``classes``, ``reduce_zero_label``, ``test_mode``.

    Attributes:
        map_names: of each image the path of its label map below ``ann_dir``.

    Raises:
        InputError: no image, a label map that is missing, a list or a rule that does not fit.
    """

    def __init__(
        self,
        *,
        img_suffix: str | None = None,
        every_nth: tuple[int, str] | None = None,
        all_classes: Sequence[str] | None = None,
        ignore_values: Sequence[int] = (),
        palette: str | list | None = None,
        **kwargs: Any,
    ) -> None:
        self.every_nth = every_nth
        palette = get_palette(palette) if isinstance(palette, str) else palette
        if all_classes is not None:
            # MMSegmentation numbers a subset anew, and takes its colors from those of all classes.
            self.CLASSES, self.label_map = tuple(all_classes), None
            self.PALETTE = list(map(list, palette or self.get_palette_for_custom_classes(all_classes)))
        super().__init__(img_suffix=img_suffix, palette=palette, **kwargs)
        self.PALETTE = [list(map(int, color)) for color in self.PALETTE] if self.PALETTE is not None else None
        if ignore_values:
            self.label_map = {**(self.label_map or {}), **dict.fromkeys(ignore_values, IGNORE)}
            self.custom_classes = True

    def pre_pipeline(self, results: dict) -> None:
        """MMSegmentation's, and whether the labels are those of a model."""
        super().pre_pipeline(results)
        results['pseudo'] = False

    def load_annotations(
        self, img_dir: str, img_suffix: str | None, ann_dir: str | None, seg_map_suffix: str, split: str | None
    ) -> list[dict]:
        """``filename`` of each image, and ``ann`` with its ``seg_map``, relative to the two folders."""
        files = images_in(img_dir, img_suffix)
        names = sorted(files) if split is None else read_list(split, files, [img_suffix, seg_map_suffix])
        if self.every_nth is not None:
            n, part = self.every_nth
            if part not in ('labeled', 'unlabeled'):
                raise InputError(f"every_nth is (N, 'labeled') or (N, 'unlabeled'), got {tuple(self.every_nth)}")
            names = names if n is None else every_nth(names, n, part == 'labeled')
        infos = [dict(filename=files[name]) for name in names]
        self.map_names = [name + seg_map_suffix for name in names]
        if ann_dir is not None:
            for info, name in zip(infos, self.map_names, strict=True):
                info['ann'] = dict(seg_map=name)
                if not osp.isfile(osp.join(ann_dir, info['ann']['seg_map'])):
                    raise InputError(self.missing(osp.join(ann_dir, info['ann']['seg_map']), info['filename']))
        return infos

    def missing(self, path: str, image: str) -> str:
        """What to say of a label map that is not there."""
        return f'{path}, the label map of {image}, does not exist: check ann_dir and seg_map_suffix'


@DATASETS.register_module()
class UnlabeledDataset(LabelMapDataset):
    """Images without label maps: those of a folder, of a list, or the rest of every N-th.

    Arguments are those of :class:`LabelMapDataset`; label maps are not looked for.

    Raises:
        InputError: ``ann_dir`` is given.
    """

    def __init__(self, **kwargs: Any) -> None:
        if kwargs.get('ann_dir') is not None:
            raise InputError('UnlabeledDataset reads no label maps: leave ann_dir out, or use PseudoMapDataset')
        super().__init__(**kwargs)

    def get_ann_info(self, idx: int) -> None:
        """Nothing."""


@DATASETS.register_module()
class PseudoMapDataset(LabelMapDataset):
    """Images with the label maps that tools/pseudo_label.py wrote, numbered as ``classes`` are.

    Their samples are marked ``pseudo`` in ``img_metas``: the self-correction loss doubts them.
    """

    def __init__(self, *, ignore_values: Sequence[int] = (), all_classes: Sequence[str] | None = None, **kwargs: Any):
        super().__init__(**kwargs)  # what is left out of the maps of people is not in those of a model

    def pre_pipeline(self, results: dict) -> None:
        """Mark the sample."""
        super().pre_pipeline(results)
        results['pseudo'] = True

    def missing(self, path: str, image: str) -> str:
        """What to say of a label map that is not there."""
        return (
            f'{path}, the pseudo labels of {image}, do not exist: write them with tools/pseudo_label.py, or let '
            'tools/train_rounds.sh run all rounds'
        )


@DATASETS.register_module()
class UnionDataset(ConcatDataset):
    """Several data sets as one; MMSegmentation's own refuses Cityscapes.

    Args:
        datasets: their configs, of the same classes.
    """

    def __init__(self, datasets: Sequence[dict]) -> None:
        super().__init__([build_dataset(cfg) for cfg in datasets])
        self.CLASSES, self.PALETTE = self.datasets[0].CLASSES, self.datasets[0].PALETTE


@DATASETS.register_module(name='SemiDataset')
class SemiMapDataset(SemiDataset):
    """:class:`ssod.data.SemiDataset` of MMSegmentation's data sets."""

    build_source = staticmethod(build_dataset)
