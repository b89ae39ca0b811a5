// The engines that are compared, behind one interface: `load(options)` once, then `open(bytes, one)` for a model and one of its
// cases gives `{ prepare(inputs), run(prepared), read(result), close() }`. `run` is what is timed; it ends with outputs that
// JavaScript can read.

const OURS = "/neuromesh/wasm/";
/** Bytes that a model and its runs may take. */
const MEMORY = 2 ** 32;

/** A Worker for each further thread: an instance of the same module over the same memory. */
function helpers(count, bindings, work) {
  const arrive = () =>
    new Promise((resolve, reject) => {
      const worker = new Worker("/helper.js", { type: "module" });
      worker.onerror = (event) => reject(new Error(event.message));
      worker.onmessage = () => resolve(worker);
      worker.postMessage({ bindings, ...work });
    });
  return Promise.all(Array.from({ length: count }, arrive));
}

/**
 * A build of ours: `engine` (one thread), `engine-threads`, or `engine-fast` (that, and relaxed SIMD). `module` may be compiled
 * already, or about to be.
 */
async function ours({ variant = "engine", threads = 1, numerics = "exact", module }) {
  const script = `${OURS}${variant}.js`;
  module ??= WebAssembly.compileStreaming(fetch(`${OURS}${variant}_bg.wasm`));
  const [bindings, compiled] = await Promise.all([import(script), module]);
  bindings.initSync({ module: compiled });
  const engine = new bindings.WasmEngine(threads);
  if (numerics === "fast" && !engine.canBeFast?.()) throw new Error("this build has no fast path");
  if (threads > 1) await helpers(threads - 1, script, { module: compiled, memory: bindings.sharedMemory() });
  return {
    /** Where a model's pieces can go at once; as `load` of `neuromesh/engine`, without hashing them. */
    file: (size) => engine.graph(size, MEMORY, false),
    /** What makes the browser keep the code that it has optimized. */
    async rehearse() {
      const { rehearse } = await import("/neuromesh/worker/rehearsal.js");
      await rehearse(engine, async () => undefined);
    },
    open(data, { size = data.length }) {
      const manifest = {
        format: 1,
        name: "bench",
        pipeline: { kind: "tensors" },
        files: [{ role: "graph", digest: "0".repeat(64), size }],
        memory: 0,
        license: "",
      };
      const model = engine.load(JSON.stringify(manifest), [{ role: "graph", data }], MEMORY);
      return {
        prepare: (inputs) => inputs,
        run: (inputs) => engine.runTensors(model, inputs, threads, numerics),
        read: (outputs) => outputs,
        close: () => engine.unload(model),
      };
    },
  };
}

const ORT = "/ort/ort.wasm.min.mjs";
const ARRAYS = { f32: Float32Array, i64: BigInt64Array, i32: Int32Array, f16: Uint16Array, u8: Uint8Array, i8: Int8Array, bool: Uint8Array };
const ORT_TYPES = { f32: "float32", i64: "int64", i32: "int32", f16: "float16", u8: "uint8", i8: "int8", bool: "bool" };
const OWN_TYPES = Object.fromEntries(Object.entries(ORT_TYPES).map(([own, theirs]) => [theirs, own]));

async function ort({ threads = 1 }) {
  const ort = await import(ORT);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = "/ort/";
  const tensor = ({ dtype, shape, data }) => new ort.Tensor(ORT_TYPES[dtype], new ARRAYS[dtype](data.slice().buffer), shape);
  return {
    async open(bytes) {
      const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all", logSeverityLevel: 3 };
      const session = await ort.InferenceSession.create(bytes, options);
      return {
        prepare: (inputs) => Object.fromEntries(inputs.map((input) => [input.name, tensor(input)])),
        run: (feeds) => session.run(feeds),
        read: (outputs) =>
          Object.entries(outputs).map(([name, { type, dims, data }]) => ({
            name,
            dtype: OWN_TYPES[type],
            shape: [...dims],
            data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
          })),
        close: () => session.release(),
      };
    },
  };
}

/** rten or tract, each a module of `tests/bench/peers`. */
const peer = (engine) => async () => {
  const { default: init, Opening } = await import(`/peers/${engine}.js`);
  await init();
  return {
    open(bytes, { inputs, outputs }) {
      const opening = new Opening();
      const give = (to) => inputs.forEach(({ name, dtype, shape, data }) => to.input(name, dtype, Uint32Array.from(shape), data));
      give(opening);
      const model = opening.open(engine, bytes);
      const output = (index) => ({ dtype: model.dtype(index), shape: [...model.shape(index)], data: model.data(index) });
      return {
        prepare: () => undefined,
        run() {
          give(model);
          return Array.from({ length: model.run() }, (_, index) => output(index));
        },
        // In the model's order, as the reference is.
        read: (found) => found.map((one, index) => ({ name: outputs[index]?.name, ...one })),
        close: () => model.free(),
      };
    },
  };
};

export const ENGINES = { ours, ort, rten: peer("rten"), tract: peer("tract") };

/** Sends for the script of an engine (of one thread) that will be asked for. */
export const fetchScript = (engine) => void import(engine === "ours" ? `${OURS}engine.js` : ORT);
