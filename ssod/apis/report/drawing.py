"""Charts in a page: by plotly where it is installed, as SVG by matplotlib where it is not."""

import importlib.resources
import importlib.util
import io
import json
import math
import re
from collections.abc import Sequence
from html import escape

import numpy as np

from .charts import Chart

COLORS = ('#1f6feb', '#e36209', '#2da44e', '#8250df', '#bf3989', '#0e7c86', '#9a6700', '#cf222e', '#57606a', '#4d2d00')


def has_plotly() -> bool:
    """Whether the extra `report` is installed."""
    return importlib.util.find_spec('plotly') is not None


def plotly_script() -> str:
    """The JavaScript of plotly, which needs no network."""
    return (importlib.resources.files('plotly') / 'package_data/plotly.min.js').read_text(encoding='utf-8')


def for_plotly(chart: Chart) -> dict:
    """A chart as plotly takes it: ``data`` and ``layout``."""
    data = [
        dict(
            type='scatter',
            mode='lines+markers' if len(line.x) <= 60 else 'lines',
            name=escape(line.name),  # plotly takes tags in it
            x=[finite(value) for value in line.x],
            y=[finite(value) for value in line.y],
            line=dict(color=COLORS[i % len(COLORS)], dash='dash' if line.dashed else 'solid', width=2),
            marker=dict(size=5),
        )
        for i, line in enumerate(chart.lines)
    ]
    layout = dict(
        title=dict(text=escape(chart.title), font=dict(size=15), x=0.02),
        xaxis=dict(title=dict(text=escape(chart.x))),
        yaxis=dict(title=dict(text=escape(chart.y)), rangemode='tozero' if chart.from_zero else 'normal'),
        margin=dict(l=60, r=16, t=44, b=70),
        height=360,
        showlegend=True,
        legend=dict(orientation='h', y=-0.22),
        font=dict(family='system-ui, sans-serif', size=12),
        paper_bgcolor='rgba(0,0,0,0)',
        plot_bgcolor='rgba(0,0,0,0)',
    )
    return dict(data=data, layout=layout)


def finite(value: float | None) -> float | None:
    """The value; None, a gap, for one that is not finite."""
    return None if value is None or not math.isfinite(value) else round(float(value), 6)


def as_json(value: object) -> str:
    """JSON that can stand in a script of a page, whatever strings are in it."""
    text = json.dumps(value, allow_nan=False)
    return text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026')


def as_svg(charts: Sequence[Chart]) -> list[str]:
    """Each chart as an SVG element, by matplotlib; text stays text."""
    import matplotlib

    with matplotlib.rc_context({'svg.fonttype': 'none', 'font.family': 'sans-serif', 'text.parse_math': False}):
        return [svg_of(chart, number) for number, chart in enumerate(charts)]


def svg_of(chart: Chart, number: int) -> str:
    """One chart; ``number`` keeps its ids apart from those of the others."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4))
    axes = figure.subplots()
    for i, line in enumerate(chart.lines):
        y = np.array([np.nan if value is None else value for value in line.y], float)
        marker = 'o' if len(line.x) <= 60 else ''
        style = '--' if line.dashed else '-'
        axes.plot(line.x, y, marker + style, color=COLORS[i % len(COLORS)], label=line.name, markersize=3, lw=1.6)
    axes.set_title(chart.title, loc='left', fontsize=12)
    axes.set_xlabel(chart.x)
    axes.set_ylabel(chart.y)
    if chart.from_zero:
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=3, loc='upper center', bbox_to_anchor=(0.5, -0.16), frameon=False)
    file = io.StringIO()
    with matplotlib.rc_context({'svg.hashsalt': f'chart {number}', 'svg.id': f'chart{number}'}):
        figure.savefig(file, format='svg', metadata={'Date': None, 'Creator': None}, bbox_inches='tight')
    text = file.getvalue()
    text = text[text.index('<svg') :]
    # The parts' names are the same in every picture; an id may be in a page once.
    return re.sub(r'<g id="([^"]*)"', rf'<g id="chart{number}-\1"', text)
