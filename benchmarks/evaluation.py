"""Time of COCO's metrics by each backend of `evaluation.backend`, on detections that it makes up.

    python benchmarks/evaluation.py --images 1000 --detections 100

Seconds of `CocoDataset.evaluate`, the median of --repeats; the detections are written to a file and read
again, as MMDetection does it. The metrics of the two are equal.
"""

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ssod  # noqa: F401  first: it keeps mmcv's import quiet

# isort: split
import numpy as np
from mmdet.datasets import CocoDataset, build_dataset
from pycocotools import mask as rle

from benchmarks.annotations import write_coco
from ssod.detection.evaluation import BACKENDS, evaluate


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=1000, help='of 7 true boxes each (default: %(default)s)')
    parser.add_argument('--detections', type=int, default=100, help='per image (default: %(default)s)')
    parser.add_argument('--metrics', nargs='+', default=['bbox', 'proposal', 'segm'], help='(default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=3, help='(default: %(default)s)')
    return parser.parse_args()


def detect(dataset: CocoDataset, number: int, with_masks: bool) -> list:
    """Results as a model gives them, for each image ``number`` boxes: half near true ones, half anywhere."""
    rng = np.random.default_rng(0)
    results = []
    for index, image in enumerate(dataset.data_infos):
        width, height = image['width'], image['height']
        true = dataset.get_ann_info(index)
        boxes = np.sort(rng.random((number, 2, 2)), axis=1).reshape(number, 4) * [width, height, width, height]
        labels = rng.integers(0, len(dataset.CLASSES), number)
        if len(true['bboxes']):
            near = rng.integers(0, len(true['bboxes']), number // 2)
            boxes[: len(near)] = true['bboxes'][near] + rng.normal(0, 5, (len(near), 4))
            labels[: len(near)] = true['labels'][near]
        rows = np.concatenate([boxes, rng.random((number, 1))], axis=1).astype(np.float32)
        own = [rows[labels == label] for label in range(len(dataset.CLASSES))]
        results.append((own, [masks_of(part, width, height) for part in own]) if with_masks else own)
    return results


def masks_of(boxes: np.ndarray, width: int, height: int) -> list[dict]:
    """Run lengths of all pixels of each box, (n, 5) xyxy and score."""
    corners = boxes[:, :4].clip(0, [width, height, width, height]).astype(float)
    return rle.frPyObjects(np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1), height, width)


def timed(call: Callable, repeats: int) -> tuple[dict, float, float]:
    """The last value of a call, and the medians of the seconds, and of the seconds of CPU time, that it takes."""
    seconds, busy = [], []
    for _ in range(repeats):
        start, start_busy = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            values = call()
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - start_busy)
    return values, statistics.median(seconds), statistics.median(busy)


def main() -> None:
    """Make the detections up, measure, print."""
    args = parse_args()
    with tempfile.NamedTemporaryFile(suffix='.json') as file, contextlib.redirect_stdout(io.StringIO()):
        write_coco(file.name, args.images, 7 * args.images)
        dataset = build_dataset(dict(type='CocoDataset', ann_file=file.name, pipeline=[], test_mode=True))
    for metric in args.metrics:
        results = detect(dataset, args.detections, metric == 'segm')
        rows = {}
        for backend in BACKENDS:
            rows[backend] = timed(partial(evaluate, dataset, results, backend, metric=metric), args.repeats)
            _, seconds, busy = rows[backend]
            print(f'{metric:10}{backend:18}{seconds:7.1f} s{busy:7.1f} s CPU', flush=True)
        same = len({json.dumps(values) for values, *_ in rows.values()}) == 1
        print(f'{"":10}{"equal metrics" if same else "OTHER METRICS"}, {next(iter(rows.values()))[0]}'[:110])


if __name__ == '__main__':
    main()
