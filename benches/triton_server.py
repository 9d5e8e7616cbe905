"""Triton Inference Server with one dense network behind ONNX Runtime, on one thread: a peer of benches/load.py.

    triton_server.py PORT MODEL.onnx

Triton's wheel has the Python backend only, so ONNX Runtime runs in a callback. Takes `[3, 32, 32]` pixels of 0..1 as 32-bit
floats, in batches of up to 8, without waiting for more.
"""

import sys

import numpy as np
import onnxruntime
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


def main():
    port = int(sys.argv[1])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[2], options, providers=["CPUExecutionProvider"])

    @batch
    def infer(image):
        return {"logits": session.run(None, {"image": image})[0]}

    config = TritonConfig(http_address="127.0.0.1", http_port=port, allow_grpc=False, allow_metrics=False)
    with Triton(config=config) as triton:
        triton.bind(
            model_name="dense",
            infer_func=infer,
            inputs=[Tensor(name="image", dtype=np.float32, shape=(3, 32, 32))],
            outputs=[Tensor(name="logits", dtype=np.float32, shape=(10,))],
            config=ModelConfig(max_batch_size=8, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
        )
        triton.serve()


if __name__ == "__main__":
    main()
