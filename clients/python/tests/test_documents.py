"""The Python code of the documents runs and does what they say."""

from __future__ import annotations

import re
from typing import Any

import pytest
from served import ROOT

import anywidth

PAGE = "docs/clients.md"
# An unoptimised server on a busy machine needs more time than the page's calls allow.
CHANGES = {'("http://127.0.0.1:8080")': '("{url}", timeout=600)', "budget_ms=1000": "budget_ms=3600000"}


def run(document: str, url: str) -> dict[str, Any]:
    """Runs the code of a document in the repository's root, as a reader would, and returns its variables."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    scope: dict[str, Any] = {}
    for block in blocks:
        for old, new in CHANGES.items():
            block = block.replace(old, new.format(url=url))
        exec(compile(block, document, "exec"), scope)
    return scope


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_code_of_the_page_runs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = run(PAGE, url)
    page["client"].close()
    assert page["answer"].top.label == "ship"
    assert (page["narrow"].width, page["sure"].reason) == (0.25, "confident")
    assert len(page["steps"]) > 1
    assert [answer.name for answer in page["batch"]] == ["ship.png", "shirt.png"]
    assert page["accuracy"][1.0] > 0.8
    assert [answer.top.label for answer in page["answers"]] == ["ship"] * 8
    assert '400 bad_value bad value "2" of ' in capsys.readouterr().out


@pytest.mark.parametrize("document", ["README.md", "clients/python/README.md"])
def test_the_code_of_the_readme_runs(url: str, document: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(document, url)
    assert capsys.readouterr().out.startswith("ship")


def test_the_page_lists_every_error() -> None:
    classes = [
        name for name, value in vars(anywidth).items() if isinstance(value, type) and issubclass(value, Exception)
    ]
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / PAGE).read_text(), re.MULTILINE)
    assert sorted([*rows, "AnywidthError"]) == sorted(classes)
