"""Measure pseudo boxes against true ones, as the paper's Figure 3 does.

    python tools/analyze_pseudo_labels.py CONFIG CHECKPOINT --out DIR

The teacher of a Soft Teacher checkpoint (a plain detector's fills both models) looks at annotated images through the
test pipeline. What it proposes above --score-thr, with its box regression variance, is compared with the true boxes.
DIR gets

    candidates.csv        a row per box: image, class, x1..y2 in pixels of the image, score, reg_variance, iou (with the
                          nearest true box of the same class), is_tp, is_ignored (it lies on a crowd and does not count)
    curve.csv             threshold, precision, recall, number: of the boxes that score above the threshold (Figure 3a)
    iou_by_score.csv      IoU in bins of the score (Figure 3b)
    iou_by_variance.csv   IoU in bins of the regression variance (Figure 3c)
    summary.json          counts, and the correlation of IoU with score and with variance
    precision_recall.png, iou_by_score.png, iou_by_variance.png

Training sees the boxes above candidate_score_thr alone: --score-thr 0.5 restricts all tables and plots to these.
"""

import argparse
import csv
import math
import os.path as osp
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import mmcv
import numpy as np
import torch
from matplotlib.figure import Figure
from mmcv import Config
from mmcv.parallel import scatter
from mmdet.datasets import DATASETS, CocoDataset
from mmdet.models import DETECTORS
from mmdet.utils import setup_multi_processes
from pycocotools.coco import COCO
from torch.utils.data import DataLoader

from ssod.apis import InputError, check_datasets, init_detector, load_config
from ssod.apis.checks import check_paths, data_set_configs
from ssod.apis.config import Options
from ssod.core.errors import building
from ssod.core.task import task_of
from ssod.data import build_test_loader
from ssod.data.loader import test_dataset_config
from ssod.detection import JitterVarianceFilter, SoftTeacher
from ssod.detection.quality import Candidates, Matches, match, precision_recall

from .quality import binned_ious, correlations

