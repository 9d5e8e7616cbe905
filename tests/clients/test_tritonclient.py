"""NVIDIA's client, unpatched, over HTTP and gRPC: every answer is the one of /classify."""

import asyncio

import numpy as np
import pytest
import requests
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http
import tritonclient.http.aio as http_aio
from open_inference import FP32, MODEL, PNG, UINT8, classify, png_of, wait_until_ready
from tritonclient.utils import InferenceServerException

PROTOCOLS = [pytest.param(http, id="http"), pytest.param(grpc, id="grpc")]
INPUTS = [
    pytest.param("FP32", FP32, png_of(UINT8[0]), id="fp32"),
    pytest.param("UINT8", UINT8, png_of(UINT8[0]), id="uint8"),
    pytest.param("BYTES", np.array([PNG], dtype=np.object_), PNG, id="bytes"),
]


def host(url):
    return url.removeprefix("http://")


def tensor(protocol, datatype, array, **options):
    tensor = protocol.InferInput("image", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, **options)
    return tensor


def told(result):
    """The parameters of an answer."""
    response = result.get_response()
    if isinstance(response, dict):
        return response["parameters"]
    values = response.parameters.items()
    return {
        name: getattr(value, value.WhichOneof("parameter_choice"))
        for name, value in values
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_server_describes_itself_and_its_models(url, protocol):
    wait_until_ready(url)
    client = protocol.InferenceServerClient(host(url))
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready(MODEL) and client.is_model_ready(MODEL, "1")
    assert not client.is_model_ready("nothing")
    as_json = {} if protocol is http else {"as_json": True}
    assert client.get_server_metadata(**as_json)["name"] == "anywidth"
    metadata = client.get_model_metadata(MODEL, **as_json)
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["image"]
    shape = metadata["inputs"][0]["shape"]
    assert [int(dimension) for dimension in shape] == [-1, 3, 32, 32]
    outputs = [tensor["name"] for tensor in metadata["outputs"]]
    assert outputs == ["logits", "probabilities"]
    config = client.get_model_config(MODEL, **as_json)
    config = config.get("config", config)
    assert int(config["max_batch_size"]) == 64
    index = client.get_model_repository_index(**as_json)
    index = index if protocol is http else index["models"]
    assert {entry["name"]: entry["state"] for entry in index}[MODEL] == "READY"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("width", [0.25, 1.0])
@pytest.mark.parametrize(("datatype", "array", "image"), INPUTS)
def test_answers_are_those_of_classify(url, protocol, width, datatype, array, image):
    client = protocol.InferenceServerClient(host(url))
    inputs = [tensor(protocol, datatype, array)]
    result = client.infer(
        MODEL, inputs, parameters={"width": width}, request_id="a name"
    )
    expected = classify(url, image, width)
    np.testing.assert_allclose(
        result.as_numpy("probabilities")[0], expected, atol=1e-6
    )
    assert result.as_numpy("logits").argmax() == np.argmax(expected)
    assert told(result)["width"] == width
    assert told(result)["reason"] == "requested"
    response = result.get_response()
    name = response["id"] if isinstance(response, dict) else response.id
    assert name == "a name"


def test_json_and_binary_tensors_say_the_same(url):
    client = http.InferenceServerClient(host(url))
    answers = []
    for binary in [True, False]:
        inputs = [tensor(http, "FP32", FP32, binary_data=binary)]
        outputs = [http.InferRequestedOutput("logits", binary_data=binary)]
        result = client.infer(MODEL, inputs, outputs=outputs, headers={"x-width": "0.5"})
        answers.append(result.as_numpy("logits"))
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_requests_may_be_compressed(url, algorithm):
    client = http.InferenceServerClient(host(url))
    result = client.infer(
        MODEL,
        [tensor(http, "FP32", FP32)],
        parameters={"width": 1.0},
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    expected = classify(url, png_of(UINT8[0]), 1.0)
    np.testing.assert_allclose(
        result.as_numpy("probabilities")[0], expected, atol=1e-6
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_batch_is_its_images(url, protocol):
    client = protocol.InferenceServerClient(host(url))
    images = np.concatenate([UINT8, 255 - UINT8, np.zeros_like(UINT8)])
    outputs = [protocol.InferRequestedOutput("probabilities")]
    result = client.infer(
        MODEL,
        [tensor(protocol, "UINT8", images)],
        outputs=outputs,
        parameters={"width": 0.5},
    )
    expected = [classify(url, png_of(image), 0.5) for image in images]
    np.testing.assert_allclose(result.as_numpy("probabilities"), expected, atol=1e-6)
    assert told(result)["widths"] == "0.5,0.5,0.5"
    assert result.as_numpy("logits") is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_classification_names_the_classes(url, protocol):
    client = protocol.InferenceServerClient(host(url))
    outputs = [protocol.InferRequestedOutput("probabilities", class_count=2)]
    result = client.infer(
        MODEL, [tensor(protocol, "FP32", FP32)], outputs=outputs
    )
    classes = result.as_numpy("probabilities")
    assert classes.shape == (1, 2)
    score, index, label = classes[0, 0].decode().split(":")
    models = requests.get(f"{url}/models").json()["models"]
    labels = next(model["labels"] for model in models if model["name"] == MODEL)
    assert labels[int(index)] == label and 0 < float(score) <= 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_statistics_count_requests(url, protocol):
    client = protocol.InferenceServerClient(host(url))
    client.infer(MODEL, [tensor(protocol, "FP32", FP32)])
    as_json = {} if protocol is http else {"as_json": True}
    statistics = client.get_inference_statistics(MODEL, **as_json)["model_stats"]
    assert statistics[0]["name"] == MODEL
    assert int(statistics[0]["inference_stats"]["success"]["count"]) > 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": {"width": 1.5}}, 'bad value "1.5" of the parameter "width"'),
        ({"parameters": {"widht": 1.0}}, 'did you mean "width"'),
        ({"model_name": "nothing"}, 'there is no model "nothing"'),
        ({"model_version": "9"}, "has no version 9"),
        ({"model_version": "one"}, "is not a whole number"),
        ({"timeout": 1}, "cannot be met"),
    ],
)
def test_errors_say_what_is_wrong(url, protocol, options, message):
    client = protocol.InferenceServerClient(host(url))
    arguments = {"model_name": MODEL, "inputs": [tensor(protocol, "FP32", FP32)]}
    with pytest.raises(InferenceServerException) as error:
        client.infer(**{**arguments, **options})
    assert message in error.value.message()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("datatype", "array", "message"),
    [
        ("FP32", np.zeros((1, 32, 32, 3), np.float32), "channels are last"),
        ("FP32", np.zeros((1, 3, 30, 30), np.float32), "allowed: [N, 3, 32, 32]"),
        ("FP32", np.full((1, 3, 32, 32), np.nan, np.float32), "not a number"),
        ("FP64", np.zeros((1, 3, 32, 32)), 'the datatype is "FP64"'),
        ("UINT8", np.zeros((65, 3, 32, 32), np.uint8), "limit of 64 images"),
        ("BYTES", np.array([b"no image"], np.object_), "not"),
    ],
)
def test_bad_tensors_are_refused(url, protocol, datatype, array, message):
    client = protocol.InferenceServerClient(host(url))
    with pytest.raises(InferenceServerException) as error:
        client.infer(MODEL, [tensor(protocol, datatype, array)])
    assert message in error.value.message()


def test_many_requests_share_a_connection(url):
    async def run():
        over_http = http_aio.InferenceServerClient(host(url))
        over_grpc = grpc_aio.InferenceServerClient(host(url))
        async with over_http, over_grpc:
            calls = [
                client.infer(
                    MODEL,
                    [tensor(protocol, "FP32", FP32)],
                    parameters={"width": width},
                )
                for width in [0.25, 0.5, 1.0] * 10
                for client, protocol in [(over_http, http), (over_grpc, grpc)]
            ]
            return await asyncio.gather(*calls)

    results = asyncio.run(run())
    widths = [told(result)["width"] for result in results]
    assert widths == [width for width in [0.25, 0.5, 1.0] * 10 for _ in range(2)]
