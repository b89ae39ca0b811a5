// The reference data of the engine: models, and ONNX Runtime's answers.
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./node.mjs";

const cache = process.env.NEUROMESH_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "neuromesh");
const ARRAYS = { f32: Float32Array, i64: BigInt64Array, i32: Int32Array, i8: Int8Array, u8: Uint8Array };

export function referenceModel(name) {
  const path = join(cache, "reference", name, "model.onnx");
  if (!existsSync(path)) throw new Error(`${path} is missing: \`.ci/setup/setup reference\` makes it`);
  return path;
}

/** The first case of a model: its inputs and ONNX Runtime's outputs, as plain lists of numbers. */
export async function referenceCase(name) {
  const bytes = await readFile(join(cache, "reference", name, "fixtures.bin"));
  const length = bytes.readUInt32LE(0);
  const header = JSON.parse(bytes.subarray(4, 4 + length).toString());
  let at = 4 + length + header.model;
  const read = ({ name: tensor, type, shape }) => {
    const array = ARRAYS[type];
    const size = shape.reduce((count, side) => count * side, 1) * array.BYTES_PER_ELEMENT;
    const data = new array(bytes.buffer.slice(bytes.byteOffset + at, bytes.byteOffset + at + size));
    at += size;
    return { name: tensor, dtype: type, shape, data: [...data].map(Number) };
  };
  return { inputs: header.inputs.map(read), outputs: header.outputs.map(read) };
}

/** A folder for `models add` under another name: a graph of the reference data in a pipeline. */
export async function modelFolder(graph, pipeline) {
  const folder = await mkdtemp(join(tmpdir(), "neuromesh-model-"));
  const bytes = await readFile(referenceModel(graph));
  const { WasmEngine, initSync } = await import(join(root, "js/dist/wasm/engine.js"));
  initSync({ module: await readFile(join(root, "js/dist/wasm/engine_bg.wasm")) });
  const writer = new WasmEngine().digestWriter();
  writer.update(bytes);
  const files = [{ role: "graph", digest: writer.finish(), size: bytes.length }];
  await writeFile(join(folder, "model.onnx"), bytes);
  await writeFile(join(folder, "files.json"), JSON.stringify({ graph: "model.onnx" }));
  await writeFile(join(folder, "manifest.json"), JSON.stringify({ format: 1, name: graph, pipeline, files, memory: 8 * bytes.length, license: "" }));
  return { path: folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
