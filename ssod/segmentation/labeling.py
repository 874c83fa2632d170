"""Let a segmentor label images: a PNG for each, from several scales and flips."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from mmcv import Config
from mmcv.runner import get_dist_info
from mmseg.models import EncoderDecoder
from PIL import Image
from torch import Tensor

from ssod.apis.inference import init_detector
from ssod.core.errors import InputError, building
from ssod.core.screen import track
from ssod.data.files import read_json, write_json
from ssod.data.loader import test_batch

from .data import UnlabeledDataset, build_dataset
from .maps import IGNORE

NOTE = 'labels.json'
KEYS = ('data_root', 'img_dir', 'img_suffix', 'split', 'every_nth', 'classes')


@dataclass(frozen=True)
class LabelingCfg:
    """How images are labeled.

    Attributes:
        scales: of the image's own size.
        flip: mirrored images as well.
        sum: 'logits' (the authors of Simple Baseline) or 'softmax': what is summed over scales and flips.
        score_thr: pixels whose highest mean probability is at most this become 255; None: every pixel gets a class.
    """

    scales: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    flip: bool = True
    sum: str = 'logits'
    score_thr: float | None = None


def label_images(
    cfg: Config, checkpoint: str, out: Path, how: LabelingCfg, predict_on: str | None = None
) -> str | None:
    """Write a label map, a PNG of one channel, for each unlabeled image of a config.

    Maps have the paths of their images below ``out``; ``out/labels.json`` says how they were made. A run that was
    stopped goes on where it was. Of several processes each labels its part.

    Args:
        cfg: from :func:`ssod.apis.load_config`; the images are those of ``data.train.unlabeled``, of a baseline's
            config those of ``unlabeled_dataset``, and are prepared as ``data.test.pipeline`` says.
        checkpoint: of the config's model.
        out: folder.
        how: scales, flips, threshold.
        predict_on: 'student' or 'teacher'; None is what the config says.

    Returns:
        What was written, in a line; None on ranks other than 0.

    Raises:
        InputError: the config, the images or the checkpoint are unusable, or ``out`` holds maps of another kind.
    """
    dataset = unlabeled_images(cfg, how)
    device = f'cuda:{torch.cuda.current_device()}' if torch.cuda.is_available() else 'cpu'  # of this process
    model = init_detector(cfg, checkpoint, device, predict_on=predict_on)
    note = {**asdict(how), 'checkpoint': digest(checkpoint), 'model': getattr(model, 'predict_on', None)}
    note = json.loads(json.dumps(note))
    rank, world_size = get_dist_info()
    if rank == 0:
        begin(out, note)
    counts = torch.zeros(IGNORE + 1, dtype=torch.long)
    if world_size > 1:
        dist.barrier()
    segmentor = getattr(model, 'predictor', model)
    for index in track(range(rank, len(dataset), world_size), 'labeling'):
        path = out / dataset.map_names[index]
        labels = read_map(path)
        if labels is None:
            labels = predict(segmentor, dataset[index], how)
            write_map(labels, path, dataset.PALETTE)
        counts += torch.bincount(torch.from_numpy(labels.reshape(-1)).long(), minlength=IGNORE + 1)
    if world_size > 1:
        device = next(model.parameters()).device
        counts = counts.to(device)
        dist.all_reduce(counts)
    if rank != 0:
        return None
    write_json({**note, 'finished': True}, out / NOTE)
    return f'{out}: {summary(counts.cpu(), len(dataset), dataset.CLASSES)}'


def unlabeled_images(cfg: Config, how: LabelingCfg) -> UnlabeledDataset:
    """The images to label, prepared as a test prepares them, at every scale, flipped and not.

    Raises:
        InputError: the config names none, or its test pipeline has no ``MultiScaleFlipAug``.
    """
    train = cfg.data.train
    source = train.get('unlabeled') if train.type == 'SemiDataset' else cfg.get('unlabeled_dataset')
    if source is not None and source.type == 'UnionDataset':  # of both kinds, as the authors' batches are
        source = next((one for one in source.datasets if one.type == 'PseudoMapDataset'), None)
    if source is None:
        raise InputError(f'{cfg.filename} names no unlabeled images: set unlabeled_dataset=dict(img_dir=...)')
    pipeline = [dict(op) for op in cfg.data.test.pipeline]
    places = [op for op in pipeline if op['type'] == 'MultiScaleFlipAug']
    if len(places) != 1:
        raise InputError('data.test.pipeline needs one MultiScaleFlipAug, whose scales and flips the labeling sets')
    places[0].update(img_scale=None, img_ratios=list(how.scales), flip=how.flip)
    settings = {key: source[key] for key in KEYS if source.get(key) is not None}
    palette = cfg.data.test.get('palette')
    with building('the unlabeled images'):
        return build_dataset(dict(type='UnlabeledDataset', pipeline=pipeline, palette=palette, **settings))


def begin(out: Path, note: dict[str, Any]) -> None:
    """Make the folder and note how its maps are made.

    Raises:
        InputError: it holds maps that were made otherwise.
    """
    if (out / NOTE).is_file():
        before = read_json(out / NOTE)
        before.pop('finished', None)
        if before != note:
            other = ', '.join(key for key in note if before.get(key) != note[key])
            raise InputError(f'{out} holds label maps of another {other}: remove it, or give another --out')
    elif out.exists() and any(out.iterdir()):
        raise InputError(f'--out {out} is not empty, and no folder of label maps: give another one')
    write_json(note, out / NOTE)


def digest(checkpoint: str) -> str:
    """The first digits of a file's SHA-256."""
    with open(checkpoint, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()[:16]


@torch.no_grad()
def predict(segmentor: EncoderDecoder, sample: dict, how: LabelingCfg) -> np.ndarray:
    """(H, W) uint8 label map of an image, from its scaled and flipped versions.

    Args:
        segmentor: in eval mode.
        sample: of the test pipeline: ``img``, a list of (3, h, w), and ``img_metas``.
        how: what is summed, and the threshold.
    """
    data = test_batch(segmentor, [sample])
    total: Tensor | float = 0.0
    for img, metas in zip(data['img'], data['img_metas'], strict=True):
        logits = upright_logits(segmentor, img, metas)
        total = total + (logits if how.sum == 'logits' else logits.softmax(dim=1))
    mean = total / len(data['img'])
    probabilities = mean.softmax(dim=1) if how.sum == 'logits' else mean
    score, labels = probabilities[0].max(dim=0)
    if how.score_thr is not None:
        labels = labels.masked_fill(score <= how.score_thr, IGNORE)
    return labels.to(torch.uint8).cpu().numpy()


def upright_logits(segmentor: EncoderDecoder, img: Tensor, metas: Sequence[dict]) -> Tensor:
    """(1, C, H, W) logits at the size of the original image, mirrored back if it was mirrored."""
    infer = segmentor.slide_inference if segmentor.test_cfg.mode == 'slide' else segmentor.whole_inference
    logits = infer(img, metas, True)
    return logits.flip(dims=(3,)) if metas[0]['flip'] else logits


def read_map(path: Path) -> np.ndarray | None:
    """A map that was written before; None if it was not."""
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return np.array(image)


def write_map(labels: np.ndarray, path: Path, palette: Sequence[Sequence[int]] | None) -> None:
    """Write a map as a PNG with the classes' colors; a killed run leaves it whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    if palette is not None:
        # All 256 colors: Pillow writes 4 bits a pixel for 16 of them, and 255 would become 15.
        colors = np.full((IGNORE + 1, 3), 255, np.uint8)
        colors[: len(palette)] = palette
        image.putpalette(colors.reshape(-1).tolist())
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    image.save(temporary, format='PNG')
    os.replace(temporary, path)


def summary(counts: Tensor, images: int, classes: Sequence[str]) -> str:
    """How many maps, how much of them is ignored, and the share of each class."""
    ignored = counts[IGNORE].item() / max(counts.sum().item(), 1)
    shares = counts[: len(classes)] / max(counts[: len(classes)].sum().item(), 1)
    each = ', '.join(f'{name} {100 * share:.1f} %' for name, share in zip(classes, shares.tolist(), strict=True))
    return f'label maps of {images} images, {100 * ignored:.1f} % of the pixels ignored; {each}'
