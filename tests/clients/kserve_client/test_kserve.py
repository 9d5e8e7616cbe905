"""KServe's Python client, unpatched, over REST and gRPC: every answer is the one of /classify."""

import asyncio

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from open_inference import FP32, MODEL, UINT8, classify, png_of, wait_until_ready


def request(binary, parameters):
    image = InferInput(name="image", shape=list(FP32.shape), datatype="FP32")
    image.set_data_from_numpy(FP32, binary_data=binary)
    return InferRequest(
        model_name=MODEL, infer_inputs=[image], parameters=parameters
    )


def probabilities(response):
    output = next(out for out in response.outputs if out.name == "probabilities")
    return output.as_numpy()[0]


@pytest.mark.parametrize("binary", [False, True])
def test_rest(url, binary):
    async def run():
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        assert await client.is_server_live(url)
        assert await client.is_server_ready(url)
        assert await client.is_model_ready(url, MODEL)
        return await client.infer(
            url, request(binary, {"width": 0.5}), model_name=MODEL
        )

    wait_until_ready(url)
    response = asyncio.run(run())
    expected = classify(url, png_of(UINT8[0]), 0.5)
    np.testing.assert_allclose(probabilities(response), expected, atol=1e-6)
    assert response.parameters["width"] == 0.5


# Its gRPC messages have no floating-point parameters, so the width is a string.
def test_grpc(url):
    async def run():
        async with InferenceGRPCClient(url.removeprefix("http://")) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready(MODEL)
            return await client.infer(request(True, {"width": "0.5"}))

    wait_until_ready(url)
    response = asyncio.run(run())
    expected = classify(url, png_of(UINT8[0]), 0.5)
    np.testing.assert_allclose(probabilities(response), expected, atol=1e-6)
