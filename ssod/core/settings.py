"""Settings of a config as typed structures: a key that is not known is refused with the name that was meant."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any, ClassVar, Protocol, TypeVar


class Dataclass(Protocol):
    """What every dataclass has."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Settings = TypeVar('Settings', bound=Dataclass)


def parse_settings(
    kind: type[Settings], values: Mapping[str, Any] | None, where: str, hints: Mapping[str, str] | None = None
) -> Settings:
    """Make a dataclass of a config's dictionary.

    Args:
        kind: the dataclass; its fields are the keys that are known.
        values: the dictionary, or None for the defaults alone.
        where: the dictionary's place in the config, for messages.
        hints: what to write instead of a key that has this name in another project.

    Raises:
        ValueError: a key that is not a field, with the name that was probably meant, or a field without default that
            is missing, or a number that is not finite.
    """
    values = dict(values or {})
    known = [field.name for field in fields(kind)]
    for key, value in values.items():
        if key not in known:
            raise ValueError(f'{where} has no key {key!r}: {_advice(key, known, hints or {})}')
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f'{where}.{key} must be a finite number, got {value}')
    required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    if missing := [name for name in required if name not in values]:
        raise ValueError(f'{where} needs the key {missing[0]!r}')
    return kind(**values)


def _advice(key: str, known: list[str], hints: Mapping[str, str]) -> str:
    """What to write instead of ``key``."""
    if key in hints:
        return f'write {hints[key]}'
    if near := get_close_matches(key, known, n=1, cutoff=0.6):
        return f'did you mean {near[0]}?'
    return f'it has {", ".join(known)}'


def check_choice(what: str, value: str, known: tuple[str, ...]) -> None:
    """Raise a ValueError if a setting's value is none of those known."""
    if value not in known:
        raise ValueError(f'{what} must be one of {", ".join(map(repr, known))}, got {value!r}')


def check_share(what: str, value: float) -> None:
    """Raise a ValueError if a score's threshold is outside of [0, 1] or no number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(f'{what} is in [0, 1], got {value!r}')


def check_weight(what: str, value: float) -> None:
    """Raise a ValueError if a loss's weight is negative or no number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(f'{what} must be a number, 0 or more, got {value!r}')
