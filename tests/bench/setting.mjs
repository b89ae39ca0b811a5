// Where things are, for both benches.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, "../..");
const { NEUROMESH_CACHE: cache, NEUROMESH_MODELS: models, CARGO_TARGET_DIR: target } = process.env;

export const setting = {
  here,
  models,
  js: process.env.NEUROMESH_JS ?? join(root, "js/dist"),
  ort: join(here, "node_modules/onnxruntime-web/dist"),
  peers: join(target, "peers/web"),
  reference: join(cache, "reference"),
  python: join(cache, "venv/bin/python"),
  built: (name) => join(target, "release", name),
  example: (name) => join(target, "release/examples", name),
  report: (line) => console.log(`  ${line}`),
};

/** Bytes of files, as they are and as brotli. */
export function measure(paths) {
  const parts = paths.map((path) => readFileSync(path));
  const packed = (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  return { raw: sum(parts.map((part) => part.length)), packed: sum(parts.map(packed)) };
}
