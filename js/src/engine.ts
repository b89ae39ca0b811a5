/**
 * The engine alone: any ONNX model, in a Worker of this page, without a mesh.
 *
 * ```ts
 * import { load } from "neuromesh/engine";
 * const model = await load("/models/mobilenetv2.onnx");
 * const { logits } = await model.run({ input: { shape: [1, 3, 224, 224], data: pixels } });
 * model.close();
 * ```
 *
 * @packageDocumentation
 */
import { NeuromeshError, aborted, invalid, toError } from "./errors.js";
import { normalizeInput, tensorData } from "./input.js";
import type { EngineInfo, Numerics, Tensor, TensorInput } from "./types.js";
import { WorkerHost } from "./worker-host.js";

export { NeuromeshError, type ErrorName } from "./errors.js";
export type { DType, EngineInfo, Numerics, Tensor, TensorData, TensorInput } from "./types.js";

/** How a model is loaded. */
export interface LoadOptions {
  /** The most threads of a run; when absent, as many as the machine has processors, and 8 at most. */
  threads?: number;
  /** How exact runs are where they do not say themselves; `"exact"` when absent. */
  numerics?: Numerics;
  /** Memory for the model and its runs, in bytes; 1 GiB when absent. */
  memory?: number;
  /** Gives up loading. */
  signal?: AbortSignal;
}

/** How a model is run. */
export interface ModelRunOptions {
  numerics?: Numerics;
  /** Cancels the run, within one operator. */
  signal?: AbortSignal;
}

/** Tensors by the names that the model gives them. */
export type NamedInputs = Readonly<Record<string, Omit<TensorInput, "name">>>;
export type NamedOutputs = Record<string, Omit<Tensor, "name">>;

const DEFAULT_MEMORY = 1024 * 1024 * 1024;

/** Loads an ONNX model from a URL, a response or its bytes, in a Worker of its own. */
export async function load(source: string | URL | Response | Blob | ArrayBuffer | Uint8Array, options: LoadOptions = {}): Promise<LoadedModel> {
  const missing = ["Worker", "WebAssembly", "location"].filter((name) => !(name in globalThis));
  if (missing.length > 0) throw new NeuromeshError("UnsupportedEnvironment", `load() works in a browser; ${missing.join(", ")} is missing here`);
  const { threads, numerics = "exact", memory = DEFAULT_MEMORY, signal } = options;
  if (threads !== undefined && !(Number.isInteger(threads) && threads > 0)) throw invalid("threads must be a whole number above 0");
  if (!Number.isFinite(memory) || memory <= 0) throw invalid("memory must be a number of bytes above 0");
  checkNumerics(numerics);
  if (signal?.aborted) throw aborted(signal);
  const host = new WorkerHost(undefined, memory, threads);
  const abort = () => {
    host.close();
  };
  signal?.addEventListener("abort", abort, { once: true });
  try {
    // The Worker starts while the bytes are on their way.
    host.warm();
    const digest = await host.open(await contentOf(source));
    return new LoadedModel(host, digest, await host.engine(), numerics);
  } catch (error) {
    host.close();
    throw signal?.aborted ? aborted(signal) : toError(error, "ModelInvalid");
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** What the Worker fetches itself, or bytes. */
async function contentOf(source: unknown): Promise<string | Uint8Array> {
  if (typeof source === "string" || source instanceof URL) return new URL(source, location.href).href;
  if (source instanceof Uint8Array) return source.slice();
  if (source instanceof ArrayBuffer) return new Uint8Array(source.slice(0));
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  if (source instanceof Response) {
    if (!source.ok) throw new NeuromeshError("NetworkError", `${source.url}: HTTP ${source.status}`);
    return new Uint8Array(await source.arrayBuffer());
  }
  throw invalid("a model is loaded from a URL, a Response, a Blob or its bytes");
}

function checkNumerics(numerics: unknown): void {
  if (numerics !== "exact" && numerics !== "fast") throw invalid('numerics must be "exact" or "fast"');
}

/** A model that is ready to run. Made by `load`. */
export class LoadedModel {
  /** How it runs: on how many threads, and why. */
  readonly engine: EngineInfo;
  readonly #host: WorkerHost;
  readonly #digest: string;
  readonly #numerics: Numerics;
  #next = 1;

  /** @internal */
  constructor(host: WorkerHost, digest: string, engine: EngineInfo, numerics: Numerics) {
    this.#host = host;
    this.#digest = digest;
    this.#numerics = numerics;
    this.engine = engine;
  }

  /** Runs the model. Several runs wait for each other. */
  async run(inputs: NamedInputs, { numerics = this.#numerics, signal }: ModelRunOptions = {}): Promise<NamedOutputs> {
    checkNumerics(numerics);
    if (typeof inputs !== "object" || inputs === null) throw invalid("inputs must be an object of tensors by name");
    if (signal?.aborted) throw aborted(signal);
    const wire = await normalizeInput({ tensors: Object.entries(inputs).map(([name, tensor]) => ({ ...tensor, name })) });
    const job = this.#next++;
    const abort = () => {
      this.#host.cancel(job);
    };
    signal?.addEventListener("abort", abort, { once: true });
    try {
      const { output } = await this.#host.execute(job, this.#digest, "", wire, numerics);
      if (!("tensors" in output)) throw new NeuromeshError("UnexpectedOutput", "the model gave no tensors");
      return Object.fromEntries(output.tensors.map((tensor) => [tensor.name, { dtype: tensor.dtype, shape: tensor.shape, data: tensorData(tensor) }]));
    } catch (error) {
      throw signal?.aborted ? aborted(signal) : toError(error);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Ends the Worker; runs that wait are rejected with `Closed`. */
  close(): void {
    this.#host.close();
  }
}
