"""Writes the reference outputs that the engine's tests compare with, computed by ONNX Runtime.

    pip install onnx onnxruntime tokenizers numpy
    python make_fixtures.py [MODELS]     # MODELS: default ${NEUROMESH_CACHE:-~/.cache/neuromesh}/models

A fixture file is a row of cases; a case is a length (u32, little-endian), a JSON header of that length, then the model's
bytes (if `model` is not 0) and the data of each tensor that the header lists, in order.
"""

import json
import os
import struct
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent / "fixtures"
NAMES = {"float32": "f32", "int64": "i64", "int32": "i32", "uint8": "u8", "int8": "i8", "bool": "bool"}
rng = np.random.default_rng(2026)


def session(model):
    options = onnxruntime.SessionOptions()
    # Reference semantics, not ONNX Runtime's own rewrites.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options)


def describe(name, array):
    return {"name": name, "type": NAMES[array.dtype.name], "shape": list(array.shape)}


def pack(header, model=b"", arrays=()):
    head = json.dumps({"model": len(model), **header}, separators=(",", ":")).encode()
    data = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    return struct.pack("<I", len(head)) + head + model + data


def f(*shape, low=-2.0, high=2.0):
    return rng.uniform(low, high, shape).astype(np.float32)


def i(*values, dtype=np.int64):
    return np.array(values, dtype=dtype)


def ints(low, high, *shape, dtype=np.int64):
    return rng.integers(low, high, shape).astype(dtype)


def bools(*shape):
    return rng.integers(0, 2, shape).astype(bool)


def single(op, inputs, opset, outputs, constant, attributes):
    """A model of one node; the inputs whose index is in `constant` are weights."""
    elem = lambda array: helper.np_dtype_to_tensor_dtype(array.dtype)
    names = ["" if array is None else f"x{index}" for index, array in enumerate(inputs)]
    given = [index for index, array in enumerate(inputs) if array is not None]
    infos = [helper.make_tensor_value_info(names[k], elem(inputs[k]), [None] * inputs[k].ndim) for k in given if k not in constant]
    weights = [numpy_helper.from_array(inputs[k], names[k]) for k in given if k in constant]
    node = helper.make_node(op, names, [f"y{k}" for k in range(outputs)], name=f"the_{op}", **attributes)
    graph = helper.make_graph([node], "g", infos, [helper.make_empty_tensor_value_info(f"y{k}") for k in range(outputs)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=True)


class Cases:
    def __init__(self):
        self.packed, self.names = [], set()

    def op(self, op, *inputs, opset=17, outputs=1, constant=(), label="", **attributes):
        inputs = [None if array is None else np.asarray(array) for array in inputs]
        model = single(op, inputs, opset, outputs, constant, attributes)
        self.graph(model, {f"x{k}": array for k, array in enumerate(inputs) if array is not None and k not in constant}, f"{op}-{opset}{'-' + label if label else ''}")

    def graph(self, model, feeds, name):
        base, number = name, 1
        while name in self.names:
            number += 1
            name = f"{base}-{number}"
        self.names.add(name)
        # Shape inference cannot always tell an output's type: the reference run does.
        for info in model.graph.output:
            if not info.type.tensor_type.elem_type:
                info.type.tensor_type.elem_type = 1
        try:
            runner = session(model.SerializeToString())
        except Exception as error:
            if "Type Error" not in str(error):
                raise SystemExit(f"{name}: {error}")
            for elem in (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL, TensorProto.UINT8, TensorProto.INT8):
                for info in model.graph.output:
                    info.type.tensor_type.elem_type = elem
                try:
                    runner = session(model.SerializeToString())
                    break
                except Exception:
                    continue
            else:
                raise SystemExit(f"{name}: {error}")
        results = runner.run(None, feeds)
        results = [np.asarray(result) for result in results]
        for info, result in zip(model.graph.output, results):
            info.CopyFrom(helper.make_tensor_value_info(info.name, helper.np_dtype_to_tensor_dtype(result.dtype), [None] * result.ndim))
        header = {
            "name": name,
            "inputs": [describe(key, array) for key, array in feeds.items()],
            "outputs": [describe(info.name, result) for info, result in zip(model.graph.output, results)],
        }
        self.packed.append(pack(header, model.SerializeToString(), [*feeds.values(), *results]))

    def write(self, path):
        (HERE / path).write_bytes(b"".join(self.packed))
        print(f"{path}: {len(self.packed)} cases, {(HERE / path).stat().st_size} bytes")


def elementwise(c):
    shapes = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1, 3), (4, 1)), ((), (2, 3)), ((1,), ()), ((2, 3, 4), (1, 1, 1)), ((5,), (1, 5)), ((0, 3), (1, 3))]
    for op in ("Add", "Sub", "Mul", "Div"):
        for a, b in shapes:
            c.op(op, f(*a), f(*b, low=0.5), label=f"{len(a)}d{len(b)}d")
        c.op(op, ints(-9, 9, 2, 3), ints(1, 5, 3))
        c.op(op, ints(-9, 9, 2, 3, dtype=np.int32), -ints(1, 5, 2, 1, dtype=np.int32), opset=7)
    c.op("Div", i(-7, 7, -7, 7), i(2, -2, -2, 2), label="truncates")
    c.op("Add", i(2**62, -(2**63)), i(2**62, -1), label="wraps")
    c.op("Mul", ints(0, 255, 4, dtype=np.uint8), ints(0, 255, 4, dtype=np.uint8), opset=14, label="wraps")
    c.op("Mod", i(-7, 7, -7, 7, 6), i(3, -3, -3, 3, 3))
    c.op("Mod", i(-7, 7, -7, 7), i(3, -3, -3, 3), fmod=1)
    c.op("Mod", f(2, 5), f(5, low=0.5), fmod=1)
    for exponent in (2.0, 0.5, -1.0, 3.0, 1.5):
        c.op("Pow", f(2, 3, low=0.1), np.float32(exponent), opset=12, constant=(1,))
    c.op("Pow", f(2, 3, low=0.1), f(3))
    c.op("Pow", f(3), f(2, 1, low=1, high=1.5) * 0 + 2, opset=7)
    c.op("Pow", f(2, 3), i(2, 3, 1))
    c.op("Pow", i(2, -3, 4), i(2, 3, 0))
    for op in ("Max", "Min"):
        c.op(op, f(2, 3), f(3), f(2, 1), opset=12)
        c.op(op, ints(-5, 5, 2, 3), ints(-5, 5, 3), opset=12)
        c.op(op, f(2, 3), opset=8)
        c.op(op, f(4), np.array([1, np.nan, -1, 0], np.float32), opset=13, label="nan")
    c.op("Sum", f(2, 3), f(3), f(1), opset=8)
    c.op("Mean", f(2, 3), f(3), f(2, 1), opset=13)


