// Our engine and onnxruntime-web in one Worker, on one thread each, run by turns on the same input.
import * as ort from "/ort/ort.wasm.min.mjs";
import init, { WasmEngine } from "/neuromesh/wasm/engine.js";

const WARM_UP = 3;

async function load({ url, digest, size, name }) {
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  const manifest = { format: 1, name, pipeline: { kind: "tensors" }, files: [{ role: "graph", digest, size }], memory: 0, license: "" };
  const engine = new WasmEngine();
  const model = engine.load(JSON.stringify(manifest), [{ role: "graph", data: bytes }], 2 ** 31);
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  return { engine, model, session };
}

const ARRAYS = { i64: BigInt64Array, i32: Int32Array, f32: Float32Array };
const ORT_TYPES = { i64: "int64", i32: "int32", f32: "float32" };

function inputs(specs) {
  const ours = [];
  const theirs = {};
  for (const { name, dtype, shape, values } of specs) {
    const array = ARRAYS[dtype].from(dtype === "i64" ? values.map(BigInt) : values);
    ours.push({ name, dtype, shape, data: new Uint8Array(array.buffer) });
    theirs[name] = new ort.Tensor(ORT_TYPES[dtype], array, shape);
  }
  return { ours, theirs };
}

async function compare({ model: spec, tensors, runs }) {
  const { engine, model, session } = await load(spec);
  const { ours, theirs } = inputs(tensors);
  const times = { ours: [], theirs: [] };
  let difference = 0;
  for (let round = -WARM_UP; round < runs; round++) {
    const t0 = performance.now();
    const [mine] = engine.runTensors(model, ours);
    const t1 = performance.now();
    const outputs = await session.run(theirs);
    const t2 = performance.now();
    if (round >= 0) {
      times.ours.push(t1 - t0);
      times.theirs.push(t2 - t1);
      continue;
    }
    const a = new Float32Array(mine.data.slice().buffer);
    const b = outputs[mine.name].data;
    if (a.length !== b.length) throw new Error(`outputs differ in length: ${a.length} and ${b.length}`);
    for (let i = 0; i < a.length; i++) difference = Math.max(difference, Math.abs(a[i] - b[i]));
  }
  await session.release();
  engine.unload(model);
  return { ...times, difference };
}

addEventListener("message", async ({ data }) => {
  try {
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = "/ort/";
    await init();
    postMessage({ result: await compare(data) });
  } catch (error) {
    postMessage({ error: `${error?.name}: ${error?.message}\n${error?.stack}` });
  }
});
postMessage({ ready: true });
