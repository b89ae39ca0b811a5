"""Writes the ONNX backend node tests that are in scope for the engine into one file, and a list of them all.

    node_tests.py --out FOLDER [--check] [--old DOWNLOADS]

    FOLDER/onnx-node-tests.bin    the cases in scope, in the format of sdk/neuromesh-infer/tests/make_fixtures.py: header
                                  (with "rtol", "atol", "opset", "operator" too), model, inputs, expected outputs; "f16"
                                  is float16 as raw little-endian halves. One case per test and data set.
    FOLDER/onnx-node-tests-float.bin    not part of the count: tests that are left out only because they use double,
                                  rewritten to float32 as "NAME@float32" (ONNX tests Einsum in double alone)
    FOLDER/onnx-node-tests.json   counts, the tests by operator, and each test that was left out with the reason

ONNX itself makes the tests (`onnx.backend.test.case.node.collect_testcases`, which its `generate-data` calls in 1.18 and
its backend test runner in all releases). It stamps a test with the opset in which the test's operator changed last: in the
release that we pin, many are newer than 23, the newest that the engine loads. So the tests come from two releases: for each
name, the pinned one's test if its opset is at most 23, else that of 1.18.0, the last release whose newest opset is 23. The
older release goes into a folder of its own (FOLDER/.onnx-1.18.0) and runs in a process of its own. A test stamped older
than opset 7 is raised to 7 if its operators are the same there (`Not`).

With `--old` a further file has what ten old releases ship as generated data, for operators as they were defined then:

    FOLDER/onnx-node-tests-old.bin      "NAME@onnx-RELEASE": each test in scope that uses an operator in a definition (of opset
                                  7 and later) for which there is none above, if ONNX Runtime agrees with it

With `--check` every case also runs in ONNX Runtime, and the list says which do not agree.
"""

import argparse
import collections
import dataclasses
import hashlib
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

