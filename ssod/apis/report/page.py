"""Sections as one HTML file, which needs nothing beside it."""

from collections.abc import Sequence
from html import escape

from .drawing import as_json, as_svg, for_plotly, has_plotly, plotly_script
from .html import paragraph
from .sections import Section
from .style import CSS, SCRIPT

# A page that runs its own scripts and loads nothing, whatever is in it.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def make_page(title: str, lead: str, sections: Sequence[Section], interactive: bool | None = None) -> str:
    """The text of the file.

    Args:
        title: of the page.
        lead: a line below it.
        sections: its parts.
        interactive: charts by plotly; False: as SVG; None: by plotly if it is installed.
    """
    from ssod import __version__  # which imports this package

    interactive = has_plotly() if interactive is None else interactive
    charts = [chart for section in sections for chart in section.charts]
    places = (
        [f'<div class="chart" data-chart="{number}"></div>' for number in range(len(charts))]
        if interactive
        else [f'<div class="chart drawn">{svg}</div>' for svg in as_svg(charts)]
    )
    body, number = [], 0
    for section in sections:
        own = ''.join(places[number : number + len(section.charts)])
        number += len(section.charts)
        notes = list(dict.fromkeys(chart.note for chart in section.charts if chart.note and not section.after))
        body.append(
            f'<section id="{section.name}"><h2>{escape(section.title)}</h2>{section.html}'
            + (f'<div class="charts">{own}</div>' if own else '')
            + ''.join(paragraph(note, 'note') for note in notes)
            + f'{section.after}</section>'
        )
    scripts = f'<script>{SCRIPT}</script>'
    if interactive and charts:
        data = as_json([for_plotly(chart) for chart in charts])
        scripts = (
            f'<script>{plotly_script()}</script><script type="application/json" id="charts">{data}</script>' + scripts
        )
    links = ''.join(f'<a href="#{section.name}">{escape(section.title)}</a>' for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{CSS}</style></head><body>'
        f'<header><h1>{escape(title)}</h1>{paragraph(lead, "lead")}</header><nav><div>{links}</div></nav>'
        f'<main>{"".join(body)}<footer>ssod {escape(__version__)}</footer></main>{scripts}</body></html>\n'
    )