def unary(c):
    for op, low, high in [("Abs", -2, 2), ("Neg", -2, 2), ("Sign", -2, 2), ("Relu", -2, 2), ("Sqrt", 0, 9), ("Exp", -9, 9), ("Log", 0.01, 9), ("Erf", -4, 4),
                          ("Tanh", -6, 6), ("Sin", -9, 9), ("Cos", -9, 9), ("Sigmoid", -9, 9), ("Reciprocal", 0.1, 2), ("Ceil", -3, 3), ("Floor", -3, 3),
                          ("Softplus", -30, 30), ("Elu", -3, 3), ("LeakyRelu", -3, 3), ("HardSigmoid", -5, 5)]:
        c.op(op, f(3, 7, low=low, high=high), opset=13)
        c.op(op, f(low=low, high=high), opset=13, label="scalar")
        c.op(op, f(2, 0, 3, low=low, high=high), opset=13, label="empty")
    c.op("Round", np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6], np.float32))
    for op in ("Abs", "Neg", "Sign"):
        c.op(op, ints(-9, 9, 2, 3), opset=13)
    c.op("Relu", ints(-9, 9, 5, dtype=np.int32), opset=14)
    c.op("Elu", f(5), alpha=0.5)
    c.op("LeakyRelu", f(5), alpha=0.2)
    c.op("HardSigmoid", f(5), alpha=0.3, beta=0.4)
    x = np.linspace(-9, 9, 61, dtype=np.float32)
    c.op("Gelu", x, opset=20)
    c.op("Gelu", x, opset=20, approximate="tanh")
    c.op("Clip", f(3, 4), opset=7, min=-0.5, max=0.7)
    c.op("Clip", f(3, 4), opset=7)
    c.op("Clip", f(3, 4), np.float32(-0.5), np.float32(0.7))
    c.op("Clip", f(3, 4), None, np.float32(0.7), label="max")
    c.op("Clip", f(3, 4), np.float32(0.1))
    c.op("Clip", ints(-9, 9, 6), np.int64(-3), np.int64(4), opset=12)


def compare(c):
    for op in ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"):
        c.op(op, ints(0, 3, 2, 4), ints(0, 3, 4), opset=16)
        c.op(op, ints(0, 3, 2, 4).astype(np.float32), ints(0, 3, 2, 1).astype(np.float32), opset=16)
        c.op(op, ints(0, 3, 1, 5, 1, dtype=np.int32), ints(0, 3, 1, 1, 6, dtype=np.int32), opset=13)
    c.op("Equal", bools(2, 4), bools(4), opset=13)
    for op in ("And", "Or", "Xor"):
        c.op(op, bools(2, 4), bools(4))
        c.op(op, bools(2, 1, 3), bools(4, 1))
    c.op("Not", bools(2, 4))
    c.op("Where", bools(2, 3), f(2, 3), f(2, 3))
    c.op("Where", bools(3, 1), f(2, 1, 4), f())
    c.op("Where", bools(1, 4), ints(0, 9, 3, 1), ints(0, 9, 4))
    c.op("Where", bools(), ints(0, 9, 3, dtype=np.int32), ints(0, 9, 3, dtype=np.int32))
    c.op("Where", bools(3), np.array([1.0], np.float32), np.array(np.float32("-inf")))


