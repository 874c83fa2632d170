"""Let a detector label a config's unlabelled images: `python tools/pseudo_label.py CONFIG CHECKPOINT --out FILE.json`.

The detector is a supervised baseline, or the student or teacher of a semi-supervised one. It detects as it does in a
test (`data.test.pipeline`). FILE is a COCO file: the images and categories of the unlabelled annotation file, and as
annotations the detections above --score-thr, each with its `score`; PseudoLabelDataset reads it. On several GPUs, or
CPU processes:

    torchrun --nproc_per_node=8 tools/pseudo_label.py CONFIG CHECKPOINT --out FILE.json --launcher pytorch
"""

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ssod  # noqa: F401  first: it keeps its host quiet

# isort: split
import numpy as np
from mmcv import Config
from mmcv.runner import CheckpointLoader, get_dist_info
from mmdet.datasets import CocoDataset, build_dataset
from mmdet.utils import setup_multi_processes

from ssod.apis import InputError, load_config, test_detector
from ssod.apis.checks import building, check_categories, check_images, check_paths, reading_checkpoint, run_command
from ssod.apis.config import Options
from ssod.compat import init_distributed


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE.json', help='where the pseudo labels go')
    parser.add_argument(
        '--score-thr', type=float, help='write boxes with a score above it (0.5, or pseudo_score_thr if that is lower)'
    )
    parser.add_argument('--eval-on', choices=['student', 'teacher'], help="default: the config's predict_on")
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    parser.add_argument('--launcher', choices=['none', 'pytorch'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.score_thr is not None and not 0 <= args.score_thr <= 1:
        parser.error(f'--score-thr is a score in [0, 1], got {args.score_thr}')
    return args


def unlabeled_config(cfg: Config) -> dict:
    """The unlabelled images as a test set: those of ``data.train.unlabeled``, or of the setting ``unlabeled_ann``.

    Raises:
        InputError: the config has neither, the files do not exist, or the test set is not in COCO format.
    """
    train = cfg.data.train
    if train.type == 'SemiDataset':
        files = {key: train.unlabeled.get(key) for key in ('data_root', 'ann_file', 'img_prefix')}
    elif 'unlabeled_ann' in cfg:
        files = dict(ann_file=cfg.unlabeled_ann, img_prefix=cfg.get('unlabeled_images', ''))
    else:
        raise InputError(f'{cfg.filename} names no unlabelled images: set unlabeled_ann and unlabeled_images')
    if cfg.data.test.type != 'CocoDataset':
        raise InputError(f'data.test is a {cfg.data.test.type}: pseudo labels are written for a CocoDataset')
    unlabeled = type(cfg.data.test)({**cfg.data.test, **files})
    check_paths('the unlabelled images', unlabeled)
    return unlabeled


def check_input(dataset: CocoDataset, checkpoint: str, out: Path) -> None:
    """Refuse what would be found out only after all the detecting, or not at all.

    Raises:
        InputError: no image, an image or the checkpoint missing, classes that are not the checkpoint's in the file's
            order, or an ``out`` that cannot be written.
    """
    check_categories('labeled', dataset)  # as if labelled: it will be
    if len(dataset) == 0:
        raise InputError(f'{dataset.ann_file} has no image')
    check_images(dataset)
    with reading_checkpoint(checkpoint):
        classes = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu').get('meta', {}).get('CLASSES')
    if classes is not None and list(classes) != list(dataset.CLASSES):
        raise InputError(f'{checkpoint} was trained for the classes {list(classes)}, not {list(dataset.CLASSES)}')
    if out.is_dir() or (out.exists() and out.samefile(dataset.ann_file)):
        raise InputError(f'--out {out} would overwrite what is there: give another file')
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f'cannot make the folder of --out {out}: {error}') from error


def to_coco(dataset: CocoDataset, detections: Sequence[list[np.ndarray]], score_thr: float) -> dict[str, Any]:
    """Detections as COCO annotations.

    Args:
        dataset: the unlabelled images.
        detections: of each image, for each class, an (n, 5) array of xyxy, in pixels of the image, and score; a mask
            head's come as a tuple, boxes first.
        score_thr: boxes with a score above it are kept.

    Returns:
        ``images`` (all) and ``categories`` as the data set's file has them; ``annotations`` with bbox as xywh in pixels
        of the image, area, iscrowd 0 and score, ids from 1; and the threshold in ``info``.
    """
    boxes = [found[0] if isinstance(found, tuple) else found for found in detections]
    kept = [detection for detection in dataset._det2json(boxes) if detection['score'] > score_thr]
    annotations = [
        dict(id=i, area=detection['bbox'][2] * detection['bbox'][3], iscrowd=0, **detection)
        for i, detection in enumerate(kept, 1)
    ]
    source = dataset.coco.dataset
    # The host has added a key of its own.
    images = [{key: value for key, value in image.items() if key != 'filename'} for image in source['images']]
    info = dict(description='pseudo labels', score_thr=score_thr)
    return dict(info=info, images=images, annotations=annotations, categories=source['categories'])


def write_json(content: dict, path: Path) -> None:
    """Write a file; a killed run leaves the old one or none, never half of one."""
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        temporary.write_text(json.dumps(content), encoding='utf-8')
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def summary(content: dict) -> str:
    """How many boxes, and how many above each of some thresholds."""
    scores = np.array([annotation['score'] for annotation in content['annotations']])
    counts = ', '.join(f'{np.sum(scores > thr)} above {thr}' for thr in (0.7, 0.9))
    return f'{len(content["images"])} images, {len(scores)} boxes: {counts}'


def main() -> None:
    """Detect and write; bad input ends in one sentence."""
    args = parse_args()
    # The ranks exchange their detections in the work dir: one of this run's own.
    cfg = load_config(args.config, args.cfg_options, f'{args.out.absolute()}.parts')
    setup_multi_processes(cfg)
    if args.eval_on and 'detector' not in cfg.model:
        raise InputError(f'--eval-on {args.eval_on}: {cfg.model.type} is a single detector')
    cfg.data.test = unlabeled_config(cfg)
    with building('the unlabelled images'):
        dataset = build_dataset(cfg.data.test, dict(test_mode=True))
    check_input(dataset, args.checkpoint, args.out)
    distributed = args.launcher != 'none'
    if distributed:
        with building('--launcher pytorch'):
            init_distributed()
    _, detections = test_detector(cfg, args.checkpoint, [], args.eval_on, distributed)
    if get_dist_info()[0] != 0:
        return
    shutil.rmtree(cfg.work_dir, ignore_errors=True)
    score_thr = args.score_thr
    if score_thr is None:  # fewer boxes than a test keeps, so that a big set's file stays small
        score_thr = min(0.5, cfg.get('pseudo_score_thr', 0.5))
    content = to_coco(dataset, next(iter(detections.values())), score_thr)
    write_json(content, args.out)
    print(f'{args.out}: {summary(content)}')


if __name__ == '__main__':
    run_command(main)
