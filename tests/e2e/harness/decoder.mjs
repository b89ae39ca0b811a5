// A small decoder that makes token after token, as a model's folder; of the reference data that `make test` sets up.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cache } from "./node.mjs";

/** The most tokens that it can make behind a prompt of a few. */
export const LONG = 480;

export async function decoder() {
  const graph = join(cache, "reference/decoder/model.onnx");
  if (!existsSync(graph)) throw new Error(`${graph} is missing: set it up first (\`make test SUITES=build\`)`);
  const folder = await mkdtemp(join(tmpdir(), "neuromesh-decoder-"));
  await copyFile(graph, join(folder, "model.onnx"));
  const tokenizer = join(folder, "tokenizer.json");
  await writeFile(tokenizer, JSON.stringify(byBytes()));
  const hash = "import sys, blake3; [print(blake3.blake3(open(path, 'rb').read()).hexdigest()) for path in sys.argv[1:]]";
  const digests = execFileSync(join(cache, "venv/bin/python"), ["-c", hash, graph, tokenizer], { encoding: "utf8" }).split("\n");
  const file = async (role, path, digest) => ({ role, digest, size: (await stat(path)).size });
  // Every field, in the order in which the node writes them: a tab knows a model by these very bytes.
  const manifest = {
    format: 1,
    name: "decoder",
    pipeline: { kind: "text-generation", context: 512, max_new_tokens: 12, stop: [] },
    files: [await file("graph", graph, digests[0]), await file("tokenizer", tokenizer, digests[1])],
    memory: 64 << 20,
    license: "MIT",
  };
  await writeFile(join(folder, "manifest.json"), JSON.stringify(manifest));
  await writeFile(join(folder, "files.json"), JSON.stringify({ graph: "model.onnx", tokenizer: "tokenizer.json" }));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** A tokenizer whose tokens are bytes, so that most characters are cut in several, and words. */
function byBytes() {
  const bytes = Array.from({ length: 256 }, (_, byte) => [`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, byte]);
  const words = Array.from({ length: 768 }, (_, index) => [`é${String.fromCodePoint(0x4e00 + 256 + index)}`, 256 + index]);
  return {
    model: { type: "BPE", vocab: Object.fromEntries([...bytes, ...words]), merges: [], byte_fallback: true },
    decoder: { type: "Sequence", decoders: [{ type: "ByteFallback" }, { type: "Fuse" }] },
  };
}
