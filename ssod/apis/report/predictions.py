"""What the best checkpoint of a run finds on its validation images, where the run has not kept it."""

import contextlib
import io
import re
from pathlib import Path

from mmcv import Config

from ssod.core.errors import InputError
from ssod.core.task import task_of
from ssod.data import build_test_loader
from ssod.data.loader import test_dataset_config
from ssod.data.reading import guard_reading
from ssod.hooks import autocast_for_test
from ssod.hooks.evaluation import run_test

from ..checks import check_config
from ..config import load_config
from ..data_checks import TEST_HEADERS, building_data, check_source
from ..inference import init_detector
from ..runner import LATEST
from ..train import parallelize
from .record import predict_with, write_examination
from .run import Run


def examine_best(run: Run) -> None:
    """Evaluate the best checkpoint, the last one where none is kept, and write ``evaluation/examination.json``.

    Raises:
        InputError: the run left no config or checkpoint, its data are not there, or its task cannot be examined.
    """
    cfg = config_of(run)
    checkpoint = checkpoint_of(run)
    task = task_of(cfg)
    examiner = task.examiner_of(cfg)
    if examiner is None:
        raise InputError(f'{task.name} cannot be examined: use --no-predictions')
    check_config(cfg, ('val',))
    with building_data('data.val', [cfg.data.val]), contextlib.redirect_stdout(io.StringIO()):
        dataset = task.build_dataset(test_dataset_config(cfg.data.val, cfg.data), test_mode=True)
    check_source(dataset, TEST_HEADERS)
    guard_reading(dataset, cfg.data.get('max_image_pixels'))
    name = run.best.model if run.best else None
    model = init_detector(cfg, str(checkpoint), predict_on=name)
    name = name or getattr(model, 'predict_on', None)
    task.prepare_test_data(dataset, model.CLASSES)
    task.accelerate(model, cfg.get('accelerate', True))
    wrapped = parallelize(model, distributed=False)
    autocast_for_test(wrapped, cfg.get('fp16'))
    loader = build_test_loader(dataset, cfg.data, distributed=False)
    keeping = {} if task.keep is None else dict(keep=task.keep)
    results = run_test(wrapped, loader, **keeping)
    of_model = dict(iteration=iteration_of(checkpoint), model=name, checkpoint=run.best and run.best.checkpoint)

    def predict(place: int) -> object:
        return results[place] if task.keep is None else predict_with(model, name, dataset, place)

    write_examination(run.folder, examiner, dataset, results, predict, of_model)


def config_of(run: Run) -> Config:
    """The copy of its config that a run leaves.

    Raises:
        InputError: there is none, or several.
    """
    named = run.folder / Path(run.start.get('config') or '').name
    files = [named] if named.is_file() else sorted(run.folder.glob('*.py'))
    if len(files) != 1:
        raise InputError(f'{run.folder} holds {len(files)} configs (*.py), one is needed: use --no-predictions')
    return load_config(str(files[0]), work_dir=str(run.folder))


def checkpoint_of(run: Run) -> Path:
    """The checkpoint that the run recommends, or its last.

    Raises:
        InputError: it is gone.
    """
    path = run.folder / (run.best.checkpoint if run.best else LATEST)
    if not path.is_file():
        raise InputError(f'{path} is gone: use --no-predictions')
    return path.resolve() if path.is_symlink() else path


def iteration_of(checkpoint: Path) -> int | None:
    """Of a file ..._iter_N.pth."""
    found = re.search(r'iter_(\d+)\.pth$', checkpoint.name)
    return int(found[1]) if found else None