OPSETS = range(7, 24)
OLDER = "1.18.0"
NAMES = {
    "float32": "f32",
    "float16": "f16",
    "int64": "i64",
    "int32": "i32",
    "uint8": "u8",
    "int8": "i8",
    "bool": "bool",
}
# One wheel each that has the tests' data: file name, sha256 as the registry serves it. Nothing in it is run.
OLD = {
    "1.2.2": ("onnx-1.2.2-cp36-cp36m-manylinux1_x86_64.whl", "821f9901260999fe056ad0aafbeb777c5c0f94e12dff272e5bb60f3daeef1947"),
    "1.3.0": ("onnx-1.3.0-cp36-cp36m-manylinux1_x86_64.whl", "4072a9234b0fa7ab6c0b9b78d9a5e1d61fb822fbc393da09fa4936c6ff0f690c"),
    "1.4.1": ("onnx-1.4.1-cp36-cp36m-manylinux1_x86_64.whl", "b0fb57c853420c44f099919e044b527dfeff2ac59d9f8fdc2ae19979b3bc5e28"),
    "1.5.0": ("onnx-1.5.0-cp37-cp37m-manylinux1_x86_64.whl", "37ace5a7a0c47d2a79edd83861eff17f6e463eafe96c8d930624bc51ca1023f6"),
    "1.6.0": ("onnx-1.6.0-cp37-cp37m-manylinux1_x86_64.whl", "9b32e04abe02cba4c4edb6c3cc15db917e734521ca8631e46bea3971a142d709"),
    "1.7.0": ("onnx-1.7.0-cp37-cp37m-manylinux1_x86_64.whl", "303f5028c1d3b9feaa29890c5cfc78e9424bb143e9bfe04abc4948cbe44183d4"),
    "1.8.1": ("onnx-1.8.1-cp37-cp37m-manylinux2010_x86_64.whl", "763407eb4cbb92e34e3287220969a02567a235cb0e17923eafa8f78c7035a689"),
    "1.10.2": ("onnx-1.10.2-cp37-cp37m-manylinux_2_12_x86_64.manylinux2010_x86_64.whl", "6205849c935837a934a9ec1fd994f1e858ad7d253e02d0bacbe4add211e4255d"),
    "1.12.0": ("onnx-1.12.0-cp37-cp37m-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "341c7016e23273e9ffa9b6e301eee95b8c37d0f04df7cedbdb169d2c39524c96"),
    "1.14.1": ("onnx-1.14.1-cp37-cp37m-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "6b4a0e029b3604dc5294a7333f622d8c04d6a6a1bc4f51054195074f61b8f41a"),
}  # fmt: skip
# Their outputs are drawn from a generator that the specification does not fix: nothing can be compared.
RANDOM = {"Bernoulli", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial"}


def say(text):
    print(f"node tests: {text}", flush=True)


# ---- In the process that has one release of ONNX.


def graphs(graph):
    """A graph and all that are nested in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.output:
                    yield from graphs(inner)


def operators(model, onnx):
    """(operator, version of its definition) of every node, nested ones included."""
    found = set()
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    for graph in graphs(model.graph):
        for node in graph.node:
            schema = onnx.defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
            found.add((node.op_type, schema.since_version))
    return found


def types(model, onnx):
    """The element types that a model names anywhere; anything else than a tensor stands as its kind."""
    found = set()
    name = lambda number: onnx.TensorProto.DataType.Name(number).lower()

    def of_type(type_proto):
        kind = type_proto.WhichOneof("value")
        if kind != "tensor_type":
            found.add((kind or "untyped").removesuffix("_type"))
        elif type_proto.tensor_type.elem_type:
            found.add(name(type_proto.tensor_type.elem_type))

    for info in (*model.graph.input, *model.graph.output):
        of_type(info.type)
    inferred = onnx.shape_inference.infer_shapes(model)
    for graph in graphs(inferred.graph):
        for info in (*graph.input, *graph.output, *graph.value_info):
            if info.type.WhichOneof("value"):
                of_type(info.type)
        if graph.sparse_initializer:
            found.add("sparse_tensor")
        for tensor in graph.initializer:
            found.add(name(tensor.data_type))
        for node in graph.node:
            for attribute in node.attribute:
                for tensor in (attribute.t, *attribute.tensors):
                    if tensor.data_type:
                        found.add(name(tensor.data_type))
                if attribute.HasField("sparse_tensor"):
                    found.add("sparse_tensor")
                if attribute.name in ("to", "dtype", "output_dtype", "stash_type", "softmax_precision") and attribute.i:
                    found.add(name(attribute.i))
                if node.op_type == "Constant" and attribute.name.startswith("value_string"):
                    found.add("string")
    return found


def raise_opset(model, onnx):
    """Stamps a model older than the oldest opset as that, if its operators did not change in between."""
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version < OPSETS[0]:
            before, was = operators(model, onnx), entry.version
            entry.version = OPSETS[0]
            if operators(model, onnx) != before:
                entry.version = was


def refusal(case, onnx):
    """Why a test is left out, or None."""
    opsets = {entry.domain or "ai.onnx": entry.version for entry in case.model.opset_import}
    for domain in opsets:
        if domain != "ai.onnx":
            return f"domain {domain}"
    wrong = types(case.model, onnx) - set(onnx_names())
    if wrong:
        return "type " + ", ".join(sorted(wrong))
    if opsets["ai.onnx"] not in OPSETS:
        return f"opset {opsets['ai.onnx']}"
    return None


def onnx_names():
    return {"float" if name == "float32" else name for name in NAMES}


def random(case):
    """Whether a test's outputs are drawn from a generator."""
    nodes = [node for graph in graphs(case.model.graph) for node in graph.node]
    if any(node.op_type in RANDOM for node in nodes):
        return "random outputs"
    # Dropout in training mode keeps everything when its ratio is 0: that can be compared.
    if any(node.op_type == "Dropout" for node in nodes) and "training" in case.name and "zero_ratio" not in case.name:
        return "random outputs"
    return None


def in_float(case, onnx):
    """A copy of a test that uses double, with float32 in its place."""
    import numpy as np

    double, single = onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT
    model = onnx.ModelProto()
    model.CopyFrom(case.model)

    def rewrite(tensor):
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
        )

    for graph in graphs(model.graph):
        for info in (*graph.input, *graph.output, *graph.value_info):
            if info.type.tensor_type.elem_type == double:
                info.type.tensor_type.elem_type = single
        for tensor in (*graph.initializer, *(a.t for node in graph.node for a in node.attribute)):
            if tensor.data_type == double:
                rewrite(tensor)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in ("to", "dtype") and attribute.i == double:
                    attribute.i = single
    narrow = lambda values: [
        np.asarray(v).astype(np.float32) if np.asarray(v).dtype == np.float64 else v for v in values
    ]
    return dataclasses.replace(
        case, name=f"{case.name}@float32", model=model, data_sets=[(narrow(i), narrow(o)) for i, o in case.data_sets]
    )


def collect(path):
    """All tests of this process's ONNX: name -> its cases packed, or the reason why it is left out."""
    sys.modules["PIL"] = None  # with Pillow the tests of ImageDecoder, and the random numbers after them, would be others
    import numpy as np
    import onnx
    from onnx.backend.test.case.node import collect_testcases

    warnings.simplefilter("ignore")
    np.random.seed(0)
    tests, parents = {}, {}

    def array(value):
        return np.asarray(onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value)

    def doubled(cases):
        """Every test, and after one that is left out for its type double alone its float32 form."""
        for case in cases:
            yield case
            if tests[case.name]["reason"] == "type double" and "Cast" not in tests[case.name]["operator"]:
                yield in_float(case, onnx)

    for case in doubled(collect_testcases(None)):
        raise_opset(case.model, onnx)
        # An expanded test follows the one whose operator's function body it is.
        name, expanded, _ = case.name.removesuffix("@float32").partition("_expanded")
        operator = parents.get(name) if expanded else None
        if operator is None:
            operator = case.model.graph.node[0].op_type
            parents[case.name] = operator
        opset = next((e.version for e in case.model.opset_import if e.domain in ("", "ai.onnx")), None)
        test = {"release": onnx.__version__, "operator": operator, "opset": opset, "expanded": bool(expanded)}
        test["reason"] = refusal(case, onnx) or random(case)
        tests[case.name] = test
        if test["reason"]:
            continue
        test["uses"] = sorted(operators(case.model, onnx))
        test["types"] = sorted(types(case.model, onnx))
        test["cases"] = []
        model = case.model.SerializeToString(deterministic=True)
        for number, (inputs, outputs) in enumerate(case.data_sets):
            named = []
            for infos, values in ((case.model.graph.input, inputs), (case.model.graph.output, outputs)):
                arrays = [array(value) for value in values]
                assert len(infos) == len(arrays), case.name
                for info, value in zip(infos, arrays):
                    declared = onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
                    assert value.dtype == declared, (case.name, info.name, value.dtype, declared)
                named.append([(info.name, value) for info, value in zip(infos, arrays)])
            label = case.name if len(case.data_sets) == 1 else f"{case.name}#{number}"
            more = {"rtol": case.rtol, "atol": case.atol, "opset": opset, "operator": operator}
            test["cases"].append(pack({"name": label, **more}, model, *named))
    with open(path, "wb") as file:
        pickle.dump((onnx.__version__, tests), file)


def pack(header, model, inputs, outputs):
    import numpy as np

    describe = lambda name, value: {"name": name, "type": NAMES[value.dtype.name], "shape": list(value.shape)}
    header = {
        **header,
        "model": len(model),
        "inputs": [describe(*one) for one in inputs],
        "outputs": [describe(*one) for one in outputs],
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    data = b"".join(np.ascontiguousarray(value).tobytes() for _, value in (*inputs, *outputs))
    return struct.pack("<I", len(head)) + head + model + data


# ---- In the process that puts the releases together.


def unpack(case):
    """Header, model, and the named arrays of a packed case."""
    import numpy as np

    (size,) = struct.unpack_from("<I", case)
    header = json.loads(case[4 : 4 + size])
    position = 4 + size + header["model"]
    numpy_names = {short: long for long, short in NAMES.items()}
    groups = []
    for group in ("inputs", "outputs"):
        groups.append({})
        for one in header[group]:
            dtype = np.dtype(numpy_names[one["type"]])
            count = int(np.prod(one["shape"], dtype=np.int64))
            groups[-1][one["name"]] = np.frombuffer(case, dtype, count, position).reshape(one["shape"])
            position += count * dtype.itemsize
    assert position == len(case)
    return header, case[4 + size : 4 + size + header["model"]], *groups


def older_release(folder):
    """A folder with the older ONNX alone; what it depends on is the environment's."""
    target = folder / f".onnx-{OLDER}"
    if not (target / "onnx" / "__init__.py").is_file():
        say(f"fetching onnx {OLDER} from PyPI")
        part = folder / f".onnx-{OLDER}.{os.getpid()}"
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-compile",
        ]
        command += ["--only-binary=:all:", f"--target={part}", f"onnx=={OLDER}"]
        if subprocess.run(command).returncode != 0:
            raise SystemExit(f"node tests: cannot install onnx {OLDER}: is PyPI reachable from here?")
        part.rename(target)
    return target


def run_collect(folder, release):
    """The tests of one release, from a process of its own; `release` is a folder with ONNX, or None for the environment's."""
    path = folder / f".collected.{os.getpid()}"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}
    environment["PYTHONPATH"] = str(release) if release else ""
    try:
        if subprocess.run([sys.executable, __file__, "--collect", path], env=environment).returncode != 0:
            raise SystemExit("node tests: ONNX could not generate its tests (see above)")
        return pickle.loads(path.read_bytes())
    finally:
        path.unlink(missing_ok=True)


def choose(newer, older):
    """For each name the newest test in scope; else the reason why there is none."""
    chosen = {}
    for name in sorted({**older, **newer}):
        candidates = [tests[name] for tests in (newer, older) if name in tests]
        chosen[name] = next((one for one in candidates if not one["reason"]), candidates[-1])
    return chosen


def split(chosen):
    """The tests as ONNX has them, and those that were rewritten."""
    rewritten = {name: test for name, test in chosen.items() if name.endswith("@float32") and not test["reason"]}
    return {name: test for name, test in chosen.items() if not name.endswith("@float32")}, rewritten


def agreement(case):
    """What ONNX Runtime says to a case."""
    import numpy as np
    import onnxruntime

    header, model, inputs, outputs = unpack(case)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        results = session.run(list(outputs), inputs)
    except Exception as error:
        return "refused: " + " ".join(str(error).split())[:160]
    for name, result in zip(outputs, results):
        expected, result = outputs[name], np.asarray(result)
        if result.dtype != expected.dtype or result.shape != expected.shape:
            return f"{name}: {result.dtype}{list(result.shape)}, expected {expected.dtype}{list(expected.shape)}"
        if expected.size and not np.allclose(
            result.astype(np.float64), expected.astype(np.float64), header["rtol"], header["atol"], equal_nan=True
        ):
            worst = np.nanmax(np.abs(result.astype(np.float64) - expected.astype(np.float64)))
            return f"{name}: off by {worst:.3g}"
    return "agrees"


def fetch_old(release, folder):
    """The path of an old release's wheel; downloaded once, verified always."""
    name, sha256 = OLD[release]
    path = folder / name
    if not path.is_file():
        say(f"downloading onnx {release} from PyPI")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _, _, python, _, platforms = name.removesuffix(".whl").split("-")
        command += ["--only-binary=:all:", f"--python-version={python[2:]}", f"--dest={folder}"]
        command += [f"--platform={platform}" for platform in platforms.split(".")]
        if subprocess.run([*command, f"onnx=={release}"]).returncode != 0:
            raise SystemExit(f"node tests: cannot download onnx {release}: is PyPI reachable from here?")
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != sha256:
        path.unlink()
        raise SystemExit(f"node tests: {name} has sha256 {actual}, expected {sha256}; removed it, please run again")
    return path


def old_cases(downloads, covered):
    """Cases of old releases that test operators in definitions that are not covered, and why others are left out."""
    import onnx

    cases, left_out, counts = [], {}, {}
    downloads.mkdir(parents=True, exist_ok=True)
    for release in OLD:
        added = set()
        with zipfile.ZipFile(fetch_old(release, downloads)) as wheel:
            members = set(wheel.namelist())
            for member in sorted(members):
                found = re.fullmatch(r"(onnx/backend/test/data/node/([^/]+))/model\.onnx", member)
                if not found:
                    continue
                base, name = found[1], f"{found[2]}@onnx-{release}"
                model = onnx.load_from_string(wheel.read(member))
                domains = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
                try:
                    uses = operators(model, onnx)
                    if set(domains) != {"ai.onnx"} or types(model, onnx) - set(onnx_names()):
                        continue
                except (onnx.defs.SchemaError, onnx.shape_inference.InferenceError):
                    continue  # an experimental operator of its time
                if domains["ai.onnx"] not in OPSETS or uses <= covered or random(onnx_case(model, found[2])):
                    continue
                given = {tensor.name for tensor in model.graph.initializer}
                infos = {"input": [i for i in model.graph.input if i.name not in given], "output": model.graph.output}
                for number in range(sum(f"{base}/test_data_set_{k}/output_0.pb" in members for k in range(9))):
                    values = {}
                    for kind in infos:
                        values[kind] = []
                        for place, info in enumerate(infos[kind]):
                            tensor = onnx.TensorProto()
                            tensor.ParseFromString(wheel.read(f"{base}/test_data_set_{number}/{kind}_{place}.pb"))
                            values[kind].append((info.name, onnx.numpy_helper.to_array(tensor)))
                    new = sorted(uses - covered)
                    more = {"rtol": 1e-3, "atol": 1e-7, "opset": domains["ai.onnx"], "operator": new[0][0]}
                    data = model.SerializeToString(deterministic=True)
                    case = pack({"name": name if number == 0 else f"{name}#{number}", **more}, data, *values.values())
                    verdict = agreement(case)
                    if verdict == "agrees":
                        cases.append(case)
                        added |= uses
                    else:
                        left_out[name] = f"ONNX Runtime: {verdict}"
        counts[release] = sum(1 for case in cases) - sum(counts.values())
        covered |= added
    return cases, left_out, counts


def onnx_case(model, name):
    """As much of a test case as `random` looks at."""
    return argparse.Namespace(model=model, name=name)


def summary(chosen, releases, checks):
    kept = {name: test for name, test in chosen.items() if not test["reason"]}
    by_operator, uses = collections.defaultdict(lambda: collections.defaultdict(set)), collections.defaultdict(set)
    for name, test in kept.items():
        row = by_operator[test["operator"]]
        row["tests"].add(name)
        row["opsets"].add(test["opset"])
        row["types"].update("float32" if one == "float" else one for one in test["types"])
        for operator, version in test["uses"]:
            uses[operator].add(version)
    left_out = {name: test["reason"] for name, test in chosen.items() if test["reason"]}
    reasons = collections.Counter("opset" if reason.startswith("opset") else reason for reason in left_out.values())
    order = sorted(by_operator, key=lambda operator: (-len(by_operator[operator]["tests"]), operator))
    return {
        "releases": releases,
        "opsets": [OPSETS[0], OPSETS[-1]],
        "tests": len(chosen),
        "in_scope": len(kept),
        "cases": sum(len(test["cases"]) for test in kept.values()),
        "expanded": sum(test["expanded"] for test in kept.values()),
        "by_release": dict(sorted(collections.Counter(test["release"] for test in kept.values()).items())),
        "by_opset": dict(sorted(collections.Counter(test["opset"] for test in kept.values()).items())),
        "left_out_by_reason": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        "operators": {
            operator: {
                key: len(value) if key == "tests" else sorted(value) for key, value in by_operator[operator].items()
            }
            for operator in order
        },
        "operators_used": {operator: sorted(uses[operator]) for operator in sorted(uses)},
        **({"onnxruntime": {name: text for name, text in checks.items() if text != "agrees"}} if checks else {}),
        "left_out": left_out,
        "list": {name: [test["operator"], test["opset"], test["release"]] for name, test in kept.items()},
    }


def write_if_changed(path, data):
    if not path.is_file() or path.read_bytes() != data:
        part = path.with_name(path.name + ".part")
        part.write_bytes(data)
        part.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="the folder that the files go into")
    parser.add_argument("--check", action="store_true", help="also run every case in ONNX Runtime")
    parser.add_argument(
        "--old", type=Path, metavar="DOWNLOADS", help="also the file of old releases, kept in this folder"
    )
    parser.add_argument("--collect", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.collect:
        return collect(arguments.collect)
    if not arguments.out:
        parser.error("--out is needed")
    folder = arguments.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    older_folder = older_release(folder)
    collected = []
    for release in (None, older_folder):
        version, tests = run_collect(folder, release)
        own = split(tests)[0].values()
        say(f"onnx {version} makes {len(own)} tests, {sum(not test['reason'] for test in own)} of them in scope")
        collected.append((version, tests))
    (newest, newer), (oldest, older) = collected
    if oldest != OLDER:
        raise SystemExit(f"node tests: onnx {OLDER} was expected, {oldest} was found")
    chosen, rewritten = split(choose(newer, older))
    cases = [case for test in chosen.values() if not test["reason"] for case in test["cases"]]
    more = [case for test in rewritten.values() for case in test["cases"]]
    checks = {}
    if arguments.check:
        for case in cases + more:
            checks[unpack(case)[0]["name"]] = agreement(case)
        say(f"ONNX Runtime agrees with {sum(text == 'agrees' for text in checks.values())} of {len(checks)} cases")
    listing = summary(chosen, [newest, oldest], checks)
    listing["rewritten"] = sorted(rewritten)
    if arguments.old:
        covered = {
            (operator, version) for operator, versions in listing["operators_used"].items() for version in versions
        }
        before = len(covered)
        old, left_out, counts = old_cases(arguments.old, covered)
        definitions = collections.defaultdict(list)
        for operator, version in sorted(covered):
            definitions[operator].append(version)
        listing["old"] = {"cases": len(old), "by_release": counts, "definitions": definitions, "left_out": left_out}
        write_if_changed(folder / "onnx-node-tests-old.bin", b"".join(old))
        say(
            f"{len(old)} cases of old releases, {sum(map(len, old)) / 1e6:.1f} MB: "
            f"{before} definitions of operators are tested without them, {len(covered)} with them"
        )
    write_if_changed(folder / "onnx-node-tests.json", json.dumps(listing, indent=1).encode() + b"\n")
    write_if_changed(folder / "onnx-node-tests.bin", b"".join(cases))
    write_if_changed(folder / "onnx-node-tests-float.bin", b"".join(more))
    say(
        f"{listing['in_scope']} of {listing['tests']} tests in scope, {len(cases)} cases of {len(listing['operators'])} "
        f"operators, {sum(map(len, cases)) / 1e6:.1f} MB, and {len(more)} rewritten"
    )
    say("left out: " + ", ".join(f"{count} {reason}" for reason, count in listing["left_out_by_reason"].items()))


if __name__ == "__main__":
    main()