def matrix(c):
    for a, b in [((3, 4), (4, 5)), ((4,), (4,)), ((4,), (4, 5)), ((3, 4), (4,)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((3, 4), (2, 4, 5)),
                 ((2, 3, 4), (4,)), ((4,), (2, 4, 5)), ((1, 1, 4), (1, 4, 1)), ((0, 4), (4, 5)), ((3, 0), (0, 2)), ((2, 3, 4), (1, 4, 5)), ((1, 3, 4), (2, 4, 5))]:
        c.op("MatMul", f(*a), f(*b), opset=13)
    c.op("MatMul", f(9, 65), f(65, 33), constant=(1,))
    c.op("Gemm", f(3, 4), f(4, 5), f(5), opset=11)
    c.op("Gemm", f(4, 3), f(5, 4), f(3, 1), opset=13, transA=1, transB=1, alpha=0.5, beta=2.0)
    c.op("Gemm", f(3, 4), f(4, 5), opset=13, alpha=1.5)
    c.op("Gemm", f(3, 4), f(5, 4), f(), opset=13, transB=1)
    c.op("Gemm", f(3, 4), f(4, 5), f(3, 5), opset=7)


def normalize(c):
    for op in ("Softmax", "LogSoftmax"):
        c.op(op, f(2, 3, 4), opset=13)
        c.op(op, f(2, 3, 4), opset=13, axis=1)
        c.op(op, f(2, 3, 4), opset=13, axis=0)
        c.op(op, f(2, 3, 4), opset=11)
        c.op(op, f(2, 3, 4), opset=11, axis=-1)
        c.op(op, f(2, 3, 4), opset=9, axis=2)
        c.op(op, f(1, 4, 1, 1), opset=8, label="flattens")
        c.op(op, f(2, 33, low=-80, high=80), opset=17)
        c.op(op, f(0, 3), opset=13, label="empty")
    c.op("LayerNormalization", f(2, 3, 8), f(8), f(8))
    c.op("LayerNormalization", f(2, 3, 8), f(8), epsilon=1e-2)
    c.op("LayerNormalization", f(2, 3, 8), f(3, 8), f(3, 8), axis=1)
    c.op("LayerNormalization", f(2, 3, 8), f(3, 8), f(3, 8), axis=-2)
    c.op("LayerNormalization", f(4, 37), f(37), f(37))


def shape(c):
    c.op("Identity", f(2, 3))
    c.op("Identity", bools(2, 3))
    c.op("Dropout", f(2, 3), opset=12)
    c.op("Dropout", f(2, 3), opset=7, ratio=0.5)
    c.op("Shape", f(2, 3, 4), opset=13)
    c.op("Shape", f(2, 3, 4), opset=15, start=1)
    c.op("Shape", f(2, 3, 4), opset=15, start=-2, end=-1)
    c.op("Shape", f(2, 3, 4), opset=15, start=2, end=1)
    c.op("Shape", f(), opset=15)
    c.op("Size", ints(0, 9, 2, 3), opset=13)
    for target in ([6, 4], [-1, 6], [0, -1], [2, 0, 2, 2], [24], [1, 24, 1]):
        c.op("Reshape", f(2, 3, 4), i(*target), opset=13)
        c.op("Reshape", ints(0, 9, 2, 3, 4), i(*target), opset=13, constant=(1,))
    c.op("Reshape", f(0, 3), i(3, 0), opset=14, allowzero=1)
    c.op("Reshape", f(1, 1), i()[:0].astype(np.int64), opset=13, label="to-scalar")
    for axis in (0, 1, 2, 3, -1, -3):
        c.op("Flatten", f(2, 3, 4), opset=13, axis=axis)
    c.op("Flatten", f(2, 3, 4), opset=9)
    c.op("Squeeze", f(1, 3, 1, 2), opset=13)
    c.op("Squeeze", f(1, 3, 1, 2), i(0, -2), opset=13)
    c.op("Squeeze", f(1, 3, 1, 2), opset=11, axes=[2])
    c.op("Squeeze", ints(0, 9, 1), i(0), opset=13)
    c.op("Unsqueeze", f(3, 2), i(0, -1), opset=13)
    c.op("Unsqueeze", f(3, 2), i(2, 0), opset=13)
    c.op("Unsqueeze", ints(0, 9, 3), opset=11, axes=[1, 2])
    c.op("Unsqueeze", np.int64(5), i(0), opset=13)
    c.op("Transpose", f(2, 3, 4), opset=13)
    c.op("Transpose", f(2, 3, 4), opset=13, perm=[1, 0, 2])
    c.op("Transpose", f(2, 3, 4, 5), opset=13, perm=[0, 2, 3, 1])
    c.op("Transpose", ints(0, 9, 2, 3, 4), opset=13, perm=[2, 0, 1])
    c.op("Transpose", bools(2, 3), opset=13)
    c.op("Expand", f(3, 1), i(2, 1, 4), opset=13)
    c.op("Expand", f(3, 4), i(1), opset=13)
    c.op("Expand", ints(0, 9, 1, 5, 1, dtype=np.int32), i(2, 1, 3), opset=8)
    c.op("Expand", bools(1, 2), i(3, 2), opset=13)
    c.op("Expand", f(), i(2, 2), opset=13)


def index(c):
    c.op("Gather", f(5, 3), i(0, -1, 2), opset=13)
    c.op("Gather", f(5, 3), ints(0, 3, 2, 2), opset=13, axis=1)
    c.op("Gather", f(5, 3), np.int64(-2), opset=11)
    c.op("Gather", f(2, 5, 3), ints(-5, 5, 4, dtype=np.int32), opset=13, axis=-2)
    c.op("Gather", ints(0, 99, 5), np.int64(3), opset=13)
    c.op("Gather", bools(5, 2), i(1, 1), opset=13)
    c.op("Gather", f(5, 3), i()[:0].astype(np.int64), opset=13, label="empty")
    x = f(4, 5, 6)
    for starts, ends, axes, steps in [([1], [3], None, None), ([0, 1], [2, 4], [0, 2], None), ([-3], [-1], [1], [1]), ([0], [2**62], [2], [2]), ([4], [-(2**62)], [1], [-1]),
                                      ([-1, 5], [-5, 0], [0, 2], [-2, -3]), ([3], [1], [0], None), ([1], [100], [-1], [4]), ([-100], [100], [0], [3]), ([0], [5], [1], [2**40])]:
        given = [i(*starts), i(*ends), None if axes is None else i(*axes), None if steps is None else i(*steps)]
        while given and given[-1] is None:
            given.pop()
        c.op("Slice", x, *given, opset=13)
        c.op("Slice", ints(0, 99, 4, 5, 6), *given, opset=13, constant=tuple(range(1, 1 + len(given))))
    c.op("Slice", x, opset=9, starts=[1, -2], ends=[3, 2**31], axes=[0, 1])
    c.op("Slice", x, i(0, 0, dtype=np.int32), i(2, 2, dtype=np.int32), opset=10)
    c.op("Slice", bools(6), i(5), i(-7), i(0), i(-2), opset=13)
    c.op("Concat", f(2, 3), f(2, 1), f(2, 2), opset=13, axis=1)
    c.op("Concat", f(2, 3), f(4, 3), opset=13, axis=0)
    c.op("Concat", f(2, 3, 2), f(2, 3, 1), opset=11, axis=-1)
    c.op("Concat", ints(0, 9, 2), ints(0, 9, 0), ints(0, 9, 3), opset=13, axis=0)
    c.op("Concat", f(0, 3), f(2, 3), opset=13, axis=0)
    c.op("Concat", bools(2), bools(1), opset=13, axis=0)
    c.op("Concat", f(2, 2), opset=13, axis=1)
    c.op("Split", f(2, 6), opset=13, outputs=3, axis=1)
    c.op("Split", f(2, 6), i(1, 5), opset=13, outputs=2, axis=-1)
    c.op("Split", f(7, 2), opset=18, outputs=3, num_outputs=3)
    c.op("Split", f(5, 2), opset=11, outputs=2, axis=0, split=[2, 3])
    c.op("Split", ints(0, 9, 6), i(0, 4, 2), opset=13, outputs=3)


def make(c):
    tensor = lambda array: numpy_helper.from_array(np.asarray(array))
    c.op("Constant", opset=13, value=tensor(f(2, 3)))
    c.op("Constant", opset=13, value=tensor(ints(0, 9, 2, dtype=np.int32)))
    c.op("Constant", opset=13, value_float=1.5)
    c.op("Constant", opset=13, value_ints=[1, 2, 3])
    c.op("Constant", opset=13, value_floats=[1.0, 2.0])
    c.op("Constant", opset=13, value_int=-4)
    c.op("ConstantOfShape", i(2, 3), opset=9)
    c.op("ConstantOfShape", i(2, 3), opset=9, value=tensor(i(7)))
    c.op("ConstantOfShape", i(4), opset=9, value=tensor(np.array([True])))
    c.op("ConstantOfShape", i()[:0].astype(np.int64), opset=9, value=tensor(np.array([2.5], np.float32)))
    c.op("ConstantOfShape", i(0, 3), opset=9)
    c.op("Range", np.int64(2), np.int64(11), np.int64(3), opset=11)
    c.op("Range", np.int64(5), np.int64(-4), np.int64(-2), opset=11)
    c.op("Range", np.int64(5), np.int64(5), np.int64(1), opset=11)
    c.op("Range", np.float32(0), np.float32(1.0), np.float32(0.3), opset=11)
    c.op("Range", np.int32(0), np.int32(4), np.int32(1), opset=11)
    types = {"f32": f(2, 3, low=0, high=100), "i64": ints(-200, 200, 2, 3), "i32": ints(0, 100, 4, dtype=np.int32), "u8": ints(0, 255, 3, dtype=np.uint8), "bool": bools(4)}
    for name, array in types.items():
        for to in (1, 2, 6, 7, 9, 3):
            if not (name == "f32" and to == 3):
                c.op("Cast", array, opset=13, to=to, label=name)
    c.op("Cast", np.array([-1.7, 1.7, -0.2], np.float32), opset=13, to=7, label="truncates")
    c.op("CastLike", f(3), ints(0, 9, 1), opset=15)


def reduce(c):
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"):
        as_input = 13 if op == "ReduceSum" else 18
        for axes in ([1], [0, 2], [-1], [-3, 1]):
            c.op(op, f(2, 3, 4), opset=11, axes=axes)
            c.op(op, f(2, 3, 4), i(*axes), opset=as_input, constant=(1,), keepdims=0)
        c.op(op, f(2, 3, 4), opset=as_input)
        c.op(op, f(2, 3, 4), opset=11, keepdims=0)
        c.op(op, f(2, 3), i()[:0].astype(np.int64), opset=as_input, noop_with_empty_axes=1)
        c.op(op, f(1, 3), i(0), opset=as_input, keepdims=0)
    for op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"):
        as_input = 13 if op == "ReduceSum" else 18
        c.op(op, ints(-4, 5, 2, 3, 4), i(1, -1), opset=as_input)
        c.op(op, ints(-4, 5, 2, 3, dtype=np.int32), i(0), opset=as_input, keepdims=0)
    c.op("ReduceSum", f(2, 0, 3), i(1), opset=13, label="empty")
    for op in ("ArgMax", "ArgMin"):
        x = ints(0, 3, 3, 5).astype(np.float32)
        c.op(op, x, opset=13, axis=1)
        c.op(op, x, opset=13, axis=-2, keepdims=0)
        c.op(op, x, opset=13, axis=1, select_last_index=1)
        c.op(op, ints(0, 9, 2, 3, 4, dtype=np.int32), opset=13, axis=2)
        c.op(op, x, opset=7)
    for flags in ({}, {"exclusive": 1}, {"reverse": 1}, {"exclusive": 1, "reverse": 1}):
        c.op("CumSum", f(2, 5), np.int64(1), opset=14, **flags)
        c.op("CumSum", ints(-5, 5, 3, 2), np.int32(-2), opset=11, **flags)


def conv(c):
    c.op("Conv", f(1, 3, 9), f(4, 3, 3), f(4), opset=11)
    c.op("Conv", f(2, 4, 9), f(6, 2, 3), opset=11, group=2, strides=[2], pads=[1, 2], dilations=[2])
    c.op("Conv", f(1, 3, 8, 7), f(4, 3, 3, 3), f(4), opset=11, pads=[1, 1, 1, 1])
    c.op("Conv", f(1, 3, 8, 7), f(4, 3, 3, 2), opset=11, strides=[2, 1], pads=[0, 1, 2, 0])
    c.op("Conv", f(1, 4, 8, 7), f(4, 1, 3, 3), f(4), opset=11, group=4, pads=[1, 1, 1, 1])
    c.op("Conv", f(2, 3, 8, 8), f(5, 3, 1, 1), opset=11)
    c.op("Conv", f(1, 64, 20, 1), f(16, 64, 5, 1), opset=11, kernel_shape=[5, 1])
    c.op("Conv", f(1, 64, 20), f(16, 64, 5), opset=11, kernel_shape=[5])
    c.op("Conv", f(1, 2, 4, 5, 6), f(3, 2, 2, 2, 2), f(3), opset=11)
    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        c.op("Conv", f(1, 2, 7, 8), f(3, 2, 4, 3), opset=11, auto_pad=auto, strides=[2, 3])
    for op in ("GlobalMaxPool", "GlobalAveragePool"):
        c.op(op, f(2, 3, 5), opset=11)
        c.op(op, f(2, 3, 5, 4), opset=11)


def graph_of(nodes, inputs, outputs, weights, opset=17):
    infos = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), [None] * a.ndim) for name, a in ((k, np.asarray(v)) for k, v in inputs.items())]
    outs = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", infos, outs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def patterns(c):
    """What the engine rewrites, and what looks like it but must stay."""
    node = helper.make_node
    x = f(2, 5, 8, low=-4, high=4)

    def gelu(half_first, scaled_by_mul):
        scale = node("Mul", ["x", "inv"], ["s"]) if scaled_by_mul else node("Div", ["x", "root"], ["s"])
        tail = [node("Mul", ["x", "half"], ["h"]), node("Mul", ["h", "e1"], ["y"])] if half_first else [node("Mul", ["x", "e1"], ["h"]), node("Mul", ["h", "half"], ["y"])]
        return graph_of([scale, node("Erf", ["s"], ["e"]), node("Add", ["one", "e"], ["e1"]), *tail], {"x": x}, {"y": 1},
                        {"root": np.float32(2**0.5), "inv": np.float32(0.5**0.5), "one": np.float32(1), "half": np.float32(0.5)})

    for half_first in (True, False):
        for by_mul in (True, False):
            c.graph(gelu(half_first, by_mul), {"x": x}, "pattern-gelu")

    def tanh_gelu(cubic, output_inner):
        nodes = [node("Mul", ["a", "x"], ["ax"]), node("Mul", ["x", "ax"], ["ax2"]), node("Mul", ["x", "ax2"], ["ax3"])] if cubic == "mul" else [
            node("Pow", ["x", "three"], ["x3"]), node("Mul", ["x3", "a"], ["ax3"])]
        nodes += [node("Add", ["x", "ax3"], ["u"]), node("Mul", ["b", "u"], ["v"]), node("Tanh", ["v"], ["t"]), node("Add", ["one", "t"], ["t1"]),
                  node("Mul", ["half", "t1"], ["g"]), node("Mul", ["x", "g"], ["y"])]
        return graph_of(nodes, {"x": x}, {"y": 1, "t": 1} if output_inner else {"y": 1},
                        {"a": np.float32(0.044715), "b": np.float32((2 / np.pi) ** 0.5), "one": np.array([[1]], np.float32), "half": np.float32(0.5), "three": np.float32(3)})

    c.graph(tanh_gelu("mul", False), {"x": x}, "pattern-gelu-tanh")
    c.graph(tanh_gelu("pow", False), {"x": x}, "pattern-gelu-tanh")
    c.graph(tanh_gelu("mul", True), {"x": x}, "pattern-gelu-tanh-inner-used")

    def layer_norm(opset, epsilon=1e-5):
        axes = {"axes": [-1]} if opset < 18 else {}
        mean = lambda a, b: node("ReduceMean", [a] if opset < 18 else [a, "last"], [b], **axes)
        nodes = [mean("x", "m"), node("Sub", ["x", "m"], ["d"]), node("Pow", ["d", "two"], ["q"]), mean("q", "v"), node("Add", ["v", "eps"], ["ve"]), node("Sqrt", ["ve"], ["s"]),
                 node("Div", ["d", "s"], ["n"]), node("Mul", ["n", "gamma"], ["g"]), node("Add", ["g", "beta"], ["y"])]
        weights = {"two": np.float32(2), "eps": np.float32(epsilon), "gamma": f(8), "beta": f(8)}
        if opset >= 18:
            weights["last"] = i(-1)
        return graph_of(nodes, {"x": x}, {"y": 1}, weights, opset)

    c.graph(layer_norm(13), {"x": x}, "pattern-layer-norm")
    c.graph(layer_norm(18, 1e-12), {"x": x}, "pattern-layer-norm")
    linear = [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])]
    c.graph(graph_of(linear, {"x": x}, {"y": 1}, {"w": f(8, 6), "b": f(6)}), {"x": x}, "pattern-linear")
    c.graph(graph_of([linear[0], node("Add", ["b", "p"], ["y"])], {"x": x}, {"y": 1}, {"w": f(8, 6), "b": f(6)}), {"x": x}, "pattern-linear")
    c.graph(graph_of(linear, {"x": x}, {"y": 1}, {"w": f(8, 6), "b": f(5, 6)}), {"x": x}, "pattern-linear-not")
    c.graph(graph_of(linear, {"x": x}, {"y": 1}, {"w": f(8, 1), "b": f(6)}), {"x": x}, "pattern-linear-not")
    c.graph(graph_of(linear, {"x": x}, {"y": 1, "p": 1}, {"w": f(8, 6), "b": f(6)}), {"x": x}, "pattern-linear-inner-used")

    def attention(heads, masked, scale, by_mul):
        q, k, v = f(2, 5, heads * 4), f(2, 7, heads * 4), f(2, 7, heads * 4)
        mask = (ints(0, 2, 2, 1, 1, 7) * -10000.0).astype(np.float32)
        nodes = []
        for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
            nodes += [node("Reshape", [name, "split"], [name + "s"]), node("Transpose", [name + "s"], [name + "t"], perm=perm)]
        nodes += [node("MatMul", ["qt", "kt"], ["p"]), node("Mul" if by_mul else "Div", ["p", "scale"], ["ps"])]
        if masked:
            nodes.append(node("Add", ["ps", "mask"], ["pm"]))
        nodes += [node("Softmax", ["pm" if masked else "ps"], ["a"], axis=-1), node("MatMul", ["a", "vt"], ["o"]), node("Transpose", ["o"], ["ot"], perm=[0, 2, 1, 3]),
                  node("Reshape", ["ot", "merge"], ["y"])]
        feeds = {"q": q, "k": k, "v": v, **({"mask": mask} if masked else {})}
        weights = {"split": i(0, 0, heads, -1), "merge": i(0, 0, -1), "scale": np.float32(scale)}
        return graph_of(nodes, feeds, {"y": 1}, weights), feeds

    for heads, masked, scale, by_mul in ((3, True, 2.0, False), (2, False, 0.5, True), (1, True, 0.25, True)):
        model, feeds = attention(heads, masked, scale, by_mul)
        c.graph(model, feeds, "pattern-attention")
    # Values that are used twice by one node, outputs that are inputs or weights, dead nodes, folded subgraphs.
    c.graph(graph_of([node("Mul", ["x", "x"], ["s"]), node("Add", ["s", "s"], ["y"])], {"x": x}, {"y": 1}, {}), {"x": x}, "graph-twice")
    c.graph(graph_of([node("Add", ["w", "w"], ["w2"]), node("Mul", ["x", "w2"], ["y"]), node("Exp", ["x"], ["dead"])], {"x": x}, {"y": 1}, {"w": f(8)}), {"x": x}, "graph-folds")
    c.graph(graph_of([node("Shape", ["x"], ["s"]), node("Gather", ["s", "one"], ["n"]), node("Unsqueeze", ["n", "zero"], ["u"]), node("Concat", ["u", "minus"], ["t"], axis=0),
                      node("Reshape", ["x", "t"], ["y"])], {"x": x}, {"y": 1}, {"one": np.int64(1), "zero": i(0), "minus": i(-1)}), {"x": x}, "graph-shape")


