import { plugins, type Transpiled } from "../plugins/index.js";
import { describe } from "../errors.js";
import type { Numerics } from "../types.js";
import type { WasmEngine } from "../wasm/engine.js";
import type { WireBytes, WireTensor } from "../wire.js";
import { named } from "./messages.js";

/** How a plugin's graph is run. */
type RunGraph = (tensors: WireTensor[]) => WireTensor[];

/** The longest answer of a plugin, in characters. */
const MAX_OUTPUT = 1024 * 1024;

type PluginTensor = Omit<WireTensor, "shape"> & { shape: Uint32Array | number[] };

/**
 * Runs the plugins that this build ships, each call in a fresh instance: a plugin keeps no state, has no clock, no
 * network and no files but its model's. The world is `neuromesh:plugin@0.1.0`.
 */
export class PluginRunner {
  readonly #engine: WasmEngine;
  readonly #modules = new Map<string, Promise<WebAssembly.Module>>();
  /** A trap of the engine under a plugin: no plugin's failure, it ends the Worker. */
  #trap: WebAssembly.RuntimeError | undefined;

  constructor(engine: WasmEngine) {
    this.#engine = engine;
  }

  /** The plugin's JSON, around a model that the engine runs on so many threads. */
  run(component: string, model: string, input: WireBytes, files: ReadonlyMap<string, Uint8Array>, threads?: number, numerics?: Numerics): Promise<string> {
    return this.#run(component, input, files, (tensors) => this.#infer(model, tensors, threads, numerics));
  }

  /**
   * The same around a model that somebody else runs, who is not waited for. `given` are the outputs of the graph's runs so far;
   * the inputs of the next one are returned, until there is none: a plugin has no clock and no randomness, so that it asks for the
   * same runs every time.
   */
  async advance(component: string, input: WireBytes, files: ReadonlyMap<string, Uint8Array>, given: WireTensor[][]): Promise<{ json: string } | { wants: WireTensor[] }> {
    let wanted: WireTensor[] | undefined;
    let calls = 0;
    const graph = (tensors: WireTensor[]): WireTensor[] => {
      const outputs = given[calls++];
      if (outputs !== undefined) return outputs;
      wanted ??= tensors;
      throw new Error("the graph runs later");
    };
    try {
      const json = await this.#run(component, input, files, graph);
      return wanted === undefined ? { json } : { wants: wanted };
    } catch (error) {
      if (wanted !== undefined) return { wants: wanted };
      throw error;
    }
  }

  async #run(component: string, input: WireBytes, files: ReadonlyMap<string, Uint8Array>, graph: RunGraph): Promise<string> {
    const plugin = Object.hasOwn(plugins, component) ? await plugins[component]?.() : undefined;
    if (plugin === undefined) {
      throw named("PluginFailed", `the plugin ${component.slice(0, 8)}… is not part of this build; run it on a node`);
    }
    const imports = this.#imports(input, files, graph);
    try {
      const instance = await plugin.instantiate((path) => this.#module(component, plugin, path), imports);
      const json = instance.run();
      if (json.length > MAX_OUTPUT) throw new Error(`the answer is over ${MAX_OUTPUT} characters`);
      return json;
    } catch (error) {
      if (this.#trap !== undefined) throw this.#trap;
      throw named("PluginFailed", `plugin: ${payloadOf(error)}`);
    }
  }

  #imports(input: WireBytes, files: ReadonlyMap<string, Uint8Array>, graph: RunGraph) {
    return {
      "neuromesh:plugin/engine": {
        run: (tensors: PluginTensor[]) =>
          orText(() => {
            const wire = tensors.map((tensor) => ({ ...tensor, shape: [...tensor.shape] }));
            return graph(wire).map(({ shape, ...rest }) => ({ ...rest, shape: Uint32Array.from(shape) }));
          }),
      },
      "neuromesh:plugin/source": {
        len: () => BigInt(input.len),
        read: (offset: bigint, len: number) => orText(() => readPart(input, Number(offset), len)),
      },
      "neuromesh:plugin/files": {
        read: (role: string) =>
          orText(() => {
            const data = files.get(role);
            if (data === undefined) throw new Error(`the model has no file ${role}`);
            return data;
          }),
      },
    };
  }

  #infer(model: string, tensors: WireTensor[], threads?: number, numerics?: Numerics): WireTensor[] {
    try {
      return this.#engine.runTensors(model, tensors, threads, numerics);
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) this.#trap = error;
      throw error;
    }
  }

  #module(component: string, plugin: Transpiled, path: string): Promise<WebAssembly.Module> {
    const key = `${component}/${path}`;
    let module = this.#modules.get(key);
    if (module === undefined) {
      module = compile(plugin.modules[path]);
      // What failed to arrive is asked for again at the next run.
      module.catch(() => this.#modules.delete(key));
      this.#modules.set(key, module);
    }
    return module;
  }
}

/** The `len` bytes from `offset`, if one part holds them all. */
export function readPart(input: WireBytes, offset: number, len: number): Uint8Array {
  if (len === 0 && offset <= input.len) return new Uint8Array(0);
  for (const part of input.parts) {
    const start = offset - part.offset;
    if (start >= 0 && start + len <= part.data.byteLength) return part.data.slice(start, start + len);
  }
  throw new Error(`bytes ${offset} to ${offset + len} of the input are not at hand`);
}

async function compile(url: URL | undefined): Promise<WebAssembly.Module> {
  if (url === undefined) throw new Error("a core module of the plugin is missing from this build");
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname}: HTTP ${response.status}`);
  return WebAssembly.compile(await response.arrayBuffer());
}

/** Components take a `result`'s error as a thrown value of its type: here, text. */
function orText<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- the component model's convention for `result`
    throw describe(error).message;
  }
}

/** jco wraps the error of the component's own `result` as `ComponentError` with a payload. */
function payloadOf(thrown: unknown): string {
  if (typeof thrown === "object" && thrown !== null && "payload" in thrown && typeof thrown.payload === "string") {
    return thrown.payload;
  }
  return describe(thrown).message;
}
