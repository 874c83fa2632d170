"""JSON files that are read with a clear error and written whole or not at all."""

import json
from pathlib import Path

from ssod.core.errors import InputError
from ssod.core.files import write_whole


def read_json(path: Path) -> dict:
    """Read a JSON file that holds one object.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is not JSON, or not an object.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: give the path of a COCO annotation file')
    try:
        with path.open(encoding='utf-8-sig') as file:
            content = json.load(file)
    except ValueError as e:
        raise InputError(f'{path} is not JSON ({e}): download or export it again') from e
    if not isinstance(content, dict):
        raise InputError(f'{path} holds a {type(content).__name__}, not a COCO dictionary: give a COCO annotation file')
    return content


def write_json(content: dict, path: Path) -> None:
    """Write `content` to `path`, making its folder; a killed run leaves the old file or none, never half of one."""
    write_whole(path, json.dumps(content))  # not json.dump, which does without the C encoder
