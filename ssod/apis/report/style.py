"""The look of the page, and the little that moves in it."""

CSS = """
:root { --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --back: #ffffff; --panel: #f6f8fa; --good: #1a7f37;
  --bad: #cf222e; --mark: #0969da; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); }
header, main { max-width: 1200px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 24px; }
h1 { font-size: 26px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 36px 0 10px; padding-top: 10px; border-top: 1px solid var(--line); }
nav { position: sticky; top: 0; background: var(--back); border-bottom: 1px solid var(--line); z-index: 5; }
nav div { max-width: 1200px; margin: 0 auto; padding: 8px 24px; display: flex; flex-wrap: wrap; gap: 4px 18px; }
nav a { color: var(--mark); text-decoration: none; font-size: 14px; }
.lead { color: var(--soft); margin: 0 0 14px; }
.verdict { font-size: 17px; padding: 12px 16px; border-left: 4px solid var(--mark); background: var(--panel); }
.verdict.helps { border-color: var(--good); } .verdict.hurts { border-color: var(--bad); }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 14px 0; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 8px 16px; }
.card b { display: block; font-size: 20px; } .card span { color: var(--soft); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 520px), 1fr)); gap: 16px; }
.chart { border: 1px solid var(--line); border-radius: 8px; padding: 6px; min-width: 0; background: #fff; }
.chart.drawn svg { width: 100%; height: auto; display: block; }
[data-chart] { height: 374px; }
.note { color: var(--soft); font-size: 13px; margin: 4px 8px; }
.scroll { overflow-x: auto; max-height: 560px; overflow-y: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; font-size: 14px; width: 100%; }
th, td { padding: 5px 12px; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
thead th { position: sticky; top: 0; background: var(--panel); z-index: 1; }
table.sortable th { cursor: pointer; user-select: none; white-space: nowrap; }
table.sortable th::after { content: ' \\2195'; color: var(--line); }
table.sortable th[aria-sort=ascending]::after { content: ' \\2191'; color: var(--mark); }
table.sortable th[aria-sort=descending]::after { content: ' \\2193'; color: var(--mark); }
td code, p code { font-size: 13px; overflow-wrap: anywhere; }
table.confusion { width: auto; } table.confusion td { text-align: right; min-width: 52px; color: #1f2328; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 380px), 1fr)); gap: 14px; }
figure { margin: 0; } figure img { width: 100%; border: 1px solid var(--line); border-radius: 6px; }
figcaption { font-size: 13px; color: var(--soft); overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 13px; margin: 40px 0; }
"""

# Sorting by a click: numbers by value, empty cells last; and plotly's charts, if it is there.
SCRIPT = """
for (const table of document.querySelectorAll('table.sortable')) {
  table.querySelectorAll('th').forEach((head, column) => {
    head.tabIndex = 0;
    const sort = () => {
      const down = head.getAttribute('aria-sort') !== 'descending';
      table.querySelectorAll('th').forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const body = table.tBodies[0], sign = down ? -1 : 1;
      const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === '' || y === '') return (x === '') - (y === '');
        return sign * (head.classList.contains('number') ? x - y : x.localeCompare(y));
      });
      body.append(...rows);
    };
    head.addEventListener('click', sort);
    head.addEventListener('keydown', event => { if (event.key === 'Enter') sort(); });
  });
}
for (const place of document.querySelectorAll('[data-chart]')) {
  const chart = JSON.parse(document.getElementById('charts').textContent)[place.dataset.chart];
  Plotly.newPlot(place, chart.data, chart.layout, {responsive: true, displaylogo: false});
}
"""
