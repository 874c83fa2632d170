"""One HTML file on a training, from what it leaves in its work dir."""

import time
from logging import Logger
from pathlib import Path

from ssod.core.files import write_whole

from .page import make_page
from .run import Run, read_run
from .sections import sections

__all__ = ['FILE', 'Run', 'read_run', 'report_at_end', 'write_report']

FILE = 'report.html'


def write_report(
    work_dir: str | Path, predictions: bool = True, interactive: bool | None = None, out: str | Path | None = None
) -> Path:
    """Write ``report.html`` of a training, finished or not.

    Args:
        work_dir: of the training.
        predictions: look at the validation images with the best checkpoint if its run has not kept what it found there.
        interactive: charts by plotly; False: as SVG; None: by plotly if it is installed.
        out: the file; None: ``report.html`` in the work dir.

    Returns:
        The file.

    Raises:
        InputError: ``work_dir`` holds no log of a training, or predictions are wanted and impossible.
    """
    run = read_run(Path(work_dir))
    if predictions and not run.is_examined():
        from .predictions import examine_best  # needs ssod.apis.train, which needs this package

        examine_best(run)
        run = read_run(Path(work_dir))
    started = run.start.get('started', '')
    lead = f'{run.start.get("config") or run.folder}{f", started {started}" if started else ""}'
    lead += f'; written {time.strftime("%Y-%m-%d %H:%M")}'
    path = Path(out) if out else run.folder / FILE
    write_whole(path, make_page(run.folder.name or str(run.folder.absolute()), lead, sections(run), interactive))
    return path


def report_at_end(work_dir: str | Path, logger: Logger) -> None:
    """Write the report of a training that has ended; what goes wrong is a warning, for the training is done."""
    try:
        logger.info(f'report: {write_report(work_dir, predictions=False)}')
    except Exception as error:
        logger.warning(f'no report: {type(error).__name__}: {error}; try again with `ssod report {work_dir}`')
