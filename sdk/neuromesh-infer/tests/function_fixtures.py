"""Models that bring their own functions, for `make_fixtures.py`."""

import numpy as np
import onnx
from make_fixtures import HERE, describe, pack, session
from onnx import TensorProto, helper, numpy_helper


def functions():
    """Models that bring their own functions: ONNX Runtime inlines them, too."""
    own, opset = "own", [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    node = lambda op, inputs, outputs, domain="", **attributes: helper.make_node(op, inputs, outputs, domain=domain, **attributes)
    info = lambda name, *sizes: helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)

    def reference(op, name, attribute_type):
        attribute = op.attribute.add()
        attribute.name, attribute.ref_attr_name, attribute.type = name, name, attribute_type

    def function(name, inputs, outputs, nodes, attributes=(), defaults=()):
        return helper.make_function(own, name, inputs, outputs, nodes, opset, attributes, defaults)

    def model(nodes, functions, inputs, outputs):
        return helper.make_model(helper.make_graph(nodes, "g", inputs, outputs), opset_imports=opset, ir_version=8, functions=functions)

    x, z = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4), np.linspace(1, 3, 4, dtype=np.float32)
    leak = node("LeakyRelu", ["a"], ["b"])
    reference(leak, "alpha", onnx.AttributeProto.FLOAT)
    scaled = function("Scaled", ["a", "by"], ["c"], [leak, node("Mul", ["b", "by"], ["c"])], ["alpha"])
    default = function("Default", ["a"], ["b"], [leak], (), [helper.make_attribute("alpha", 0.25)])
    weights = node("Constant", [], ["w"], value=numpy_helper.from_array(np.arange(4, dtype=np.float32)))
    held = function("Held", ["a"], ["b"], [weights, node("Add", ["a", "w"], ["b"])])
    outer = function("Outer", ["a"], ["c"], [weights, node("Scaled", ["a", "w"], ["b"], own, alpha=0.5), node("Held", ["b"], ["c"], own)])
    branch = lambda name, op: helper.make_graph([node(op, ["a"], ["r"])], name, [], [info("r", None, None)])
    chosen = function("Chosen", ["a", "yes"], ["b"], [node("If", ["yes"], ["b"], then_branch=branch("t", "Neg"), else_branch=branch("e", "Abs"))])
    some = function("Some", ["a", "low", "high"], ["b"], [node("Clip", ["a", "low", "high"], ["b"])])
    two = function("Two", ["a"], ["b", "a"], [node("Neg", ["a"], ["b"])])
    flag = helper.make_tensor_value_info("yes", TensorProto.BOOL, [])
    out = info("y", None, None)
    cases = [
        ("one", [node("Scaled", ["x", "z"], ["y"], own, alpha=0.1)], [scaled], {"x": x, "z": z}),
        ("twice", [node("Scaled", ["x", "z"], ["m"], own, alpha=0.1), node("Scaled", ["m", "z"], ["y"], own, alpha=0.7)], [scaled], {"x": x, "z": z}),
        ("default", [node("Default", ["x"], ["y"], own)], [default], {"x": x}),
        ("given", [node("Default", ["x"], ["y"], own, alpha=0.75)], [default], {"x": x}),
        ("nested", [node("Outer", ["x"], ["m"], own), node("Outer", ["m"], ["y"], own)], [scaled, held, outer], {"x": x}),
        ("body", [node("Chosen", ["x", "yes"], ["y"], own)], [chosen], {"x": x, "yes": np.array(True)}),
        ("left out", [node("Some", ["x", "", "high"], ["y"], own)], [some], {"x": x, "high": np.array(0.5, np.float32)}),
        ("handed on", [node("Two", ["x"], ["m", "n"], own), node("Add", ["m", "n"], ["y"])], [two], {"x": x}),
    ]
    packed = []
    for name, nodes, list_of, feeds in cases:
        inputs = [flag if key == "yes" else info(key, *[None] * array.ndim) for key, array in feeds.items()]
        made = model(nodes, list_of, inputs, [out])
        result = x - x if name == "handed on" else session(made.SerializeToString()).run(None, feeds)[0]
        header = {"name": f"function, {name}", "operator": "", "inputs": [describe(k, a) for k, a in feeds.items()], "outputs": [describe("y", result)]}
        packed.append(pack(header, made.SerializeToString(), [*feeds.values(), result]))
    (HERE / "functions.bin").write_bytes(b"".join(packed))

    loop = function("Loop", ["a"], ["b"], [node("Loop", ["a"], ["b"], own)])
    ping, pong = (function(name, ["a"], ["b"], [node(other, ["a"], ["b"], own)]) for name, other in (("Ping", "Pong"), ("Pong", "Ping")))
    level = lambda k: function(f"L{k}", ["a"], ["b"], [node(f"L{k + 1}", ["a"], ["b"], own)])
    wide = lambda k: function(f"W{k}", ["a"], ["b"], [node(f"W{k + 1}" if k < 24 else "Neg", ["a"], ["m"], own if k < 24 else ""), node(f"W{k + 1}" if k < 24 else "Neg", ["m"], ["b"], own if k < 24 else "")])
    bad = [
        ("itself", "Loop", [loop], "calls itself"),
        ("each other", "Ping", [ping, pong], "calls itself"),
        ("deep", "L0", [level(k) for k in range(40)], "deep"),
        ("a bomb", "W0", [wide(k) for k in range(25)], "nodes in functions"),
        ("twice", "Held", [held, held], "defined twice"),
        ("absent", "Nothing", [held], "not supported"),
    ]
    packed = []
    for name, called, list_of, message in bad:
        made = model([node(called, ["x"], ["y"], own)], list_of, [info("x", 3, 4)], [out])
        packed.append(pack({"name": f"function, {name}", "inputs": [], "outputs": [], "message": message, "stage": "load"}, made.SerializeToString()))
    more = model([node("Held", ["x", "x"], ["y"], own)], [held], [info("x", 3, 4)], [out])
    packed.append(pack({"name": "function, too many inputs", "inputs": [], "outputs": [], "message": "2 inputs; the function has 1", "stage": "load"}, more.SerializeToString()))
    (HERE / "functions_refused.bin").write_bytes(b"".join(packed))
