"""Graphs of the zoo that no package ships: written here, or changed after they were read."""

import hashlib
import math

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import minilm


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


def planes(pixels, mean, std):
    """[height, width, 3] in 0 to 255 -> [1, 3, height, width], normalized as the vision models want it."""
    scaled = (pixels / 255 - np.array(mean)) / np.array(std)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None]).astype(np.float32)


IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5] * 3, [0.5] * 3)


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
