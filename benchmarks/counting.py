"""Counts of a step instead of its time: kernels, waits and uploads by part, on the device of ``pretend.py``."""

from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.measuring import Parts

KINDS = ('kernels', 'waits', 'uploads')


def counting(build: Any) -> Any:
    """A contestant's step, built on the pretended device; a run's figures are its losses and its ``counts``."""

    def build_counting(folder: Path, case: dict, parts: Parts) -> Any:
        from benchmarks.pretend import DEVICE, Watch  # which changes the process for good

        watch = Watch(lambda: parts.open[-1])
        with watch:
            step = build(folder, {**case, 'device': str(DEVICE)}, parts)

        def run() -> dict:
            watch.counts.clear()
            with watch:
                figures = step()
            return dict(figures, counts=by_part(watch.counts), places=places(watch.counts))

        return run

    return build_counting


def by_part(counts: Counter) -> dict[str, dict[str, int]]:
    """Part -> how many of each kind."""
    table: dict[str, dict[str, int]] = {}
    for (part, kind, _, _), number in counts.items():
        table.setdefault(part, dict.fromkeys(KINDS, 0))[kind] += number
    return table


def places(counts: Counter) -> dict[str, dict[str, int]]:
    """Kind -> 'part: operator at place' -> how often, most frequent first."""
    table: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    for (part, kind, name, where), number in counts.most_common():
        table[kind][f'{part}: {name} at {where or "backward"}'] = number
    return table
