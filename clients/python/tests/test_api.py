"""The clients say what the server's API says: names of parameters and fields, and every code."""

from __future__ import annotations

import dataclasses
import inspect
import json
import pickle
import re
from typing import Any, Callable

import httpx
import pytest
from served import ROOT

import anywidth
from anywidth import AnywidthError, AsyncClient, Client
from anywidth._errors import error_of
from anywidth._parameters import Parameters

METHODS = [Client.classify, Client.classify_batch, AsyncClient.classify, AsyncClient.classify_batch]
# Classes whose names are not the schema's.
SCHEMAS = {"Timing": "Milliseconds", "WidthAccuracy": "Accuracy", "Limits": "BodyLimits", "Profile": "Profiles"}


@pytest.fixture(scope="module")
def openapi(url: str) -> Any:
    return httpx.get(f"{url}/openapi.json").json()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__qualname__)
def test_parameters_have_the_names_of_the_api(method: Callable[..., Any], openapi: Any) -> None:
    parameters = openapi["paths"]["/classify"]["post"]["parameters"]
    query = [parameter["name"] for parameter in parameters if parameter["in"] == "query"]
    options = [option for option in inspect.signature(method).parameters.values() if option.kind is option.KEYWORD_ONLY]
    assert [option.name for option in options] == query
    assert [(option.name, option.default) for option in options] == [
        (field.name, field.default) for field in dataclasses.fields(Parameters)
    ]


@pytest.mark.parametrize("method", ["classify", "classify_batch"])
def test_every_parameter_is_sent_under_its_name(script: Any, method: str) -> None:
    options = {field.name: f"a {field.name}" for field in dataclasses.fields(Parameters)}
    options["budget_ms"] = 20  # type: ignore[assignment]
    client, server = script(httpx.Response(400))
    with pytest.raises(AnywidthError):
        getattr(client, method)(b"image" if method == "classify" else [b"image"], **options)
    assert server.queries() == [{**options, "budget_ms": "20"}]


def test_values_are_written_as_the_server_reads_them() -> None:
    query = Parameters(width=1e-05, min_accuracy=0, top_k=3, all_widths=True, version=1).query(0)
    assert query == {"width": "0.00001", "min_accuracy": "0", "top_k": "3", "all_widths": "true", "version": "1"}
    assert Parameters(all_widths=False).query(0) == {}


def fields(schema: Any, openapi: Any) -> set[str]:
    if "$ref" in schema:
        schema = openapi["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    parts = [fields(part, openapi) for part in schema.get("allOf", [])]
    return set(schema.get("properties", {})).union(*parts)


def test_answers_have_the_fields_of_the_api(openapi: Any) -> None:
    schemas = openapi["components"]["schemas"]
    classes = [value for value in vars(anywidth).values() if dataclasses.is_dataclass(value)]
    assert len(classes) > 10
    for kind in classes:
        name = getattr(kind, "__name__", "")
        ours = {field.name for field in dataclasses.fields(kind)}
        if name == "Answer":  # To one image, or to one of several.
            assert ours == fields(schemas["AnswerToOne"], openapi) | fields(schemas["File"], openapi)
        else:
            assert ours == fields(schemas[SCHEMAS.get(name, name)], openapi), name


def test_every_code_has_an_error(openapi: Any) -> None:
    table = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    codes = openapi["components"]["schemas"]["Error"]["properties"]["code"]["enum"]
    assert {code for _, code in table} >= set(codes)
    for status, code in table:
        error = error_of(httpx.Response(int(status), json={"error": "why", "code": code}))
        assert type(error) is not AnywidthError, code
        assert (str(error), error.message) == (f"{status} {code}: why", "why")


def test_what_a_proxy_says_is_kept() -> None:
    error = error_of(httpx.Response(429, text="slow down"))
    assert (type(error), str(error), error.code) == (AnywidthError, "429: slow down", None)
    # It has no deadline: this is the proxy's patience, not the caller's.
    assert type(error_of(httpx.Response(504))) is anywidth.ServerError


def test_errors_survive_a_process_pool() -> None:
    response = httpx.Response(503, json={"error": "no", "code": "overloaded", "retry_after_ms": 5})
    copy = pickle.loads(pickle.dumps(error_of(response)))
    assert (type(copy), copy.code, copy.retry_after) == (anywidth.Overloaded, "overloaded", 0.005)


def test_everything_public_is_documented() -> None:
    for name in anywidth.__all__:
        value = getattr(anywidth, name)
        if inspect.isclass(value):
            assert value.__doc__, name


def test_the_documented_openapi_is_the_served_one(openapi: Any) -> None:
    assert openapi["paths"].keys() == json.loads((ROOT / "docs/openapi.json").read_text())["paths"].keys()
