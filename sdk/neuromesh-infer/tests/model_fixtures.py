"""Answers of ONNX Runtime for the real models, for `make_fixtures.py`."""

from pathlib import Path

import numpy as np
from make_fixtures import HERE, describe, pack, session


def minilm(folder, rng):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    runner = session(str(folder / "model.onnx"))
    texts = ["A mesh of tabs and servers answers together.", "Ein Satz auf Deutsch, mit Umlauten: äöüß!", "", "x" * 300 + " \U0001f680 " + "many words " * 400,
             "The quick brown fox jumps over the lazy dog; it was never seen again, neither by the dog nor by anybody else in the village."]
    cases = []
    for number, text in enumerate(texts):
        tokens = np.array([tokenizer.encode(text).ids], np.int64)
        feeds = {"input_ids": tokens, "attention_mask": np.ones_like(tokens), "token_type_ids": np.zeros_like(tokens)}
        hidden = runner.run(None, feeds)[0]
        mean = hidden[0].mean(0)
        embedding = (mean / np.linalg.norm(mean)).astype(np.float32)
        header = {"name": f"text {number}", "text": text, "inputs": [], "outputs": [describe("tokens", tokens[0]), describe("embedding", embedding)]}
        cases.append(pack(header, b"", [tokens[0], embedding]))
    (HERE / "minilm_text.bin").write_bytes(b"".join(cases))
    # The bare model, with a batch and a mask that hides the end of one row.
    tokens = rng.integers(1000, 20000, (2, 9)).astype(np.int64)
    mask = np.ones_like(tokens)
    mask[1, 6:] = 0
    feeds = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
    write_model("minilm_tensors.bin", runner, [("batch", feeds)])


def magika(folder, rng):
    runner = session(str(folder / "model.onnx"))
    samples = [("python", Path(__file__).read_bytes()), ("model", (folder / "model.onnx").read_bytes()), ("json", b'{"a": [1, 2, 3], "b": "text"}' * 40), ("short", b"#!/bin/sh\necho hello\n")]
    cases = []
    for name, data in samples:
        features = np.full((1, 2048), 256, np.int32)
        begin, end = data[:1024], data[-1024:]
        features[0, : len(begin)] = list(begin)
        features[0, 2048 - len(end) :] = list(end)
        cases.append((name, {"bytes": features}))
    cases.append(("batch", {"bytes": rng.integers(0, 257, (2, 2048)).astype(np.int32)}))
    write_model("magika_tensors.bin", runner, cases)


def write_model(path, runner, cases):
    packed = []
    for name, feeds in cases:
        results = runner.run(None, feeds)
        infos = runner.get_outputs()
        header = {"name": name, "inputs": [describe(k, a) for k, a in feeds.items()], "outputs": [describe(o.name, r) for o, r in zip(infos, results)]}
        packed.append(pack(header, b"", [*feeds.values(), *results]))
    (HERE / path).write_bytes(b"".join(packed))
    print(f"{path}: {len(packed)} cases, {(HERE / path).stat().st_size} bytes")
