"""Writes graph.onnx: a small model of what larger ones spend their time on. The engine runs it while weights are still on their way,
so that the browser's compiler has seen its kernels at work before they count.

    ~/.cache/neuromesh/venv/bin/python wasm/warm/make.py

The weights are made by ConstantOfShape, so that the file has a few kilobytes. One layer of a transformer (as all-MiniLM-L6-v2), and the
first blocks of MobileNetV2."""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HIDDEN, HEADS, WIDE = 64, 4, 256

nodes, initializers = [], []


def node(op, *inputs, **attributes):
    name = f"{op}{len(nodes)}"
    nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
    return name


def given(value):
    name = f"given{len(initializers)}"
    initializers.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def weights(*shape):
    value = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.01])
    return node("ConstantOfShape", given(np.array(shape, np.int64)), value=value)


def linear(x, inputs, outputs):
    return node("Add", node("MatMul", x, weights(inputs, outputs)), weights(outputs))


def norm(x):
    return node("LayerNormalization", x, weights(HIDDEN), weights(HIDDEN), axis=-1, epsilon=1e-12)


def transformer(ids):
    x = norm(node("Gather", weights(100, HIDDEN), ids, axis=0))
    split = given(np.array([0, 0, HEADS, HIDDEN // HEADS], np.int64))
    merge = given(np.array([0, 0, HIDDEN], np.int64))

    def heads(perm):
        return node("Transpose", node("Reshape", linear(x, HIDDEN, HIDDEN), split), perm=perm)

    query, key, value = heads([0, 2, 1, 3]), heads([0, 2, 3, 1]), heads([0, 2, 1, 3])
    scores = node("Div", node("MatMul", query, key), given(np.float32(4)))
    context = node("MatMul", node("Softmax", scores, axis=-1), value)
    context = node("Reshape", node("Transpose", context, perm=[0, 2, 1, 3]), merge)
    x = norm(node("Add", linear(context, HIDDEN, HIDDEN), x))
    wide = linear(x, HIDDEN, WIDE)
    erf = node("Erf", node("Div", wide, given(np.float32(np.sqrt(2)))))
    gelu = node("Mul", node("Mul", wide, node("Add", erf, given(np.float32(1)))), given(np.float32(0.5)))
    return norm(node("Add", linear(gelu, WIDE, HIDDEN), x))


def convolution(x, inputs, outputs, kernel, stride=1, groups=1, clip=True):
    pads = [kernel // 2] * 4
    x = node("Conv", x, weights(outputs, inputs // groups, kernel, kernel), weights(outputs), strides=[stride] * 2, pads=pads, group=groups)
    return node("Clip", x, given(np.float32(0)), given(np.float32(6))) if clip else x


def picture(x):
    x = convolution(x, 3, 16, 3, stride=2)
    x = convolution(x, 16, 16, 3, groups=16)
    x = convolution(x, 16, 32, 1)
    x = convolution(x, 32, 32, 3, stride=2, groups=32)
    x = convolution(x, 32, 16, 1, clip=False)
    y = convolution(convolution(x, 16, 64, 1), 64, 64, 3, groups=64)
    x = node("Add", convolution(y, 64, 16, 1, clip=False), x)
    x = node("Flatten", node("GlobalAveragePool", x))
    return node("Gemm", x, weights(16, 100), weights(100))


outputs = [transformer("ids"), picture("picture")]
graph = helper.make_graph(
    nodes,
    "warm",
    [
        helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 31]),
        helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 64, 64]),
    ],
    [helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, [1, 31, HIDDEN]), helper.make_tensor_value_info(outputs[1], TensorProto.FLOAT, [1, 100])],
    initializers,
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="neuromesh")
onnx.checker.check_model(model, full_check=True)
pathlib.Path(__file__).with_name("graph.onnx").write_bytes(model.SerializeToString(deterministic=True))
