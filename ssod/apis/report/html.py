"""Pieces of HTML. Whatever comes from a file, a name of a class or of an image, is escaped here."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any


def paragraph(text: str, kind: str = '') -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f'<p>{escape(text)}</p>'


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], sortable: bool = False, name: str = '') -> str:
    """A table; a column whose values are numbers or None is aligned as such and sorted by value.

    Args:
        head: titles of the columns.
        rows: strings, numbers, or None for an empty cell.
        sortable: a click on a title sorts.
        name: ``id`` of the table.
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(head)
    numeric = [
        any(value is not None for value in column) and all(value is None or is_number(value) for value in column)
        for column in columns
    ]
    titles = ''.join(f'<th{" class=number" if n else ""}>{escape(t)}</th>' for t, n in zip(head, numeric, strict=True))
    body = ''.join(
        '<tr>' + ''.join(cell(value, n) for value, n in zip(row, numeric, strict=True)) + '</tr>' for row in rows
    )
    attributes = f'{" class=sortable" if sortable else ""}{f" id={escape(name)}" if name else ""}'
    return f'<div class="scroll"><table{attributes}><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(value: Any, numeric: bool) -> str:
    """A cell of a table."""
    if value is None:
        return '<td class=number data-value=""></td>' if numeric else '<td data-value=""></td>'
    if not is_number(value):
        return f'<td>{escape(str(value))}</td>'
    text = f'{value:,}' if isinstance(value, int) else f'{value:.2f}' if abs(value) <= 1 else f'{value:.1f}'
    return f'<td class=number data-value="{value}">{text}</td>'


def is_number(value: Any) -> bool:
    """Whether a cell is a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def card(value: str, what: str) -> str:
    """A figure and what it is."""
    return f'<div class="card"><b>{escape(value)}</b><span>{escape(what)}</span></div>'


def picture(content: bytes, caption: str) -> str:
    """A JPEG in the page itself."""
    data = base64.b64encode(content).decode()
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/jpeg;base64,{data}">'
        f'<figcaption>{escape(caption)}</figcaption></figure>'
    )


def heat(table_: Sequence[Sequence[int]], rows: Sequence[str], columns: Sequence[str], name: str) -> str:
    """A table of counts, each row shaded by its shares; the diagonal is what is right."""
    lines = []
    for i, (title, counts) in enumerate(zip(rows, table_, strict=True)):
        total = sum(counts) or 1
        cells = ''.join(
            f'<td title="{100 * count / total:.1f} %" style="background: rgba'
            f'({"45,164,78" if i == j else "207,34,46"},{0.75 * count / total:.2f})">{count:,}</td>'
            for j, count in enumerate(counts)
        )
        lines.append(f'<tr><th>{escape(title)}</th>{cells}</tr>')
    head = ''.join(f'<th>{escape(title)}</th>' for title in columns)
    return (
        f'<div class="scroll"><table class="confusion" id="{escape(name)}"><thead><tr><th>true \\ found</th>{head}</tr>'
        f'</thead><tbody>{"".join(lines)}</tbody></table></div>'
    )
