"""Let a model label a folder of images for people to correct: their programs' formats, the most useful images first."""

import os
import os.path as osp
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmcv import Config

from ssod.apis.inference import read_image
from ssod.apis.predict import find_images
from ssod.apis.predictor import Predictor, load_model
from ssod.core.errors import InputError
from ssod.core.finding import Finding
from ssod.data.files import read_json
from ssod.data.images import image_size
from ssod.data.labels import LabeledImage, write_labels

from .ranking import rank, write_ranking
from .thresholds import thresholds_of


def label_folder(
    cfg: Config,
    checkpoint: str,
    patterns: Sequence[str],
    kind: str,
    out: Path,
    score_thr: float | None = None,
    thresholds: Path | None = None,
    predict_on: str | None = None,
    top: int | None = None,
    device: str | None = None,
) -> str:
    """Write what a model finds on images, in a format of ``ssod.data.labels.FORMATS``, and ``label_next.csv``.

    Images are in the order in which they are worth a look: student and teacher disagree, boxes move under jitter, a
    class is rare; see :func:`ssod.apis.labels.ranking.rank`. No image is copied; ``out/images`` leads to them.

    Args:
        cfg: from :func:`ssod.apis.load_config`.
        checkpoint: of the config's model.
        patterns: images, folders (with those below) and globs.
        kind: the format.
        out: folder, new or empty.
        score_thr: lowest score written; see :func:`ssod.apis.labels.thresholds.thresholds_of`. Pixels of a label map
            that are below become 255; by default none is.
        thresholds: JSON with one for each class.
        predict_on: 'student' or 'teacher' finds; None: see :func:`ssod.apis.predictor.recommended`.
        top: write so many images alone, the first of the order; None: all.
        device: 'cpu', 'cuda:0' ...; None is the GPU if there is one.

    Returns:
        Sentences on what was written.

    Raises:
        InputError: no image, ``out`` is not empty, the format cannot hold the labels, or the model does not fit.
    """
    images = find_images(patterns)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f'--out {out} is there and not empty: give another folder')
    model = load_model(checkpoint, cfg, device, predict_on)
    if model.why is not None:
        print(f'The {model.model.predict_on} labels: {model.why}', flush=True)
    own_default = {} if model.task.label_images is None else dict(default=0.0)
    limits, said = thresholds_of(model.classes, checkpoint, score_thr, thresholds, **own_default)
    print(f'Thresholds: {said}', flush=True)
    root = Path(osp.commonpath([path.absolute().parent for path in images]))
    found = dict(findings(model, images, limits))
    if not found:
        raise InputError(f'none of the {len(images)} images can be read: {images[0]} is the first')
    names = [path.absolute().relative_to(root).as_posix() for path in found]
    ranked = rank(names, list(found.values()), labeled_counts(cfg))[:top]
    by_name = dict(zip(names, found.items(), strict=True))
    labels = [
        LabeledImage(
            one.name, image_size(by_name[one.name][0]), by_name[one.name][1].objects, by_name[one.name][1].labels
        )
        for one in ranked
    ]
    main = write_labels(labels, model.classes, kind, out)
    link_images(labels, root, out / 'images')
    write_ranking(ranked, out)
    objects = sum(len(image.objects) for image in labels)
    skipped = len(images) - len(found)
    lines = [f'{main}: {objects} labels on {len(labels)} images{f", {skipped} cannot be read" * bool(skipped)}']
    lines.append(f'{out / "label_next.csv"}: label these next, the first {ranked[0].name}')
    return '\n'.join(lines)


def findings(model: Predictor, images: Sequence[Path], limits: dict[str, float]) -> Iterator[tuple[Path, Finding]]:
    """What the model finds on each image that can be read."""
    for number, path in enumerate(images, 1):
        try:
            sample = read_image(model.pipeline, path)
        except InputError as error:
            print(f'[{number}/{len(images)}] left out: {error}', flush=True)
            continue
        finding = model.task.find(model.model, sample, limits)
        print(f'[{number}/{len(images)}] {path}: {len(finding.objects)} labels', flush=True)
        yield path, finding


def labeled_counts(cfg: Config) -> dict[str, int]:
    """Objects of each class in the config's labeled COCO file; empty if it has none that can be read."""
    train = cfg.get('data', {}).get('train', {})
    labeled = train.get('labeled', train)
    path = labeled.get('ann_file') if isinstance(labeled, dict) else None
    if not isinstance(path, str):
        return {}
    path = Path(labeled.get('data_root') or '', path)
    if path.suffix != '.json' or not path.is_file():
        return {}
    content = read_json(path)
    names = {category['id']: category['name'] for category in content.get('categories', [])}
    return Counter(names.get(one['category_id'], '') for one in content.get('annotations', []))


def link_images(images: Sequence[LabeledImage], root: Path, folder: Path) -> None:
    """Links to the images under their names, which YOLO's trainers and local storages look for.

    Raises:
        InputError: the file system knows no links.
    """
    for image in images:
        link = folder / image.name
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.symlink(root / image.name, link)
        except OSError as error:
            raise InputError(f'{link} cannot be made a link ({error.strerror}): choose another --out') from error
