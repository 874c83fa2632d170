"""Draw how time grows, from the files that `benchmarks/benchmark.py --vary ... --json FILE` writes, a panel per file.

python benchmarks/plot.py OUT.png FILE.json ...
"""

import argparse
import json
from pathlib import Path

import ssod  # noqa: F401  first: it keeps mmcv's import quiet

# isort: split
from matplotlib.figure import Figure

from ssod.apis.checks import InputError, run_command

UNITS = dict(size='megapixels per image', unlabeled='unlabeled images', candidates='candidates per image')
UNITS.update(jitters='jitters per candidate', workers='loader workers')


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', metavar='OUT.png')
    parser.add_argument('files', nargs='+', metavar='FILE.json')
    return parser.parse_args()


def curves(cases: list[dict]) -> tuple[str, list[float], dict[str, list[dict]]]:
    """What was varied, its values (of a size the megapixels), and each contestant's seconds at them.

    Raises:
        InputError: nothing was varied.
    """
    if not cases[0]['changes']:
        raise InputError('a file holds one case and so no curve: measure with benchmarks/benchmark.py --vary')
    (name,) = cases[0]['changes']
    values = [case['changes'][name] for case in cases]
    if name == 'size':
        values = [height * width / 1e6 for height, width in values]
    return name, values, {who: [case['results'][who]['wall'] for case in cases] for who in cases[0]['results']}


def draw(files: list[dict]) -> Figure:
    """A panel per file: medians, and bars from the least to the most."""
    figure = Figure(figsize=(4 * len(files), 3.2), layout='constrained')
    for axes, content in zip(figure.subplots(1, len(files), squeeze=False)[0], files, strict=True):
        name, values, seconds = curves(content['cases'])
        for who, walls in seconds.items():
            medians = [wall['median'] for wall in walls]
            below = [wall['median'] - wall['min'] for wall in walls]
            above = [wall['max'] - wall['median'] for wall in walls]
            axes.errorbar(values, medians, [below, above], marker='o', capsize=3, label=who)
        axes.set(xlabel=UNITS[name], ylabel='seconds', ylim=(0, None))
        axes.grid(alpha=0.3)
        if len(seconds) > 1:
            axes.legend()
    return figure


def main() -> None:
    """Read, draw, write."""
    args = parse_args()
    draw([json.loads(Path(file).read_text()) for file in args.files]).savefig(args.out, dpi=100)


if __name__ == '__main__':
    run_command(main)
