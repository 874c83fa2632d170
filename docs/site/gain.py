"""Draws docs/gain.svg from docs/gain.json, figures of docs/results.md: `python docs/site/gain.py`."""

import json
from pathlib import Path

import matplotlib

matplotlib.use('svg')
import matplotlib.pyplot as plt  # noqa: E402

DOCS = Path(__file__).parents[1]
COLORS = {'supervised': '#9aa5b1', 'labeled once': '#e0a458', 'Soft Teacher': '#2f6f9f'}


def main() -> None:
    """A group of bars for each data set; a column that was not measured is left out."""
    sets = json.loads((DOCS / 'gain.json').read_text(encoding='utf-8'))
    plt.rcParams['svg.hashsalt'] = 'gain'  # the same file from the same figures
    figure, axes = plt.subplots(figsize=(7, 3), layout='constrained')
    for place, one in enumerate(sets):
        columns = [name for name in COLORS if name in one]
        for number, name in enumerate(columns):
            x = place + (number - (len(columns) - 1) / 2) * 0.25
            bar = axes.bar(x, one[name], width=0.23, color=COLORS[name])
            axes.bar_label(bar, fmt='%.1f', fontsize=9)
    shown = [name for name in COLORS if any(name in one for one in sets)]
    axes.legend([plt.Rectangle((0, 0), 1, 1, color=COLORS[name]) for name in shown], shown, frameon=False)
    axes.set_xticks(range(len(sets)), [one['data'] for one in sets])
    axes.set_ylabel('mAP')
    axes.set_ylim(0, 1.2 * max(one['Soft Teacher'] for one in sets))
    axes.spines[['top', 'right']].set_visible(False)
    figure.savefig(DOCS / 'gain.svg', metadata=dict(Date=None))


if __name__ == '__main__':
    main()
