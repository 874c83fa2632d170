"""The notebook, executed from its first cell to its last on tiny data; and as it is saved."""

import json
import sys
from pathlib import Path

import nbformat
import pytest
from runs import ENV, QUICK, ROOT

PATH = ROOT / 'demo/tour.ipynb'
# A cell behind that of the parameters.
TINY = f"""
IMAGES, LABELED = 24, 10
SETTINGS = { ({**QUICK, 'custom_hooks.0.ramp': 0})!r}
"""


@pytest.fixture
def book() -> nbformat.NotebookNode:
    return nbformat.read(PATH, as_version=4)


def test_it_is_saved_without_outputs(book):
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == 'code']
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert [cell for cell in code if 'parameters' in cell.metadata.get('tags', ())] == code[:1]


@pytest.mark.long
def test_it_runs_from_raw_folders_to_a_verdict(book, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    kernel = tmp_path / 'jupyter/kernels/python3'
    kernel.mkdir(parents=True)
    argv = [sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}']
    (kernel / 'kernel.json').write_text(json.dumps(dict(argv=argv, display_name='this Python', language='python')))
    for name, value in {**ENV, 'JUPYTER_PATH': str(tmp_path / 'jupyter'), 'MPLBACKEND': 'Agg'}.items():
        monkeypatch.setenv(name, value)
    book.cells.insert(1 + [cell.cell_type for cell in book.cells].index('code'), nbformat.v4.new_code_cell(TINY))
    NotebookClient(book, timeout=600, resources={'metadata': {'path': str(tmp_path)}}).execute()

    printed = '\n'.join(
        output.text for cell in book.cells for output in cell.get('outputs', ()) if output.output_type == 'stream'
    )
    assert 'soft-teacher' not in printed  # nothing was cloned
    verdict = json.loads((tmp_path / 'work_dirs/shapes/soft_teacher/compare/verdict.json').read_text())
    assert verdict['sentence'] in printed
    assert Path(tmp_path / 'browse/index.html').is_file()
    assert sum('image/png' in output.get('data', ()) for cell in book.cells for output in cell.get('outputs', ())) == 3
