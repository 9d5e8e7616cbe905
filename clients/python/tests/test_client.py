"""Both clients against a running server."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from served import ROOT

from anywidth import BadRequest, BrokenImage, CannotBeMet, ConnectionFailed, NotFound, TooLarge, UnsupportedImage

SHIP = ROOT / "samples/ship.png"
SHIRT = ROOT / "samples/shirt.png"


def test_an_image_is_classified(client: Any) -> None:
    answer = client.classify(SHIP, top_k=2)
    assert (answer.model, answer.version, answer.width) == ("cifar10-lenet", "1", 1.0)
    assert (answer.top.label, len(answer.predictions)) == ("ship", 2)
    assert answer.top.probability > answer.predictions[1].probability
    assert (answer.late, answer.all_widths, answer.name) == (False, None, None)
    assert answer.timing_ms.total >= answer.timing_ms.inference > 0


def test_every_kind_of_image_gives_the_same_answer(client: Any) -> None:
    picture = PIL.Image.open(SHIP)
    pixels = np.asarray(picture.convert("RGB"))
    with SHIP.open("rb") as file:
        answers = [
            client.classify(image, width=0.5)
            for image in [SHIP, str(SHIP), SHIP.read_bytes(), memoryview(SHIP.read_bytes()), file, picture, pixels]
        ]
    assert len({answer.predictions for answer in answers}) == 1


def test_each_parameter_reaches_the_server(client: Any) -> None:
    half = client.classify(SHIP, width=0.5)
    assert (half.width, half.reason) == (0.5, "requested")
    assert client.classify(SHIP, width="auto", budget_ms=3600000, priority="high").predictions
    assert client.classify(SHIP, min_accuracy=0.5).width > 0
    assert client.classify(SHIP, confidence=0.2).reason == "confident"
    seven = client.classify(ROOT / "samples/seven.png", model="mnist", version="1", top_k=1)
    assert (seven.model, seven.top.label) == ("mnist", "7")


def test_all_widths_come_from_one_pass(client: Any) -> None:
    answer = client.classify(SHIP, all_widths=True, top_k=1)
    widths = [step.width for step in answer.all_widths]
    assert widths == sorted(widths)
    assert widths[-1] == 1.0
    assert answer.all_widths[-1].predictions == answer.predictions


def test_a_batch_is_answered_in_order(client: Any) -> None:
    answers = client.classify_batch([SHIP, SHIRT.read_bytes(), SHIP], width=0.25)
    assert [answer.name for answer in answers] == ["ship.png", "image-1", "ship.png"]
    assert answers[0].predictions == answers[2].predictions != answers[1].predictions
    assert {(answer.model, answer.width) for answer in answers} == {("cifar10-lenet", 0.25)}


def test_an_empty_batch_needs_no_request(client: Any) -> None:
    assert client.classify_batch([]) == []


def test_the_models_have_accuracies_and_limits(client: Any) -> None:
    models = client.models()
    lenet = models["cifar10-lenet"]
    assert models.default == lenet.name
    assert (lenet.input.channels, lenet.classes, lenet.labels[8]) == (3, 10, "ship")
    assert [step.width for step in lenet.accuracy][-1] == lenet.widths[-1] == 1.0
    assert models.limits.max_files > 1
    with pytest.raises(KeyError):
        models["none"]


def test_the_profile_has_latencies(client: Any) -> None:
    profile = client.profile()
    assert profile.workers > 0
    [images, latency_us] = profile.models[0].steps[0].latency_us[0]
    assert images == 1
    assert latency_us > 0


def test_the_server_is_ready(client: Any) -> None:
    client.wait_until_ready()
    assert client.is_ready()


def test_errors_have_their_meaning(client: Any) -> None:
    with pytest.raises(BadRequest, match="allowed") as bad:
        client.classify(SHIP, width=2)
    assert (bad.value.status, bad.value.code, bad.value.file) == (400, "bad_value", None)
    assert bad.value.request_id
    with pytest.raises(NotFound):
        client.classify(SHIP, model="none")
    with pytest.raises(UnsupportedImage):
        client.classify(b"GIF89a")
    with pytest.raises(BrokenImage):
        client.classify(SHIP.read_bytes()[:200])
    with pytest.raises(CannotBeMet):
        client.classify(SHIP, min_accuracy=1)
    with pytest.raises(TooLarge):
        client.classify_batch([b"x"] * (client.models().limits.max_files + 1))


def test_an_error_names_the_file_of_a_batch(client: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(SHIP.read_bytes()[:200])
    with pytest.raises(BrokenImage) as raised:
        client.classify_batch([SHIP, broken, BytesIO(SHIP.read_bytes())])
    assert raised.value.file is not None
    assert (raised.value.file.index, raised.value.file.name) == (1, "broken.png")


def test_a_server_that_is_not_there_is_said_to_be(connect: Any) -> None:
    nobody = connect("http://127.0.0.1:1")
    assert not nobody.is_ready()
    with pytest.raises(ConnectionFailed, match=r"http://127\.0\.0\.1:1/models"):
        nobody.models()
    with pytest.raises(ConnectionFailed):
        nobody.wait_until_ready(timeout=0)
