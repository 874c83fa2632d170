"""From which score on a label counts, for each class."""

from collections.abc import Sequence
from pathlib import Path

from ssod.core.errors import InputError
from ssod.data.files import read_json

FILE = 'thresholds.json'  # which `ssod report` writes into the work dir: {"class": threshold}
DEFAULT = 0.5


def thresholds_of(
    classes: Sequence[str], checkpoint: str, score_thr: float | None, file: Path | None, default: float = DEFAULT
) -> tuple[dict[str, float], str]:
    """A threshold for each class, and where they come from.

    Args:
        classes: names.
        checkpoint: beside which the report's file may lie.
        score_thr: for all classes; None: those of a file.
        file: JSON, a number for each class; None: ``thresholds.json`` beside the checkpoint, if it is there.
        default: where nothing says another one.

    Raises:
        InputError: the file is not there, lacks a class, or has a value that is no score.
    """
    if score_thr is not None:
        return dict.fromkeys(classes, score_thr), f'{score_thr:g} for all classes'
    beside = Path(checkpoint).resolve().parent / FILE
    if file is None and not beside.is_file():
        return dict.fromkeys(classes, default), f'{default:g} for all classes, as nothing says another one'
    path = file or beside
    if not path.is_file():
        raise InputError(f'no thresholds {path}: `ssod report` writes one, or give --score-thr')
    said = read_json(path)
    if missing := [name for name in classes if name not in said]:
        raise InputError(f'{path} has no threshold for {missing[0]!r}: add it, or give --score-thr')
    for name in classes:
        value = said[name]
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise InputError(f'{path} has the threshold {value!r} for {name!r}: it is a score from 0 to 1')
    return {name: float(said[name]) for name in classes}, f'those of {path}'
