"""ONNX Runtime, natively, one run at a time and on one thread: engine_ort.py MODEL.onnx TOKENS. The same protocol as
bench-engine: a run for each line on standard input, its milliseconds and the first number of the output on standard output."""

import sys
import time

import numpy as np
import onnxruntime

path, tokens = sys.argv[1], int(sys.argv[2])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
inputs = {
    "input_ids": np.array([[1000 + (index * 7919) % 28_000 for index in range(tokens)]], np.int64),
    "attention_mask": np.ones((1, tokens), np.int64),
    "token_type_ids": np.zeros((1, tokens), np.int64),
}
print("ready", flush=True)
for _ in sys.stdin:
    started = time.perf_counter()
    (output,) = session.run(None, inputs)
    elapsed = time.perf_counter() - started
    print(elapsed * 1e3, output[0, 0, 0], flush=True)