def pairs():
    """Each model twice: as it is, and so that nothing can be joined, because inner values are outputs or weights are inputs.
    The first output must be the same to the last bit."""
    c, own = Cases(), np.random.default_rng(7)
    node = helper.make_node
    g = lambda *shape, scale=1.0: (own.standard_normal(shape) * scale).astype(np.float32)

    def both(name, nodes, feeds, weights, inner, opset=17):
        c.graph(graph_of(nodes, feeds, {"y": 1}, weights, opset), feeds, f"joined-{name}")
        c.graph(graph_of(nodes, feeds, {"y": 1, **inner}, weights, opset), feeds, f"apart-{name}")

    gelu = [node("Div", ["p", "root"], ["s"]), node("Erf", ["s"], ["e"]), node("Add", ["e", "one"], ["e1"]), node("Mul", ["p", "e1"], ["h"]), node("Mul", ["h", "half"], ["y"])]
    numbers = {"root": np.array([2**0.5], np.float32), "one": np.array([1], np.float32), "half": np.array([0.5], np.float32)}

    def quantized(rows, k, n, unsigned, per_column, zeros, bias, ends):
        kind = np.uint8 if unsigned else np.int8
        low, high = (0, 256) if unsigned else (-128, 128)
        count = (n,) if per_column else ()
        weights = {"w": own.integers(low, high, (k, n)).astype(kind), "ws": (own.random(count) * 0.01 + 0.001).astype(np.float32)}
        nodes = [node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"]), node("Mul", ["qs", "ws"], ["scale"])]
        if zeros:
            weights["wz"] = own.integers(low // 4, high // 4, count).astype(kind)
        nodes += [node("MatMulInteger", ["q", "w", "qz"] + (["wz"] if zeros else []), ["i"]), node("Cast", ["i"], ["c"], to=TensorProto.FLOAT)]
        last = "y" if not (bias or ends) else "m"
        nodes.append(node("Mul", ["c", "scale"], [last]))
        inner = {"i": TensorProto.INT32}
        if bias:
            weights["b"] = g(n)
            nodes.append(node("Add", ["b", "m"], ["p" if ends else "y"]))
            inner["m"] = 1
        if ends:
            nodes += gelu
            weights.update(numbers)
            inner["p"] = 1
        both("quantized", nodes, {"x": g(2, rows, k, scale=3)}, weights, inner)

    quantized(7, 40, 33, False, False, True, True, True)
    quantized(5, 17, 24, False, False, False, True, False)
    quantized(3, 64, 40, True, True, True, True, False)
    quantized(4, 9, 16, False, True, False, False, False)
    quantized(1, 130, 70, True, False, True, False, False)
    linear = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["p"]), *gelu]
    both("linear", linear, {"x": g(2, 9, 20)}, {"w": g(20, 50), "b": g(50), **numbers}, {"p": 1})

    for bidirectional, bias, steps in ((False, True, 1), (True, True, 3), (False, False, 4)):
        d, size, width = 2 if bidirectional else 1, 24, 10
        x, w = {"x": g(steps, 2, width), "h": g(d, 2, size), "c": g(d, 2, size)}, {"w": g(d, 4 * size, width), "r": g(d, 4 * size, size, scale=0.3)}
        if bias:
            w["b"] = g(d, 8 * size)
        lstm = [node("LSTM", ["x", "w", "r", "b" if bias else "", "", "h", "c"], ["y", "yh", "yc"], hidden_size=size, direction="bidirectional" if bidirectional else "forward")]
        c.graph(graph_of(lstm, x, {"y": 1, "yc": 1}, w), x, "joined-lstm")
        c.graph(graph_of(lstm, {**x, **w}, {"y": 1, "yc": 1}, {}), {**x, **w}, "apart-lstm")

    def attention(batch, heads, rows, columns, width, masked, by_mul, opset=17):
        nodes, weights = [], {"split": i(0, 0, heads, -1), "merge": i(0, 0, -1), "scale": np.array([2.0], np.float32)}
        for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
            nodes += [node("Reshape", [name, "split"], [name + "s"]), node("Transpose", [name + "s"], [name + "t"], perm=perm)]
        nodes += [node("MatMul", ["qt", "kt"], ["p"]), node("Mul" if by_mul else "Div", ["p", "scale"], ["ps"])]
        if masked:
            nodes.append(node("Add", ["ps", "mask"], ["pm"]))
        nodes += [node("Softmax", ["pm" if masked else "ps"], ["a"], axis=-1), node("MatMul", ["a", "vt"], ["o"]), node("Transpose", ["o"], ["ot"], perm=[0, 2, 1, 3]),
                  node("Reshape", ["ot", "merge"], ["y"])]
        feeds = {name: g(batch, count, heads * width) for name, count in (("q", rows), ("k", columns), ("v", columns))}
        if masked:
            feeds["mask"] = (own.integers(0, 2, masked) * -10000.0).astype(np.float32)
        both("attention", nodes, feeds, weights, {"a": 1, "qt": 1, "kt": 1, "vt": 1, "o": 1})

    attention(2, 3, 5, 7, 4, (2, 1, 1, 7), False)
    attention(1, 2, 33, 33, 32, (1, 1, 1, 33), False)
    attention(2, 4, 9, 9, 16, (2, 1, 9, 9), True)
    attention(1, 3, 1, 20, 8, None, True)
    c.write("rewrites.bin")


