"""Settings compared, and what becomes of those that are not carried."""

import inspect
from collections.abc import Iterator
from typing import Any

from mmdet.datasets import PIPELINES

from ssod.apis import InputError


class Notes:
    """Settings that the converted config does not hold, each with its name, value and why.

    Attributes:
        lost: without them training differs.
        needless: there is nothing to do about them.
    """

    def __init__(self) -> None:
        self.lost: list[str] = []
        self.needless: list[str] = []

    def lose(self, name: str, value: Any, why: str) -> None:
        """Note a setting that has no counterpart."""
        self._add(self.lost, name, value, why)

    def skip(self, name: str, value: Any, why: str) -> None:
        """Note a setting that needs none."""
        self._add(self.needless, name, value, why)

    def lose_rest(self, place: str, settings: dict, why: str = 'no such setting here') -> None:
        """Note all that is left of a section after what is known has been taken out."""
        for key, value in settings.items():
            self.lose(f'{place}.{key}' if place else key, value, why)

    @staticmethod
    def _add(lines: list[str], name: str, value: Any, why: str) -> None:
        text = ' '.join(repr(value).split())
        line = f'{name} = {text if len(text) <= 80 else text[:77] + "..."}: {why}'
        if line not in lines:
            lines.append(line)


def difference(base: dict, target: dict) -> dict:
    """What a config that inherits ``base`` has to say to be ``target``."""
    if set(base) - set(target):
        return dict(_delete_=True, **target)
    changes = {}
    for key, value in target.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            if change := difference(base[key], value):
                changes[key] = change
        elif key not in base:
            changes[key] = value
        elif not same(base[key], value):
            changes[key] = dict(_delete_=True, **value) if isinstance(value, dict) else value
    return changes


def take(settings: dict, key: str, place: str) -> Any:
    """Take a setting that cannot be missing out of a section.

    Raises:
        InputError: it is missing.
    """
    if settings.get(key) is None:
        raise InputError(f"{place} has no {key}: this is not a config of the authors' form")
    return settings.pop(key)


def canonical(value: Any) -> Any:
    """Nested settings with tuples as lists and the ops' default arguments written out, to be compared."""
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if not isinstance(value, dict):
        return value
    op = PIPELINES.get(value['type']) if isinstance(value.get('type'), str) else None
    parameters = inspect.signature(op).parameters.values() if op else ()
    defaults = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    return {key: canonical(item) for key, item in {**defaults, **value}.items()}


def same(first: Any, second: Any) -> bool:
    """Whether two pipelines, or other settings, mean the same."""
    return canonical(first) == canonical(second)


def leaves(value: Any) -> Iterator[Any]:
    """Every value in nested settings, whole lists and dictionaries among them."""
    yield value
    if isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
