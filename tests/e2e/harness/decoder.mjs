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
  const hash = "import sys, blake3; print(blake3.blake3(open(sys.argv[1], 'rb').read()).hexdigest())";
  const digest = execFileSync(join(cache, "venv/bin/python"), ["-c", hash, graph], { encoding: "utf8" }).trim();
  // Every field, in the order in which the node writes them: a tab knows a model by these very bytes.
  const manifest = {
    format: 1,
    name: "decoder",
    pipeline: { kind: "text-generation", context: 512, max_new_tokens: 12, stop: [] },
    files: [{ role: "graph", digest, size: (await stat(graph)).size }],
    memory: 64 << 20,
    license: "MIT",
  };
  await writeFile(join(folder, "manifest.json"), JSON.stringify(manifest));
  await writeFile(join(folder, "files.json"), JSON.stringify({ graph: "model.onnx" }));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
