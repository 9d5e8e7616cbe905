"""A client that openapi-python-client generates from /openapi.json can call the server."""

import importlib
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from served import ROOT

SHIP = ROOT / "samples/ship.png"
SHIRT = ROOT / "samples/shirt.png"


@pytest.fixture(scope="session")
def generated(url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    bin = Path(sys.executable).parent
    done = subprocess.run(
        [bin / "openapi-python-client", "generate", "--url", f"{url}/openapi.json", "--output-path", folder / "client"],
        env={**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder / "client"))
    yield importlib.import_module("anywidth_client")
    sys.path.remove(str(folder / "client"))


@pytest.fixture
def client(generated, url):
    return generated.Client(base_url=url, timeout=600)


def module(name):
    return importlib.import_module(f"anywidth_client.{name}")


def file(path):
    return module("types").File(payload=BytesIO(path.read_bytes()), file_name=path.name, mime_type="image/png")


def classify(client, body, **parameters):
    return module("api.classify.classify").sync(client=client, body=body, **parameters)


def test_one_image(client):
    answer = classify(client, file(SHIP))
    assert (answer.model, answer.predictions[0].label) == ("cifar10-lenet", "ship")


def test_a_form(client):
    form = module("models.form").Form(image=[file(SHIP), file(SHIRT)])
    answer = classify(client, form, width=0.5, top_k=1)
    assert [result.name for result in answer.results] == ["ship.png", "shirt.png"]
    assert [result.width for result in answer.results] == [0.5, 0.5]
    assert [len(result.predictions) for result in answer.results] == [1, 1]


def test_a_form_of_one_file(client):
    answer = classify(client, module("models.form").Form(image=[file(SHIP)]))
    assert [result.name for result in answer.results] == ["ship.png"]


def test_every_parameter(client):
    priority = module("models.classify_priority").ClassifyPriority.HIGH
    auto = module("models.classify_width_type_1").ClassifyWidthType1.AUTO
    for parameters in [
        {"width": auto, "budget_ms": 3600000.0, "min_accuracy": 0.5, "priority": priority, "model": "cifar10-lenet", "version": 1},
        {"all_widths": True, "top_k": 2, "x_width": "0.5", "x_latency_budget_ms": 3600000.0, "x_request_id": "a-1"},
        {"confidence": 0.5},
    ]:
        assert classify(client, file(SHIP), **parameters).predictions, parameters


def test_errors(client):
    error = classify(client, file(SHIP), width=2.0)
    assert (error.code, error.retry_after_ms) == ("bad_value", module("types").UNSET)
    broken = module("types").File(payload=BytesIO(SHIP.read_bytes()[:200]), file_name="broken.png")
    error = classify(client, module("models.form").Form(image=[file(SHIP), broken]))
    assert (error.code, error.file.index, error.file.name) == ("broken_image", 1, "broken.png")


def test_everything_else(client):
    assert module("api.health.ready").sync(client=client) is not None
    assert "cifar10" in [model.name for model in module("api.models.models").sync(client=client).models]
    step = module("api.profile.profile").sync(client=client).models[0].steps[0]
    assert step.latency_us[0][0] == 1 and step.latency_us[0][1] > 0
    assert "anywidth_requests_total" in module("api.metrics.metrics").sync_detailed(client=client).content.decode()
