"""Time and memory of loading annotation files of COCO's size, which it generates (459 MB, half a minute).

    python benchmarks/annotations.py --images 118000 --boxes 860000 --unlabeled 123000 --workers 4

Two rows: the training set as MMDetection holds it, and packed as ours (ssod/data/serialize.py). Each is loaded in a
fresh process, which then forks workers, each of which asks for --samples random images, without reading their files.

    load_s     until the data set is built, and packed
    start_mb   memory (RSS) of the process before: torch, mmcv, mmdet
    peak_mb    the most that it held until the data set was there
    held_mb    what it holds from then on
    worker_mb  what a worker holds that no other process shares (USS); the largest of the workers
    spawn_mb   what a worker is sent where workers are spawned instead of forked
    sample_us  microseconds per image in a worker

Needs Linux, which counts the memory (/proc).
"""

import argparse
import json
import multiprocessing
import pickle
import random
import re
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path

import ssod  # noqa: F401  first: it keeps mmcv's import quiet

# isort: split
import numpy as np
from mmcv import Config
from mmdet.datasets import CocoDataset, build_dataset
from torch.utils.data import Dataset

from ssod.apis.train import build_train_dataset
from ssod.data import pack_annotations

MB = 2**20
COLUMNS = ['load_s', 'start_mb', 'peak_mb', 'held_mb', 'worker_mb', 'spawn_mb', 'sample_us']
IMAGES_AT_ONCE = 1000  # whose annotations are drawn and written together


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=118_000, help='labeled images (default: %(default)s)')
    parser.add_argument('--boxes', type=int, default=860_000, help='boxes in them (default: %(default)s)')
    parser.add_argument('--unlabeled', type=int, default=123_000, help='unlabeled images (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=4, help='loader workers, 1 or more (default: %(default)s)')
    parser.add_argument('--samples', type=int, default=40_000, help='images each asks for (default: %(default)s)')
    parser.add_argument('--json', metavar='FILE', help='write the figures to this file too')
    return parser.parse_args()


def write_coco(path: str | Path, num_images: int, num_boxes: int, seed: int = 0) -> None:
    """Write a detection file like COCO's instances_train2017.json; the same arguments give the same file.

    Boxes are spread unevenly: one image in eight has none. Polygons have 23 points on average. One box in a hundred is
    a crowd, with a run-length mask.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(240, 641, (num_images, 2))
    share = rng.gamma(1.0, size=num_images)
    owners = np.repeat(np.arange(num_images), rng.multinomial(num_boxes, share / share.sum()))
    categories = [dict(supercategory='thing', id=k, name=name) for k, name in enumerate(CocoDataset.CLASSES, 1)]
    images = [coco_image(i, width, height) for i, (width, height) in enumerate(sizes.tolist(), 1)]
    with open(path, 'w') as file:
        file.write(f'{{"info": {{}}, "categories": {json.dumps(categories)}, "images": {json.dumps(images)}, ')
        file.write('"annotations": [')
        first = 0
        while first < num_boxes:
            last = int(np.searchsorted(owners, owners[first] + IMAGES_AT_ONCE))
            annotations = coco_annotations(first, owners[first:last], sizes, rng)
            file.write((', ' if first else '') + json.dumps(annotations)[1:-1])
            first = last
        file.write(']}')


def coco_image(number: int, width: int, height: int) -> dict:
    """An entry of 'images', with all that COCO says of one."""
    name = f'{number:012d}.jpg'
    return dict(
        license=3,
        file_name=name,
        coco_url=f'http://images.cocodataset.org/train2017/{name}',
        height=height,
        width=width,
        date_captured='2013-11-14 11:18:45',
        flickr_url=f'http://farm9.staticflickr.com/8186/{number:010d}_1897c6b0d5_z.jpg',
        id=number,
    )


def coco_annotations(first: int, owners: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> list[dict]:
    """Entries of 'annotations', numbered from ``first`` + 1: one for each of ``owners``, indices of images."""
    count = len(owners)
    wh = np.maximum(rng.random((count, 2)) ** 2 * sizes[owners], 2)
    xy = rng.random((count, 2)) * (sizes[owners] - wh)
    points = 4 + rng.gamma(2.0, 9.5, count).astype(int)
    polygons = rng.random((points.sum(), 2)) * np.repeat(wh, points, axis=0) + np.repeat(xy, points, axis=0)
    ends = np.cumsum(points)
    boxes = np.concatenate([xy, wh], axis=1).round(2).tolist()
    labels = rng.integers(1, len(CocoDataset.CLASSES) + 1, count).tolist()
    crowd = (rng.random(count) < 0.01).astype(int).tolist()
    annotations = []
    for i, owner in enumerate(owners.tolist()):
        mask = [polygons[ends[i] - points[i] : ends[i]].round(2).ravel().tolist()]
        if crowd[i]:
            counts = rng.integers(1, 400, 120).tolist()  # less than the 240 x 240 pixels of the smallest image
            mask = dict(counts=[*counts, int(sizes[owner].prod()) - sum(counts)], size=sizes[owner, ::-1].tolist())
        area = round(0.6 * boxes[i][2] * boxes[i][3], 4)
        entry = dict(segmentation=mask, area=area, iscrowd=crowd[i], image_id=owner + 1, bbox=boxes[i])
        annotations.append(dict(entry, category_id=labels[i], id=first + i + 1))
    return annotations


def measure(labeled: str, unlabeled: str, packed: bool, workers: int, samples: int) -> dict[str, float]:
    """Load the two files in this process, which should be a fresh one; the figures of the module's description."""
    sources = dict(
        labeled=dict(type='CocoDataset', ann_file=labeled, pipeline=[]),
        unlabeled=dict(type='CocoDataset', ann_file=unlabeled, pipeline=[], filter_empty_gt=False),
    )
    cfg = Config(dict(model=dict(type='SoftTeacher'), data=dict(train=dict(type='SemiDataset', **sources))))
    figures = dict(start_mb=memory('status', 'VmRSS'))
    start = time.perf_counter()
    with redirect_stdout(sys.stderr):  # pycocotools talks
        dataset = build_train_dataset(cfg) if packed else build_dataset(cfg.data.train)
    if packed:
        pack_annotations(dataset)
    figures.update(load_s=time.perf_counter() - start)
    figures.update(peak_mb=memory('status', 'VmHWM'), held_mb=memory('status', 'VmRSS'))
    context = multiprocessing.get_context('fork')
    pipes = [context.Pipe(duplex=False) for _ in range(workers)]
    started = [context.Process(target=work, args=(dataset, samples, k, pipe)) for k, (_, pipe) in enumerate(pipes)]
    for process in started:
        process.start()
    seen = [receiver.recv() for receiver, _ in pipes]
    for process in started:
        process.join()
    figures.update({name: max(worker[name] for worker in seen) for name in seen[0]})
    return {**figures, 'spawn_mb': len(pickle.dumps(dataset)) / MB}


def work(dataset: Dataset, samples: int, seed: int, pipe: multiprocessing.connection.Connection) -> None:
    """What a loader worker does without files: fetch random images; then send the time and the private memory."""
    rng = random.Random(seed)
    start = time.perf_counter()
    for _ in range(samples):
        dataset[rng.randrange(len(dataset))]
    seconds = time.perf_counter() - start
    pipe.send(dict(sample_us=seconds / samples * 1e6, worker_mb=memory('smaps_rollup', r'Private_(?:Clean|Dirty)')))


def memory(file: str, name: str) -> float:
    """MB that the lines of that name in a file of /proc/self say, summed."""
    text = Path('/proc/self', file).read_text()
    return sum(int(kilobytes) for kilobytes in re.findall(rf'^{name}:\s+(\d+) kB', text, re.MULTILINE)) / 1024


def main() -> None:
    """Generate the files, measure, print."""
    args = parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        labeled, unlabeled = f'{folder}/labeled.json', f'{folder}/unlabeled.json'
        write_coco(labeled, args.images, args.boxes, seed=0)
        write_coco(unlabeled, args.unlabeled, 0, seed=1)
        for row, packed in {'MMDetection': False, 'packed': True}.items():
            with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as fresh:
                job = fresh.submit(measure, labeled, unlabeled, packed, args.workers, args.samples)
                rows[row] = {name: round(value, 1) for name, value in job.result().items()}
    print(f'{"":12}' + ''.join(f'{name:>11}' for name in COLUMNS))
    for row, figures in rows.items():
        print(f'{row:12}' + ''.join(f'{figures[name]:11.1f}' for name in COLUMNS))
    if args.json:
        Path(args.json).write_text(json.dumps(dict(arguments=vars(args), **rows), indent=1))


if __name__ == '__main__':
    main()