SPLITS = {'val': 'data.val', 'test': 'data.test', 'labeled': 'data.train.labeled', 'unlabeled': 'data.train.unlabeled'}
SCORE_EDGES = [k / 20 for k in range(21)]
VARIANCE_EDGES = [*(k / 100 for k in range(11)), 0.15, 0.2, 0.3, math.inf]  # fine where Table 10's thresholds are


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of a SoftTeacher')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, metavar='DIR', help='where tables and plots go')
    parser.add_argument('--model', choices=['teacher', 'student'], default='teacher', help='who looks (teacher)')
    parser.add_argument('--split', choices=SPLITS, default='val', help='whose images (val)')
    parser.add_argument('--annotations', metavar='FILE.json', help="true boxes of the split's images, if not its own")
    parser.add_argument('--iou-thr', type=float, default=0.5, help='IoU from which a box is right (0.5)')
    parser.add_argument('--score-thr', type=float, default=0.05, help='score above which boxes are looked at (0.05)')
    parser.add_argument('--seed', type=int, default=0, help='of the jitter (0)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    args = parser.parse_args()
    if not (0 < args.iou_thr <= 1 and 0 <= args.score_thr < 1):
        parser.error('--iou-thr lies in (0, 1], --score-thr in [0, 1)')
    return args


def build_loader(cfg: Config, split: str) -> DataLoader:
    """The split's images in order, through the test pipeline.

    Raises:
        InputError: the config has no such split, files are missing, or it is not in COCO's format.
    """
    place = SPLITS[split]
    dataset = data_set_configs(cfg).get(place)
    if dataset is None:
        raise InputError(f'{cfg.filename} has no {place}: choose another --split')
    if not issubclass(DATASETS.get(dataset.type) or object, CocoDataset):
        raise InputError(f'{place} is a {dataset.type}: true boxes are read from a CocoDataset')
    check_paths(place, dataset)
    with building(place):
        settings = test_dataset_config({**dataset, 'pipeline': cfg.data.test.pipeline}, cfg.data)
        built = task_of(cfg).build_dataset(settings, test_mode=True)
        return build_test_loader(built, cfg.data, distributed=False)


def true_boxes(dataset: CocoDataset, path: str | None) -> list[dict]:
    """COCO's annotations of the data set's images and classes, its own or those of the file ``path``.

    Raises:
        InputError: no such file, one of other images or classes, or no box.
    """
    coco = dataset.coco
    if path is not None:
        if not osp.isfile(path):
            raise InputError(f'no annotation file {path}')
        with building(f'--annotations {path}'):
            coco = COCO(path)
        if not set(dataset.img_ids) <= coco.imgs.keys():
            raise InputError(f'{path} lacks images of {dataset.ann_file}: give the file from which that was made')
        if any(coco.cats.get(i, {}).get('name') != dataset.coco.cats[i]['name'] for i in dataset.cat_ids):
            raise InputError(f'{path} has other categories than {dataset.ann_file}')
    found = [box for i in dataset.img_ids for box in coco.imgToAnns[i] if box['category_id'] in dataset.cat_ids]
    if all(box.get('iscrowd') for box in found):
        hint = 'choose another --split, or give the file that has them with --annotations'
        raise InputError(f'{path or dataset.ann_file} holds no true box of the classes and images: {hint}')
    return found


def build_model(cfg: Config, checkpoint: str, name: str) -> SoftTeacher:
    """The config's SoftTeacher with a checkpoint's weights, and the model that is to look as its teacher.

    Raises:
        InputError: the config has no SoftTeacher, or the checkpoint cannot be used.
    """
    if not issubclass(DETECTORS.get(cfg.model.type) or object, SoftTeacher):
        hint = "give a SoftTeacher's config; it takes the checkpoint of its plain detector too"
        raise InputError(f'{cfg.filename} has a {cfg.model.type}, which makes no pseudo boxes: {hint}')
    model = init_detector(cfg, checkpoint, 'cuda:0' if torch.cuda.is_available() else 'cpu')
    if name == 'student':
        model.teacher.load_state_dict(model.student.state_dict())
    if not any(hasattr(f, 'variance') for f in (model.rpn_filter, model.cls_filter, model.reg_filter)):
        model.reg_filter = JitterVarianceFilter()  # trained without, measured all the same
    return model


def find_candidates(model: SoftTeacher, loader: DataLoader) -> Candidates:
    """What the model's teacher proposes on every image, boxes in pixels of the original image."""
    device = next(model.parameters()).device
    gpus = [device.index if device.type == 'cuda' else -1]
    dataset, found = loader.dataset, []
    for data in mmcv.track_iter_progress(loader) if sys.stdout.isatty() else loader:
        # One scale, unflipped: the first of the views that the test pipeline may make.
        batch = {key: views[0] for key, views in scatter(data, gpus)[0].items()}
        view = model.find_pseudo_labels(batch)
        for labels, meta in zip(view.candidates, batch['img_metas'], strict=True):
            image_ids = np.full(len(labels), dataset.img_ids[len(found)])
            category_ids = np.array(dataset.cat_ids)[labels.labels.cpu().numpy()]
            bboxes = labels.bboxes.cpu().numpy() / meta['scale_factor']
            rest = labels.scores.cpu().numpy(), labels.reg_variance.cpu().numpy()
            found.append((image_ids, category_ids, bboxes, *rest))
    return Candidates(*map(np.concatenate, zip(*found, strict=True)))


def write_csv(path: str, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table."""
    with open(path, 'w', newline='', encoding='utf-8') as file:
        csv.writer(file).writerows([header, *rows])


def write_candidates(path: str, dataset: CocoDataset, candidates: Candidates, matches: Matches) -> None:
    """The table of all candidates."""
    columns = {
        'image': [dataset.coco.imgs[i]['file_name'] for i in candidates.image_ids],
        'class': [dataset.coco.cats[i]['name'] for i in candidates.category_ids],
        **dict(zip(('x1', 'y1', 'x2', 'y2'), candidates.bboxes.T, strict=True)),
        'score': candidates.scores,
        'reg_variance': candidates.reg_variance,
        'iou': matches.ious,
        'is_tp': matches.is_tp.astype(int),
        'is_ignored': matches.is_ignored.astype(int),
    }
    write_csv(path, columns, zip(*columns.values(), strict=True))


def write_curve(out: str, curve: list[dict[str, float]]) -> None:
    """Figure 3a, as a table and a plot: precision and recall against the score threshold."""
    write_csv(osp.join(out, 'curve.csv'), curve[0], (row.values() for row in curve))
    figure = Figure(figsize=(5, 4), layout='constrained')
    axes = figure.subplots()
    for name in ('precision', 'recall'):
        axes.plot([row['threshold'] for row in curve], [row[name] for row in curve], label=name)
    axes.set(xlabel='score threshold', ylim=(0, 1.02))
    axes.legend()
    figure.savefig(osp.join(out, 'precision_recall.png'), dpi=150)


def write_ious(out: str, name: str, values: np.ndarray, ious: np.ndarray, edges: Sequence[float]) -> None:
    """Figure 3b or 3c: the IoU in bins as a table; a dot per box, and median and middle half of each bin, as a plot."""
    bins = binned_ious(values, ious, edges)
    write_csv(osp.join(out, f'iou_by_{name}.csv'), bins[0], (row.values() for row in bins))
    bins = [row for row in bins if row['number'] and math.isfinite(row['high'])]
    figure = Figure(figsize=(5, 4), layout='constrained')
    axes = figure.subplots()
    axes.scatter(values, ious, s=4, alpha=0.3, linewidths=0)
    centres = [(row['low'] + row['high']) / 2 for row in bins]
    axes.plot(centres, [row['median'] for row in bins], color='C1', label='median')
    axes.fill_between(centres, [row['q25'] for row in bins], [row['q75'] for row in bins], color='C1', alpha=0.2)
    right = bins[-1]['high'] if bins else 1
    axes.set(xlabel=name, ylabel='IoU with the nearest true box', xlim=(0, right), ylim=(0, 1.02))
    axes.legend()
    figure.savefig(osp.join(out, f'iou_by_{name}.png'), dpi=150)


def show(curve: list[dict[str, float]], summary: list[dict[str, Any]]) -> None:
    """Print precision and recall at 0.5 to 0.95, and the correlations."""
    print('score >   precision   recall   number')
    for row in curve:
        if row['threshold'] in SCORE_EDGES[10:]:
            print('{threshold:7.2f}   {precision:9.3f}   {recall:6.3f}   {number:6d}'.format(**row))
    print('\ncorrelation of IoU    with the score      with the variance')
    print('score >    number   Pearson  Spearman   Pearson  Spearman')
    for row in summary:
        values = [row[by][name] for by in ('score', 'variance') for name in ('pearson', 'spearman')]
        print('{:7.2f}   {:7d}   {:7.3f}  {:8.3f}   {:7.3f}  {:8.3f}'.format(row['score_thr'], row['number'], *values))


def main() -> None:
    """Measure; bad input ends in one sentence."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    setup_multi_processes(cfg)
    loader = build_loader(cfg, args.split)
    annotations = true_boxes(loader.dataset, args.annotations)
    model = build_model(cfg, args.checkpoint, args.model)
    task = task_of(cfg)
    check_datasets(task, loader.dataset, task.num_classes(model))
    try:
        mmcv.mkdir_or_exist(args.out)
    except OSError as error:
        raise InputError(f'cannot make the folder of --out {args.out}: {error}') from error
    trained_thr, model.semi_train_cfg.candidate_score_thr = model.semi_train_cfg.candidate_score_thr, args.score_thr
    torch.manual_seed(args.seed)
    candidates = find_candidates(model, loader)

    matches = match(candidates, annotations, args.iou_thr)
    thresholds = [args.score_thr, *(k / 100 for k in range(1, 100) if k / 100 > args.score_thr)]
    curve = precision_recall(candidates.scores, matches, thresholds)
    related = correlations(candidates, matches, sorted({args.score_thr, max(args.score_thr, trained_thr)}))
    counts = dict(images=len(loader.dataset), true_boxes=matches.num_true, candidates=len(candidates.scores))
    settings = {name: getattr(args, name) for name in ('split', 'model', 'iou_thr', 'score_thr', 'seed')}
    counted = ~matches.is_ignored
    write_candidates(osp.join(args.out, 'candidates.csv'), loader.dataset, candidates, matches)
    write_curve(args.out, curve)
    write_ious(args.out, 'score', candidates.scores[counted], matches.ious[counted], SCORE_EDGES)
    write_ious(args.out, 'variance', candidates.reg_variance[counted], matches.ious[counted], VARIANCE_EDGES)
    mmcv.dump(dict(**settings, **counts, correlations=related), osp.join(args.out, 'summary.json'), indent=1)
    print('\n{candidates} candidates, {true_boxes} true boxes, {images} images'.format(**counts))
    show(curve, related)
