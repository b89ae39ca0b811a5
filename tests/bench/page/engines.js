// The engines that are compared, behind one interface: `load(options)` once, then `open(model)` gives
// `{ prepare(inputs), run(prepared), read(result), close() }`. `run` is what is timed; it ends with outputs that JavaScript can read.

async function ours({ base }) {
  const { default: init, WasmEngine } = await import(`${base}engine.js`);
  await init();
  return {
    open(bytes, name) {
      const manifest = {
        format: 1,
        name,
        pipeline: { kind: "tensors" },
        files: [{ role: "graph", digest: "0".repeat(64), size: bytes.length }],
        memory: 0,
        license: "",
      };
      const engine = new WasmEngine();
      const model = engine.load(JSON.stringify(manifest), [{ role: "graph", data: bytes }], 2 ** 32);
      return {
        prepare: (inputs) => inputs,
        run: (inputs) => engine.runTensors(model, inputs),
        read: (outputs) => outputs,
        close() {
          engine.unload(model);
          engine.free();
        },
      };
    },
  };
}

const ARRAYS = { f32: Float32Array, i64: BigInt64Array, i32: Int32Array, f16: Uint16Array, u8: Uint8Array, i8: Int8Array, bool: Uint8Array };
const ORT_TYPES = { f32: "float32", i64: "int64", i32: "int32", f16: "float16", u8: "uint8", i8: "int8", bool: "bool" };
const OWN_TYPES = Object.fromEntries(Object.entries(ORT_TYPES).map(([own, theirs]) => [theirs, own]));

async function ort({ threads }) {
  const ort = await import("/ort/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = "/ort/";
  return {
    async open(bytes) {
      const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all", logSeverityLevel: 3 };
      const session = await ort.InferenceSession.create(bytes, options);
      return {
        prepare: (inputs) =>
          Object.fromEntries(
            inputs.map(({ name, dtype, shape, data }) => {
              const aligned = data.slice();
              return [name, new ort.Tensor(ORT_TYPES[dtype], new ARRAYS[dtype](aligned.buffer), shape)];
            }),
          ),
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

export const ENGINES = { ours, ort };
