"""The whole method in ten minutes on a CPU: `make demo`; with a detector of one stage: `--detector retinanet`.

Generates a small data set, labels 5 % of it, trains Soft Teacher and its supervised baseline from scratch on the same
number of labeled samples, and says whether the unlabeled images help: the verdict of `ssod compare`, and a table,
curves and pictures of detections, in work_dirs/demo. A run that is stopped continues where it was; one that is finished
is not trained again. With --with-masks both are Mask R-CNNs on shapes with masks, in work_dirs/demo_masks.
With --task segmentation: such shapes with label maps, and Simple Baseline.
"""

import argparse
import shutil
import time
from pathlib import Path

import ssod  # noqa: F401  first: it keeps MMDetection quiet

# isort: split
import cv2
import matplotlib
import mmcv
import numpy as np
from mmdet.core.visualization import imshow_det_bboxes
from pycocotools.coco import COCO

from ssod.apis import compare, detect, init_detector, load_config
from ssod.apis.checks import run_command
from ssod.apis.comparison import Plan
from ssod.apis.config import Options
from ssod.apis.runs import ROOT, prepare_shapes, read_log

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402  after the choice of a backend without a screen

# What `--detector` and `--with-masks` choose: the method's config and its name.
METHODS = {
    'faster_rcnn': ('soft_teacher_r18_shapes', 'Soft Teacher'),
    'retinanet': ('mean_teacher_retinanet_r18_shapes', 'mean teacher (RetinaNet)'),
    'fcos': ('mean_teacher_fcos_r18_shapes', 'mean teacher (FCOS)'),
    'masks': ('soft_teacher_mask_rcnn_r18_shapes', 'Soft Teacher (Mask R-CNN)'),
}
Rows = dict[str, tuple[str, str]]


def rows_of(method: str) -> Rows:
    """Row of the table: the column it comes from and the model."""
    return {
        'supervised baseline': ('baseline', 'student'),
        'its moving average': ('baseline', 'teacher'),
        f'{method}, student': ('method', 'student'),
        f'{method}, teacher': ('method', 'teacher'),
    }


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--task', choices=['detection', 'segmentation'], default='detection', help='boxes or label maps'
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='one run of both detectors for each seed')
    kinds = 'faster_rcnn, with Soft Teacher (default); retinanet or fcos, with a mean teacher'
    detectors = parser.add_mutually_exclusive_group()
    detectors.add_argument(
        '--detector', choices=[kind for kind in METHODS if kind != 'masks'], metavar='KIND', help=kinds
    )
    masks = 'shapes with masks, and Mask R-CNN with Soft Teacher'
    detectors.add_argument('--with-masks', dest='detector', action='store_const', const='masks', help=masks)
    parser.set_defaults(detector='faster_rcnn')
    where = 'where everything goes (work_dirs/demo; of another detector work_dirs/demo_KIND, with masks demo_masks)'
    parser.add_argument('--out', type=Path, help=where)
    parser.add_argument('--label-once', action='store_true', help='train label-once too: some minutes more')
    parser.add_argument('--fresh', action='store_true', help='forget earlier runs and train again')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE')
    args = parser.parse_args()
    if args.task == 'segmentation' and (args.detector != 'faster_rcnn' or args.label_once):
        parser.error('--detector, --with-masks and --label-once are for --task detection')
    of_detector = '' if args.detector == 'faster_rcnn' else f'_{args.detector}'
    args.out = args.out or Path(f'work_dirs/demo{of_detector}')
    return args


def metric_of(plan: Plan, row: str, rows: Rows) -> tuple[str, str]:
    """The column of a row, and its metric in that run's log."""
    name, model = rows[row]
    return name, f'{model}_{plan.measures.metric}'


def final_scores(plan: Plan, seed: int, rows: Rows) -> dict[str, float]:
    """mAP, in points, of each row at the last evaluation."""
    runs = {name: read_log(plan.run_dir(name, seed))['val'][-1] for name in ('baseline', 'method')}
    found = {row: metric_of(plan, row, rows) for row in rows}
    return {row: 100 * runs[name][metric] for row, (name, metric) in found.items()}


def make_table(plan: Plan, rows: Rows) -> str:
    """A markdown table of mAP a row and seed, with means, written to ``results.md`` and ``results.json``."""
    seeds = plan.seeds
    scores = {seed: final_scores(plan, seed, rows) for seed in seeds}
    means = {row: float(np.mean([scores[seed][row] for seed in seeds])) for row in rows}
    columns = [f'seed {seed}' for seed in seeds] + ['mean'] * (len(seeds) > 1) + ['gain']
    lines = [f'| COCO {plan.measures.label} | ' + ' | '.join(columns) + ' |', '|---' * (len(columns) + 1) + '|']
    for row in rows:
        cells = [scores[seed][row] for seed in seeds] + [means[row]] * (len(seeds) > 1)
        gain = means[row] - means['supervised baseline']
        lines.append(f'| {row} | ' + ' | '.join(f'{cell:.1f}' for cell in cells) + f' | {gain:+.1f} |')
    table = '\n'.join(lines)
    (plan.folder / 'results.md').write_text(table + '\n')
    mmcv.dump(dict(scores=scores, mean=means), str(plan.folder / 'results.json'), indent=1)
    return table


