"""The notebook runs from its first cell to its last, and draws what it announces."""

from __future__ import annotations

import copy

import nbformat
import pytest
from nbclient import NotebookClient
from served import ROOT

FOLDER = ROOT / "clients/python"
NOTEBOOK = nbformat.read(FOLDER / "notebook.ipynb", as_version=4)  # type: ignore[no-untyped-call]
# A small run, for which an unoptimised server on a busy machine has time.
CHANGES = {
    "http://127.0.0.1:8080": None,
    "REPEATS = 50": "REPEATS = 2",
    "BURST_FORMS = 60": "BURST_FORMS = 3",
    "FORM_IMAGES = 32": "FORM_IMAGES = 4",
    "client = Client(URL)": "client = Client(URL, timeout=600)",
    "AsyncClient(URL)": "AsyncClient(URL, timeout=600)",
}


def test_the_notebook_is_stored_without_outputs() -> None:
    assert [cell for cell in NOTEBOOK.cells if cell.get("outputs") or cell.get("execution_count")] == []


def test_the_notebook_runs(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = copy.deepcopy(NOTEBOOK)
    source = "\n".join(cell.source for cell in notebook.cells)
    for old, new in CHANGES.items():
        assert source.count(old) == 1, old
        for cell in notebook.cells:
            cell.source = cell.source.replace(old, new or url)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": FOLDER}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    text = "".join(output.get("text", "") for output in outputs)
    assert len(figures) == 4
    assert "12 of 12 images answered, 0 of them late" in text
    assert "errors: {}" in text
