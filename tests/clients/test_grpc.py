"""A gRPC client that knows nothing of the protocol but what reflection tells, and the standard health check."""

import grpc
import numpy as np
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from open_inference import FP32, MODEL, UINT8, classify, png_of, wait_until_ready


def test_reflection_is_enough_to_classify(url):
    with grpc.insecure_channel(url.removeprefix("http://")) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        name = "inference.GRPCInferenceService"
        assert {name, "grpc.health.v1.Health"} <= set(database.get_services())
        method = DescriptorPool(database).FindServiceByName(name).methods_by_name["ModelInfer"]
        call = channel.unary_unary(
            f"/{name}/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        request = GetMessageClass(method.input_type)(model_name=MODEL)
        image = request.inputs.add(name="image", datatype="FP32", shape=FP32.shape)
        image.contents.fp32_contents.extend(FP32.ravel())
        # A header of HTTP is metadata of gRPC.
        answer = call(request, metadata=[("x-width", "0.25")])
    outputs = {output.name: output.contents.fp32_contents for output in answer.outputs}
    expected = classify(url, png_of(UINT8[0]), 0.25)
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-6)


def test_the_health_check_is_the_standard_one(url):
    wait_until_ready(url)
    with grpc.insecure_channel(url.removeprefix("http://")) as channel:
        for service in ["", "inference.GRPCInferenceService"]:
            health = HealthStub(channel).Check(HealthCheckRequest(service=service))
            assert health.status == HealthCheckResponse.SERVING


def test_a_deadline_is_a_budget(url):
    with grpc.insecure_channel(url.removeprefix("http://")) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        # An empty request: it fails for what it lacks, and not for its generous deadline.
        try:
            infer(b"", timeout=60)
            raise AssertionError("an empty request has no answer")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND
            assert dict(error.trailing_metadata())["anywidth-code"] == "no_such_model"
