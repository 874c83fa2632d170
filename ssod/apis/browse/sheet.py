"""Rows of pictures as one PNG, and as an HTML page that needs nothing else."""

import base64
import os.path as osp
from collections.abc import Sequence
from html import escape
from pathlib import Path

import cv2
import mmcv
import numpy as np

from ssod.core.files import write_whole
from ssod.core.panels import Panel, Row

HEIGHT = 240  # pixels of a picture in the contact sheet
TITLE = 22
GAP = 4
WHITE = (255, 255, 255)
STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em; background: #fafafa; color: #222 }
section { margin: 0 0 2.5em } h2 { font-size: 1.05em; margin: 0 0 .5em }
.row { display: flex; flex-wrap: wrap; gap: 12px } figure { margin: 0 }
figcaption { font-size: .85em; max-width: 30em } img { display: block; max-height: 420px; background: #ddd }
.badge { padding: .1em .5em; border-radius: .6em; background: #dde8ff; font-weight: normal; font-size: .85em }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } .badge { background: #345 } }
"""


def write_sheet(rows: Sequence[Row], path: Path) -> None:
    """Write the contact sheet: a line of pictures for each image, titles above them."""
    lines = [np.concatenate([tile(panel) for panel in row.panels], axis=1) for row in rows]
    width = max(line.shape[1] for line in lines)
    padded = []
    for row, line in zip(rows, lines, strict=True):
        padded.append(texted(f'{row.source}: {osp.basename(row.name)}', width))
        padded.append(mmcv.impad(line, shape=(line.shape[0], width), pad_val=WHITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, cv2.imencode('.png', np.concatenate(padded))[1].tobytes())


def tile(panel: Panel) -> np.ndarray:
    """A picture at the sheet's height under its title, as far as the title fits."""
    height, width = panel.picture.shape[:2]
    size = (max(round(width * HEIGHT / height), 1), HEIGHT)
    picture = cv2.resize(panel.picture, size, interpolation=cv2.INTER_AREA if height > HEIGHT else cv2.INTER_NEAREST)
    titled = np.concatenate([texted(panel.title, size[0]), picture])
    return cv2.copyMakeBorder(titled, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=WHITE)


def texted(text: str, width: int) -> np.ndarray:
    """A white line (TITLE, width, 3) with a text."""
    line = np.full((TITLE, width, 3), 255, np.uint8)
    cv2.putText(line, text, (2, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return line


def write_page(rows: Sequence[Row], path: Path, title: str, checkpoint: str | None) -> None:
    """Write the page; pictures are in it, as data."""
    about = f'Candidates of the teacher of {checkpoint}.' if checkpoint else 'Without a checkpoint: no candidates.'
    body = ''.join(section(row) for row in rows)
    write_whole(
        path,
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f'<h1>What training sees: {escape(title)}</h1><p>{escape(about)}</p>{body}</body></html>\n',
    )


def section(row: Row) -> str:
    """An image's pictures."""
    figures = ''.join(figure(panel) for panel in row.panels)
    name = f'{escape(row.name)} <span class="badge">{row.source}</span>'
    return f'<section><h2>{name}</h2><div class="row">{figures}</div></section>\n'


def figure(panel: Panel) -> str:
    """A picture with its title below."""
    data = base64.b64encode(cv2.imencode('.jpg', panel.picture)[1].tobytes()).decode()
    text = escape(panel.title)
    return f'<figure><img alt="{text}" src="data:image/jpeg;base64,{data}"><figcaption>{text}</figcaption></figure>'
