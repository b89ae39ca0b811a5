"""all-MiniLM-L6-v2 as an ONNX graph, written from its safetensors: the graph that an export from PyTorch would give,
without PyTorch. The same input gives the same bytes."""

import json
import math
import struct

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS, HEADS, HIDDEN, POSITIONS = 6, 12, 384, 512
EPSILON = 1e-12


def read_safetensors(path):
    """The tensors of a safetensors file, by name."""
    with open(path, "rb") as file:
        (header_len,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(header_len))
        body = file.read()
    types = {"F32": np.float32, "I64": np.int64}
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(body[begin:end], dtype=types[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Graph:
    """Collects nodes and initializers in order."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def constant(self, name, value):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output


def build(weights):
    """The model: ids, mask and segment ids in, the last hidden state out; batch and length are free."""
    g = Graph()
    zero = g.constant("const.zero", np.array([0], np.int64))
    one = g.constant("const.one", np.array([1], np.int64))
    one_f, half = g.constant("const.one_f", np.float32(1)), g.constant("const.half", np.float32(0.5))
    sqrt2 = g.constant("const.sqrt2", np.float32(math.sqrt(2)))
    root = g.constant("const.sqrt_head", np.float32(math.sqrt(HIDDEN // HEADS)))
    lowest = g.constant("const.lowest", np.finfo(np.float32).min)
    split = g.constant("const.split_heads", np.array([0, 0, HEADS, HIDDEN // HEADS], np.int64))
    merge = g.constant("const.merge_heads", np.array([0, 0, HIDDEN], np.int64))

    def norm(source, prefix):
        scale, bias = f"{prefix}.weight", f"{prefix}.bias"
        g.constant(scale, weights[scale])
        g.constant(bias, weights[bias])
        return g.node("LayerNormalization", [source, scale, bias], f"{prefix}.out", axis=-1, epsilon=EPSILON)

    def linear(source, prefix):
        g.constant(f"{prefix}.weight", weights[f"{prefix}.weight"].T)
        g.constant(f"{prefix}.bias", weights[f"{prefix}.bias"])
        product = g.node("MatMul", [source, f"{prefix}.weight"], f"{prefix}.matmul")
        return g.node("Add", [product, f"{prefix}.bias"], f"{prefix}.out")

    # Embeddings: word + segment + position.
    for kind in ("word", "token_type", "position"):
        g.constant(f"embeddings.{kind}_embeddings.weight", weights[f"embeddings.{kind}_embeddings.weight"])
    positions = g.constant("embeddings.position_ids", np.arange(POSITIONS, dtype=np.int64)[None, :])
    shape = g.node("Shape", ["input_ids"], "input.shape")
    length = g.node("Gather", [shape, one], "input.length", axis=0)
    position_ids = g.node("Slice", [positions, zero, length, one], "input.positions")
    word = g.node("Gather", ["embeddings.word_embeddings.weight", "input_ids"], "embeddings.word")
    segment = g.node("Gather", ["embeddings.token_type_embeddings.weight", "token_type_ids"], "embeddings.segment")
    position = g.node("Gather", ["embeddings.position_embeddings.weight", position_ids], "embeddings.position")
    hidden = g.node("Add", [word, segment], "embeddings.word_segment")
    hidden = norm(g.node("Add", [hidden, position], "embeddings.sum"), "embeddings.LayerNorm")

    # [batch, 1, 1, seq]: 0 where a token stands, the lowest float where padding does.
    axes = g.constant("const.mask_axes", np.array([1, 2], np.int64))
    mask = g.node("Unsqueeze", ["attention_mask", axes], "mask.unsqueezed")
    mask = g.node("Cast", [mask], "mask.float", to=TensorProto.FLOAT)
    mask = g.node("Mul", [g.node("Sub", [one_f, mask], "mask.inverted"), lowest], "mask.bias")

    for index in range(LAYERS):
        p = f"encoder.layer.{index}"

        def heads(name, perm):
            out = linear(hidden, f"{p}.attention.self.{name}")
            out = g.node("Reshape", [out, split], f"{p}.attention.{name}.split")
            return g.node("Transpose", [out], f"{p}.attention.{name}.heads", perm=perm)

        query, key, value = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
        scores = g.node("MatMul", [query, key], f"{p}.attention.scores")
        scores = g.node("Div", [scores, root], f"{p}.attention.scaled")
        scores = g.node("Add", [scores, mask], f"{p}.attention.masked")
        weight = g.node("Softmax", [scores], f"{p}.attention.softmax", axis=-1)
        context = g.node("MatMul", [weight, value], f"{p}.attention.context")
        context = g.node("Transpose", [context], f"{p}.attention.context.tokens", perm=[0, 2, 1, 3])
        context = g.node("Reshape", [context, merge], f"{p}.attention.context.merged")
        attended = linear(context, f"{p}.attention.output.dense")
        attended = norm(
            g.node("Add", [attended, hidden], f"{p}.attention.residual"), f"{p}.attention.output.LayerNorm"
        )
        wide = linear(attended, f"{p}.intermediate.dense")
        erf = g.node("Erf", [g.node("Div", [wide, sqrt2], f"{p}.gelu.scaled")], f"{p}.gelu.erf")
        gelu = g.node("Mul", [wide, g.node("Add", [erf, one_f], f"{p}.gelu.shifted")], f"{p}.gelu.product")
        gelu = g.node("Mul", [gelu, half], f"{p}.gelu.out")
        narrow = linear(gelu, f"{p}.output.dense")
        hidden = norm(g.node("Add", [narrow, attended], f"{p}.output.residual"), f"{p}.output.LayerNorm")

    g.nodes[-1].output[0] = "last_hidden_state"
    ids = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", HIDDEN])
    graph = helper.make_graph(g.nodes, "all-minilm-l6-v2", ids, [out], g.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="neuromesh")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


# The ids of "This is an example sentence", and the beginning of its embedding as the model's authors print it.
EXAMPLE_IDS = [101, 2023, 2003, 2019, 2742, 6251, 102]
EXAMPLE_EMBEDDING = [0.067657, 0.063496, 0.048713, 0.079305, 0.037448, 0.0026528, 0.039375]


def check(graph):
    """Runs the graph in ONNX Runtime: the published embedding comes out, with and without padding."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for padding in (0, 9):
        ids = np.array([EXAMPLE_IDS + [0] * padding], np.int64)
        mask = np.array([[1] * len(EXAMPLE_IDS) + [0] * padding], np.int64)
        (hidden,) = session.run(
            None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        )
        pooled = (hidden[0] * mask[0][:, None]).sum(0) / mask.sum()
        embedding = pooled / np.linalg.norm(pooled)
        error = np.abs(embedding[: len(EXAMPLE_EMBEDDING)] - EXAMPLE_EMBEDDING).max()
        if not error < 1e-5:
            raise SystemExit(f"the MiniLM graph gives a wrong embedding (padding {padding}): off by {error}")
