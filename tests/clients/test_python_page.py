"""The code in docs/python.md runs and does what the page says."""

import asyncio
import http.server
import json
import re
import threading

import pytest

from served import ROOT

PAGE = (ROOT / "docs/python.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="session")
def page(url):
    """Runs the page's code in the repository's root, as a reader would, and returns its variables."""
    # An unoptimised server on a busy machine needs larger budgets than the page's.
    changes = {
        "http://127.0.0.1:8080": url,
        "budget_ms=1000": "budget_ms=3600000",
        "timeout=(2, 10)": "timeout=(600, 600)",
        "httpx.Timeout(10, connect=2)": "httpx.Timeout(600)",
    }
    scope = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for block in BLOCKS:
            for old, new in changes.items():
                block = block.replace(old, new)
            exec(compile(block, "docs/python.md", "exec"), scope)
    return scope


def test_the_code_of_the_page_runs(page):
    assert len(BLOCKS) >= 6
    assert page["answer"]["predictions"][0]["label"] == "ship"
    assert page["server"].classify((ROOT / "samples/ship.png").read_bytes())["predictions"][0]["label"] == "ship"


def test_each_parameter_does_what_the_page_says(page):
    assert (page["narrow"]["width"], page["narrow"]["reason"]) == (0.25, "requested")
    assert page["budgeted"]["predictions"] and page["accurate"]["width"] > 0
    assert page["confident"]["reason"] == "confident"
    assert len(page["widths"]["all_widths"]) > 1


def test_asyncio_answers_all_in_order(page):
    assert [answer["predictions"][0]["label"] for answer in page["answers"]] == ["ship"] * 8
    good, bad = asyncio.run(page["classify_all"]([page["ship"], b"GIF89a"]))
    assert good["predictions"][0]["label"] == "ship"
    assert (type(bad), bad.status, bad.code) == (page["ClassifyError"], 415, "unsupported_type")


def test_many_files_go_in_chunks(page):
    paths = [ROOT / "samples/ship.png", ROOT / "samples/shirt.png", ROOT / "samples/ship.png"]
    results = list(page["server"].classify_files(paths, chunk=2, top_k=1))
    assert [result["name"] for result in results] == ["ship.png", "shirt.png", "ship.png"]


def test_an_error_says_which_file(page, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes((ROOT / "samples/ship.png").read_bytes()[:200])
    with pytest.raises(page["ClassifyError"], match="broken.png") as raised:
        list(page["server"].classify_files([ROOT / "samples/ship.png", broken]))
    assert (raised.value.code, raised.value.file["index"]) == ("broken_image", 1)


class Busy(http.server.BaseHTTPRequestHandler):
    """A server that refuses twice, then answers."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        Busy.asked += 1
        status, body = (503, {"error": "no", "code": "overloaded", "retry_after_ms": 3})
        if Busy.asked % 3 == 0:
            status, body = (200, {"predictions": []})
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_what_is_refused_is_asked_again(page):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy) as busy:
        threading.Thread(target=busy.serve_forever).start()
        try:
            server = page["Anywidth"](f"http://127.0.0.1:{busy.server_port}")
            assert server.classify(b"image") == {"predictions": []}
            assert Busy.asked == 3
            with pytest.raises(page["ClassifyError"]):
                page["Anywidth"](server.url, tries=2).classify(b"image")
        finally:
            busy.shutdown()
