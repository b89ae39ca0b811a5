"""ONNX Runtime, natively and on one thread, asked line by line: engine_ort.py MODEL.onnx FIXTURES CASE. The same protocol as
bench-engine: `run N` gives the milliseconds of one run, of N in a row; `check` how far the outputs are from the reference."""

import json
import struct
import sys
import time

import numpy as np
import onnxruntime

TYPES = {"f32": np.float32, "f16": np.float16, "i64": np.int64, "i32": np.int32, "u8": np.uint8, "i8": np.int8, "bool": np.bool_}


def cases(data):
    """Name, inputs and outputs of each case; the format is described in sdk/neuromesh-infer/tests/make_fixtures.py."""
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        header = json.loads(data[at + 4 : at + 4 + size])
        at += 4 + size + header["model"]
        groups = []
        for key in ("inputs", "outputs"):
            tensors = {}
            for one in header[key]:
                dtype, count = TYPES[one["type"]], int(np.prod(one["shape"]))
                tensors[one["name"]] = np.frombuffer(data, dtype, count, at).reshape(one["shape"])
                at += tensors[one["name"]].nbytes
            groups.append(tensors)
        yield header["name"], *groups


def difference(found, expected):
    worst = 0.0
    for ours, reference in zip(found, expected):
        if ours.shape != reference.shape or ours.dtype != reference.dtype:
            return 1e30
        if reference.dtype.kind != "f":
            if not np.array_equal(ours, reference):
                return 1e30
            continue
        a, b = ours.astype(np.float64), reference.astype(np.float64)
        worst = max(worst, float(np.abs(a - b).max(initial=0) / max(np.abs(b).max(initial=0), 1e-30)))
    return worst


def main():
    path, fixtures, label = sys.argv[1:]
    with open(fixtures, "rb") as file:
        inputs, outputs = next(rest for name, *rest in cases(file.read()) if name == label)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    print("ready", flush=True)
    for line in sys.stdin:
        request, *rest = line.split()
        if request == "check":
            answer = {"difference": difference(session.run(None, inputs), list(outputs.values()))}
        else:
            count = int(rest[0])
            started = time.perf_counter()
            for _ in range(count):
                session.run(None, inputs)
            answer = {"ms": (time.perf_counter() - started) * 1e3 / count}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