def draw_curves(plan: Plan, rows: Rows) -> None:
    """mAP, losses and pseudo boxes of the first seed against the iteration: ``curves.png``."""
    logs = {name: read_log(plan.run_dir(name, plan.seeds[0])) for name in ('baseline', 'method')}
    figure, (scores, losses, boxes) = plt.subplots(1, 3, figsize=(15, 4))
    for row in rows:
        name, metric = metric_of(plan, row, rows)
        entries = logs[name]['val']
        scores.plot([e['iter'] for e in entries], [100 * e[metric] for e in entries], 'o-', label=row)
    for label, name, key in (
        ('baseline', 'baseline', 'loss_cls'),
        ('labeled', 'method', 'sup_loss_cls'),
        ('unlabeled', 'method', 'unsup_loss_cls'),
    ):
        entries = logs[name]['train']
        losses.plot([e['iter'] for e in entries], [e[key] for e in entries], label=label)
    entries = logs['method']['train']
    for key in (name for name in entries[0] if name.startswith('num_pseudo_')):
        boxes.plot([e['iter'] for e in entries], [e[key] for e in entries], label=key)
    titles = (f'COCO {plan.measures.label}', 'classification loss', 'pseudo boxes per image')
    for axes, title in zip((scores, losses, boxes), titles, strict=True):
        axes.set_title(title)
        axes.set_xlabel('iteration')
        axes.legend()
    figure.tight_layout()
    figure.savefig(plan.folder / 'curves.png', dpi=100)
    plt.close(figure)


def draw_detections(plan: Plan, method: str, num_images: int = 6) -> None:
    """Ground truth, the baseline's and the student's detections side by side: ``detections.png``."""
    out = plan.folder
    coco = COCO(str(out / 'data/annotations/instances_val.json'))
    models = {}
    for name in ('baseline', 'method'):
        checkpoint = plan.run_dir(name, plan.seeds[0]) / 'latest.pth'
        models[name] = init_detector(load_config(str(plan.config_file(name))), str(checkpoint))
    rows = []
    for info in coco.loadImgs(coco.getImgIds()[:num_images]):
        image = str(out / 'data/images/val' / info['file_name'])
        panels = [draw(image, ground_truth(coco, info['id'], models['baseline'].CLASSES), models['baseline'].CLASSES)]
        panels += [draw(image, detect(model, image), model.CLASSES) for model in models.values()]
        rows.append(np.concatenate(panels, axis=1))
    header = np.full((24, rows[0].shape[1], 3), 255, np.uint8)
    for column, title in enumerate(('ground truth', 'supervised baseline', f'{method}, student')):
        place = (column * header.shape[1] // 3 + 8, 17)
        cv2.putText(header, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    mmcv.imwrite(np.concatenate([header, *rows]), str(out / 'detections.png'))


def ground_truth(coco: COCO, image_id: int, classes: list[str]) -> tuple | list[np.ndarray]:
    """An image's true boxes as detections of score 1, for each class an (n, 5) array, and masks if there are some."""
    names = {category['id']: category['name'] for category in coco.dataset['categories']}
    boxes: list[list] = [[] for _ in classes]
    masks: list[list] = [[] for _ in classes]
    for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[image_id])):
        x, y, w, h = annotation['bbox']
        label = classes.index(names[annotation['category_id']])
        boxes[label].append([x, y, x + w, y + h, 1])
        if 'segmentation' in annotation:
            masks[label].append(coco.annToMask(annotation))
    found = [np.array(rows, np.float32).reshape(-1, 5) for rows in boxes]
    return (found, masks) if any(masks) else found


def draw(image: str, detections: tuple | list[np.ndarray], classes: list[str]) -> np.ndarray:
    """The image at twice its size with the detections of score 0.5 or more, and their masks: BGR uint8."""
    picture = mmcv.imrescale(mmcv.imread(image), 2.0)
    detections, masks = detections if isinstance(detections, tuple) else (detections, None)
    boxes = np.concatenate(detections) * [2, 2, 2, 2, 1]
    labels = np.repeat(np.arange(len(detections)), [len(rows) for rows in detections])
    if masks is not None:
        flat = [mask for own in masks for mask in own]
        empty = np.zeros((0, *picture.shape[:2]), bool)
        masks = np.stack([np.kron(mask, np.ones((2, 2))) > 0 for mask in flat]) if flat else empty
    return imshow_det_bboxes(
        picture, boxes, labels, masks, class_names=classes, score_thr=0.5, show=False, font_size=9, thickness=1
    )


def main() -> None:
    """Generate, train, compare."""
    args = parse_args()
    if args.task == 'segmentation':
        from segmentation_demo import run  # needs MMSegmentation

        return run(args)
    start = time.time()
    if args.fresh:
        shutil.rmtree(args.out, ignore_errors=True)
    prepare_shapes(args.out / 'data', args.detector == 'masks')
    options = {'data_root': f'{args.out / "data"}/', **args.cfg_options}
    skip = () if args.label_once else ('label_once',)
    config, method = METHODS[args.detector]
    plan, verdict = compare(str(ROOT / f'configs/demo/{config}.py'), options, args.out, args.seeds, skip=skip)
    rows = rows_of(method)
    draw_curves(plan, rows)
    draw_detections(plan, method)
    print('\n' + make_table(plan, rows))
    print(f'\n{verdict["sentence"]}')
    minutes = (time.time() - start) / 60
    print(f'\nTable, verdict, curves.png and detections.png are in {args.out}/ ({minutes:.1f} minutes)')


if __name__ == '__main__':
    run_command(main)
