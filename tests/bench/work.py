"""What a model must compute and read at least, for the floors of `make bench-engine`: work.py ZOO_FOLDER < CASES > JSON.

CASES is a JSON list of `[model, case]`. Shapes come from one run in ONNX Runtime without optimizations, in which every value of
the graph is an output. For each case `{"macs", "weights", "activations"}`: multiply-adds of convolutions and matrix products;
bytes of the constants that other operators read; bytes of inputs and outputs. `null` where a body (If, Loop, Scan) or a recurrent
operator does the work: its shapes are not seen from outside.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from engine_ort import cases

UNSEEN = {"If", "Loop", "Scan", "LSTM", "GRU", "RNN"}


def values(model, inputs, names):
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {output.name for output in shown.graph.output}
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, {one.name: inputs[one.name] for one in session.get_inputs()})))


def multiply_adds(node, shape):
    """Of one node; 0 for what is no product."""
    size = lambda name: int(np.prod(shape[name]))
    first, second, result = node.input[0], node.input[1] if len(node.input) > 1 else "", node.output[0]
    match node.op_type:
        case "Conv" | "ConvInteger":
            return size(result) * int(np.prod(shape[second][1:]))
        case "QLinearConv":
            return size(result) * int(np.prod(shape[node.input[3]][1:]))
        case "ConvTranspose":
            return size(first) * int(np.prod(shape[second][1:]))
        case "MatMul" | "MatMulInteger" | "QLinearMatMul":
            return size(result) * shape[first][-1]
        case "Gemm":
            turned = any(one.name == "transA" and one.i for one in node.attribute)
            return size(result) * shape[first][0 if turned else 1]
    return 0


def work(model, inputs):
    graph = model.graph
    if any(node.op_type in UNSEEN for node in graph.node):
        return None
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    names = [name for node in graph.node for name in node.output if name]
    found = {**constants, **inputs, **values(model, inputs, names)}
    shape = {name: value.shape for name, value in found.items()}
    macs, weights, known = 0, {}, set(constants)
    for node in graph.node:
        # What depends on constants only is known before the first run.
        if all(name in known for name in node.input if name):
            known.update(node.output)
            continue
        macs += multiply_adds(node, shape)
        weights.update((name, found[name].nbytes) for name in node.input if name in known)
    outputs = sum(found[output.name].nbytes for output in graph.output)
    return {"macs": macs, "weights": sum(weights.values()), "activations": outputs + sum(value.nbytes for value in inputs.values())}


def main():
    zoo = Path(sys.argv[1])
    answers = []
    for name, label in json.load(sys.stdin):
        data = (zoo / name / "fixtures.bin").read_bytes()
        inputs = next(inputs for found, inputs, _ in cases(data) if found == label)
        try:
            answers.append(work(onnx.load(zoo / name / "model.onnx"), inputs))
        except Exception as error:  # A figure less; why is printed.
            print(f"work.py: {name}, {label}: {error}", file=sys.stderr)
            answers.append(None)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