def bad_models():
    """Models that must be refused, with the stage and a part of the message."""
    node = helper.make_node
    x = f(2, 3)
    cases = []

    def case(name, model, message, feeds=None, stage="load"):
        data = model if isinstance(model, bytes) else model.SerializeToString()
        feeds = {key: np.asarray(a) for key, a in (feeds if feeds is not None else {"x": x}).items()}
        header = {"name": name, "stage": stage, "message": message, "inputs": [describe(k, a) for k, a in feeds.items()], "outputs": []}
        cases.append(pack(header, data, feeds.values()))

    def graph(nodes, weights=None, outputs=None, **more):
        return graph_of(nodes, more.get("inputs", {"x": x}), outputs or {"y": 1}, weights or {}, more.get("opset", 17))

    relu = [node("Relu", ["x"], ["y"], name="first")]
    good = graph(relu)
    case("empty", b"", "operator set")
    case("text", b"hello, this is not a model", "not an ONNX model")
    case("cut", good.SerializeToString()[:-9], "not an ONNX model")
    case("opset-old", graph(relu, opset=6), "version 6")
    case("opset-new", graph(relu, opset=99), "version 99")
    case("unknown-operator", graph([node("Frobnicate", ["x"], ["y"], name="odd")]), 'node "odd" (Frobnicate): this operator is not supported')
    case("own-operator", graph([node("*Linear", ["x", "x", "x"], ["y"])]), "not supported")
    case("foreign-domain", graph([node("Relu", ["x"], ["y"], domain="com.example")]), "com.example.Relu")
    case("operator-too-new", graph([node("Gelu", ["x"], ["y"])], opset=17), "came with 20")
    case("arity", graph([node("Add", ["x"], ["y"], name="lonely")]), "1 inputs; it takes 2 to 2")
    case("undefined", graph([node("Add", ["x", "ghost"], ["y"], name="n")]), 'nothing produces its input "ghost"')
    case("cycle", graph([node("Add", ["x", "b"], ["a"], name="n"), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]), "made by itself or by a later node")
    case("self", graph([node("Add", ["x", "y"], ["y"], name="n")]), "made by itself")
    case("twice", graph([node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])]), '"y" is produced twice')
    case("no-output", graph(relu, outputs={"z": 1}), 'nothing produces the output "z"')

    def weight(**changes):
        model = graph([node("Add", ["x", "w"], ["y"])], {"w": f(3)})
        tensor = model.graph.initializer[0]
        for key, value in changes.items():
            field = getattr(tensor, key)
            if isinstance(value, list):
                del field[:]
                field.extend(value)
            else:
                setattr(tensor, key, value)
        return model

    case("weight-short", weight(raw_data=b"\0" * 11), 'tensor "w": 11 bytes of data')
    case("weight-negative", weight(dims=[-3]), "are not sizes")
    case("weight-huge", weight(dims=[2**31, 2**31, 2**31]), "too large")
    case("weight-zero-huge", weight(dims=[0, 2**62, 2**62]), "too large")
    case("weight-rank", weight(dims=[1] * 40), "40 dimensions")
    case("weight-type", weight(data_type=TensorProto.DOUBLE), "element type 11")
    case("weight-external", weight(data_location=TensorProto.EXTERNAL), "does not tell which file it is in")
    elsewhere = [onnx.StringStringEntryProto(key="location", value="../weights.bin")]
    case("weight-external-file", weight(data_location=TensorProto.EXTERNAL, external_data=elsewhere), '"../weights.bin", which was not given')
    case("weight-no-data", weight(raw_data=b""), "0 bytes of data")
    sub = helper.make_graph(relu, "sub", [], [helper.make_tensor_value_info("y", 1, None)])
    case("branch-missing", graph([node("If", ["x"], ["y"], then_branch=sub)]), 'its subgraph "else_branch" is missing')
    case("branch-captures-nothing", graph([node("If", ["x"], ["y"], then_branch=helper.make_graph([node("Relu", ["nowhere"], ["y"])], "sub", [], sub.output), else_branch=sub)]), 'nothing produces its input "nowhere"')
    case("hidden-subgraph", graph([node("Relu", ["x"], ["y"], body=sub)]), 'attribute "body"')
    case("folded-error", graph([node("Reshape", ["w", "s"], ["v"], name="fold"), node("Add", ["x", "v"], ["y"])], {"w": f(3), "s": i(5)}), 'node "fold" (Reshape)')

    def run(name, nodes, message, weights=None, feeds=None, **more):
        case(name, graph(nodes, weights, inputs=feeds or {"x": x}, **more), message, feeds, "run")

    case("declared-type", graph(relu, outputs={"y": 7}), 'node "first" (Relu): the output "y" is declared as int64; it is float32')
    narrow = graph(relu)
    narrow.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 2
    case("declared-rank", narrow, 'node "first" (Relu): the output "y" is declared as [2]; it is [?, ?]')
    fixed = lambda message, a, b, op: case(f"fixed-{op}", shaped(op, a, b), message)

    def shaped(op, a, b):
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("a", a), ("b", b))]
        made = helper.make_graph([node(op, ["a", "b"], ["y"], name="n")], "g", infos, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
        return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    fixed('node "n" (Add): the shapes [batch, 3] and [4] do not broadcast', ["batch", 3], [4], "Add")
    fixed('node "n" (MatMul): [2, 3] and [4, 5] do not multiply', [2, 3], [4, 5], "MatMul")
    huge = graph([node("ConstantOfShape", ["s"], ["y"], name="n")], {"s": i(750_000_000)})
    case("huge-result", huge, 'node "n" (ConstantOfShape): 3000000008 bytes are needed')

    run("broadcast", [node("Add", ["x", "w"], ["y"], name="n")], 'node "n" (Add): the shapes [2, 3] and [4] do not broadcast', {"w": f(4)})
    run("types", [node("Add", ["x", "w"], ["y"], name="n")], "float32 and int64", {"w": i(1)})
    run("wrong-type", [node("Erf", ["x"], ["y"])], "input 0 is int64", None, {"x": i(1)}, outputs={"y": 7})
    run("matmul", [node("MatMul", ["x", "w"], ["y"])], "do not multiply", {"w": f(4, 5)})
    run("division", [node("Div", ["x", "w"], ["y"])], "division of an integer by zero", {"w": i(0)}, {"x": i(1)}, outputs={"y": 7})
    run("gather", [node("Gather", ["x", "w"], ["y"])], "index 2 is outside", {"w": i(2)})
    run("axis", [node("Softmax", ["x"], ["y"], axis=7)], "axis 7 is outside")
    run("reshape", [node("Reshape", ["x", "w"], ["y"])], "differ", {"w": i(4, 2)})
    run("reshape-twice", [node("Reshape", ["x", "w"], ["y"])], "-1 stands twice", {"w": i(-1, -1)})
    run("expand-huge", [node("Expand", ["x", "w"], ["y"])], "bytes are needed", {"w": i(2**20, 2**4, 2, 3)})
    run("expand-overflow", [node("Expand", ["x", "w"], ["y"])], "too large", {"w": i(2**62, 2**62, 2, 3)})
    run("range-huge", [node("Range", ["x", "w", "s"], ["y"])], "too large", {"w": np.int64(2**62), "s": np.int64(1)}, {"x": np.int64(0)}, outputs={"y": 7})
    run("range-step", [node("Range", ["x", "x", "s"], ["y"])], "step is zero", {"s": np.int64(0)}, {"x": np.int64(0)}, outputs={"y": 7})
    run("slice-step", [node("Slice", ["x", "s", "s", "s", "s"], ["y"])], "step is zero", {"s": i(0)})
    run("concat", [node("Concat", ["x", "w"], ["y"], axis=0)], "cannot be joined", {"w": f(2, 4)})
    run("split", [node("Split", ["x"], ["y", "z"], axis=1)], "does not split", outputs={"y": 1, "z": 1})
    run("transpose", [node("Transpose", ["x"], ["y"], perm=[0, 0])], "named twice")
    run("squeeze", [node("Squeeze", ["x", "w"], ["y"])], "cannot be squeezed", {"w": i(0)})
    run("conv-window", [node("Conv", ["x", "w"], ["y"])], "reaches over", {"w": f(2, 3, 9)}, {"x": f(1, 3, 4)})
    run("conv-stride", [node("Conv", ["x", "w"], ["y"], strides=[0])], 'attribute "strides"', {"w": f(2, 3, 2)}, {"x": f(1, 3, 4)})
    run("conv-channels", [node("Conv", ["x", "w"], ["y"])], "does not fit the weights", {"w": f(2, 5, 2)}, {"x": f(1, 3, 4)})
    run("branch-condition", [node("If", ["x"], ["y"], then_branch=sub, else_branch=sub)], "a condition must be one boolean")
    run("branch-outputs", [node("If", ["c"], ["y", "z"], then_branch=sub, else_branch=sub)], "1 results instead of 2", {"c": np.bool_(True)}, outputs={"y": 1, "z": 1})
    turn = [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []), helper.make_tensor_value_info("v", 1, None)]
    body = helper.make_graph([node("Identity", ["go"], ["on"]), node("Neg", ["v"], ["w2"])], "body", turn, [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("w2", 1, None)])
    run("loop-endless", [node("Loop", ["", "", "x"], ["y"], body=body)], "which is the limit")
    run("loop-carries-more", [node("Loop", ["", "", "x", "x"], ["y"], body=body)], "its body has 2 outputs; it carries 2")
    run("scan-counts", [node("Scan", ["x"], ["y"], body=body, num_scan_inputs=5)], 'attribute "num_scan_inputs"')
    run("attribute-type", [node("Softmax", ["x"], ["y"], axis=1.5)], "an integer is expected")
    run("input-missing", relu, 'input "x": it is missing', None, {})
    cases_input = {"x": f(2, 3)}
    case("input-type", graph(relu, inputs={"x": i(1, 2)}, outputs={"y": 7}), "the model takes int64", cases_input, "run")
    case("input-rank", graph(relu, inputs={"x": f(2)}), "the model takes shape [?]", cases_input, "run")
    case("input-unknown", good, "no such input", {"z": f(1)}, "run")
    (HERE / "refused.bin").write_bytes(b"".join(cases))
    print(f"refused.bin: {len(cases)} cases, {(HERE / 'refused.bin').stat().st_size} bytes")


def main():
    # They use what stands above.
    import function_fixtures
    import model_fixtures

    cache = os.environ.get("NEUROMESH_CACHE") or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "neuromesh"
    models = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(cache) / "models"
    HERE.mkdir(exist_ok=True)
    cases = Cases()
    for family in (elementwise, unary, compare, matrix, normalize, shape, index, make, reduce, conv, patterns):
        family(cases)
    cases.write("operators.bin")
    pairs()
    bad_models()
    function_fixtures.functions()
    model_fixtures.minilm(models / "all-minilm-l6-v2", rng)
    model_fixtures.magika(models / "magika", rng)


if __name__ == "__main__":
    main()
