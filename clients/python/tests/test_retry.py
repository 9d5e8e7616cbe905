"""What is repeated, when, and what is sent then: against scripted answers, on a clock that only sleeping moves."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from anywidth import ConnectionFailed, DeadlineMissed, NotReady, Overloaded, ServerError

ANSWER = {
    "model": "m",
    "version": "1",
    "precision": "f32",
    "width": 1,
    "reason": "full",
    "predictions": [{"label": "ship", "index": 8, "probability": 0.9}],
    "timing_ms": {"queue": 0.1, "decode": 0.1, "inference": 0.4, "total": 0.6},
}
GOOD = httpx.Response(200, json=ANSWER)


def refusal(code: str = "overloaded", **fields: Any) -> httpx.Response:
    return httpx.Response(503, json={"error": "no", "code": code, **fields})


def test_a_refused_request_is_repeated_when_the_server_says(script: Any, time: Any) -> None:
    client, server = script(refusal(retry_after_ms=30), refusal("stopping", retry_after_ms=250), GOOD)
    assert client.classify(b"image", width=0.5).top.label == "ship"
    assert time.slept == [0.03, 0.25]
    assert [request.content for request in server.requests] == [b"image"] * 3
    assert server.queries() == [{"width": "0.5"}] * 3


def test_a_form_is_repeated_whole(script: Any) -> None:
    client, server = script(refusal(retry_after_ms=30), httpx.Response(200, json={**ANSWER, "results": [ANSWER] * 2}))
    assert len(client.classify_batch([b"one", b"two"])) == 2
    assert [request.content.count(b"filename=") for request in server.requests] == [2, 2]


def test_the_header_says_when_if_the_body_does_not(script: Any, time: Any) -> None:
    client, _ = script(httpx.Response(503, headers={"Retry-After": "2"}, text="<html>"), GOOD)
    client.classify(b"image")
    assert time.slept == [2.0]


def test_the_number_of_retries_is_bounded(script: Any, time: Any) -> None:
    client, server = script(refusal(retry_after_ms=10), max_retries=2)
    with pytest.raises(Overloaded) as raised:
        client.classify(b"image")
    assert (raised.value.code, raised.value.retry_after) == ("overloaded", 0.01)
    assert (len(server.requests), time.slept) == (3, [0.01, 0.01])


def test_no_retry_ends_after_the_budget(script: Any, time: Any) -> None:
    client, server = script(refusal(retry_after_ms=30))
    with pytest.raises(Overloaded):
        client.classify(b"image", budget_ms=70)
    # After 60 ms another 30 would be too many.
    assert time.slept == [0.03, 0.03]
    assert [float(query["budget_ms"]) for query in server.queries()] == pytest.approx([70, 40, 10])


def test_no_retry_ends_after_the_timeout(script: Any, time: Any) -> None:
    client, _ = script(refusal(retry_after_ms=3000), timeout=5.0)
    with pytest.raises(Overloaded):
        client.classify(b"image")
    assert time.slept == [3.0]


def test_oversleeping_the_budget_ends_the_call(script: Any, time: Any) -> None:
    def oversleep(seconds: float) -> None:
        time.now += seconds + 1

    time.sleep = oversleep
    client, server = script(refusal(retry_after_ms=30), GOOD)
    with pytest.raises(Overloaded):
        client.classify(b"image", budget_ms=70)
    assert len(server.requests) == 1


def test_an_attempt_ends_with_the_call(script: Any) -> None:
    client, server = script(refusal(retry_after_ms=500), GOOD, timeout=5.0)
    client.classify(b"image")
    client.classify(b"image", budget_ms=100)
    assert [request.extensions["timeout"]["read"] for request in server.requests] == pytest.approx([5, 4.5, 1.1])


@pytest.mark.parametrize("budget_ms", [-1, 0, float("nan"), float("inf")])
def test_a_budget_out_of_range_is_left_to_the_server(script: Any, budget_ms: float) -> None:
    client, server = script(httpx.Response(400, json={"error": "no", "code": "bad_value"}))
    with pytest.raises(Exception, match="bad_value"):
        client.classify(b"image", budget_ms=budget_ms)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(), Overloaded),  # It does not say when.
        (httpx.Response(503, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), Overloaded),
        (httpx.Response(504, json={"error": "late", "code": "deadline"}), DeadlineMissed),
        (httpx.Response(500, json={"error": "no", "code": "internal"}), ServerError),
        (httpx.Response(502, text="bad gateway"), ServerError),
        (httpx.ConnectError("refused"), ConnectionFailed),
        (httpx.ReadTimeout(""), ConnectionFailed),
    ],
)
def test_nothing_else_is_repeated(script: Any, time: Any, answer: Any, error: type[Exception]) -> None:
    client, server = script(answer)
    with pytest.raises(error):
        client.classify(b"image")
    assert (len(server.requests), time.slept) == (1, [])


def test_waiting_until_ready_looks_again(script: Any, time: Any) -> None:
    warming = httpx.Response(503, json={"ready": False, "error": "warming up", "code": "not_ready"})
    client, server = script(httpx.ConnectError("refused"), warming, httpx.Response(200, json={"ready": True}))
    client.wait_until_ready(timeout=10)
    assert len(server.requests) == 3
    assert {request.url.path for request in server.requests} == {"/readyz"}


def test_waiting_until_ready_ends(script: Any, time: Any) -> None:
    client, _ = script(httpx.Response(503, json={"ready": False, "error": "warming up", "code": "not_ready"}))
    assert not client.is_ready()
    with pytest.raises(NotReady, match="warming up"):
        client.wait_until_ready(timeout=1)
    assert sum(time.slept) < 1


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", json.dumps({**ANSWER, "width": "wide"}).encode()])
def test_an_answer_that_is_no_answer_is_an_error(script: Any, body: bytes) -> None:
    client, _ = script(httpx.Response(200, content=body))
    with pytest.raises(ServerError, match="answer"):
        client.classify(b"image")


@pytest.mark.parametrize("results", [None, [], [ANSWER], [ANSWER, 1]])
def test_a_batch_without_an_answer_for_each_is_an_error(script: Any, results: Any) -> None:
    client, _ = script(httpx.Response(200, json={**ANSWER, "results": results}))
    with pytest.raises(ServerError, match="not 2 results"):
        client.classify_batch([b"one", b"two"])


def test_fields_of_a_newer_server_are_ignored(script: Any) -> None:
    client, _ = script(httpx.Response(200, json={**ANSWER, "novelty": [1]}))
    assert client.classify(b"image").top.label == "ship"


def test_a_path_before_the_server_is_kept(connect: Any) -> None:
    paths = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return httpx.Response(200, json=ANSWER)

    connect("http://proxy/vision/", transport=httpx.MockTransport(answer)).classify(b"image")
    assert paths == ["/vision/classify"]
