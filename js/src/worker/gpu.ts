import { describe } from "../errors.js";
import type { GpuInfo } from "../types.js";
import { gpu as module } from "../wasm/urls.js";
import type { WireInput, WireOutput } from "../wire.js";
import { named, type Call, type FromGpu, type GpuAnswer, type ToGpu } from "./messages.js";

/** The most models whose refusal is remembered; the oldest is forgotten first. */
const MAX_REFUSED = 64;

/** One run. */
export interface GpuJob {
  digest: string;
  manifest: string;
  /** Bytes that the model needs, by its manifest. */
  memory: number;
  files: readonly GpuFile[];
  /** Reads one of them, verified. */
  read: (file: GpuFile, append: (piece: Uint8Array) => void) => Promise<void>;
  input: WireInput;
}

export interface GpuFile {
  role: string;
  digest: string;
  size: number;
}

/** How a run on the GPU ended. */
export interface GpuDone {
  output: WireOutput;
  /** Time spent loading the model; 0 when it was loaded. */
  loadMs: number;
  /** Time spent running it; at the first time, the browser compiles the kernels in it. */
  serviceMs: number;
}

/** What is needed of a `GPUAdapter`. */
interface Adapter {
  info?: { vendor?: string; architecture?: string; description?: string };
}

interface Pending {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/**
 * The tab's GPU and the models on it, behind a Worker of its own that is started when the first run may go there. Whatever goes
 * wrong leaves the run to the CPU, and the reason here; a GPU that failed is not used again.
 */
export class Gpu {
  readonly #memory: number;
  /** Bytes of the loaded models, the longest unused first. */
  readonly #loaded = new Map<string, number>();
  /** Models that the CPU runs, and why. */
  readonly #refused = new Map<string, string>();
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | undefined;
  #opening: Promise<void> | undefined;
  #probing: Promise<void> | undefined;
  #next = 1;
  /** Rejects the job under way. */
  #stop: (() => void) | undefined;
  /** When the graph of the job under way began to run. */
  #since: number | undefined;
  /** A job was given up and has not ended yet. */
  #lingers = false;
  /** Why it is not used. */
  #reason: string | undefined;
  #name: string | null = null;
  #allocated = 0;
  #runs = 0;
  #operators = { gpu: 0, cpu: 0 };

  /** `memory` bounds the models on it, apart from what the CPU's models take. */
  constructor(isWanted: boolean, memory: number) {
    this.#memory = memory;
    if (!isWanted) this.#reason = "the page did not ask for it";
    else if (module === undefined) this.#reason = "this build has no GPU module";
  }

  async info(): Promise<GpuInfo> {
    await this.#probe();
    const ran = this.#runs > 0 ? "fast runs go there where that was measured to be faster" : "no fast run has gone there yet";
    return {
      used: this.#reason === undefined,
      reason: this.#reason ?? ran,
      name: this.#name,
      runs: this.#runs,
      operators: { ...this.#operators },
      memory: this.#allocated,
      refused: Object.fromEntries(this.#refused),
    };
  }

  /** Whether a run of this model may go there. */
  async accepts(digest: string): Promise<boolean> {
    await this.#probe();
    return this.#reason === undefined && !this.#refused.has(digest) && !this.#lingers;
  }

  /** Leaves a model to the CPU. */
  refuse(digest: string, why: string): void {
    this.#refused.delete(digest);
    this.#refused.set(digest, why);
    const oldest = this.#refused.keys().next();
    if (this.#refused.size > MAX_REFUSED && oldest.done !== true) this.#refused.delete(oldest.value);
  }

  /** Nothing when the CPU is to run it. Rejected when the run was cancelled, or the input or the stored files are at fault. */
  async run(job: GpuJob): Promise<GpuDone | undefined> {
    const stopped = new Promise<never>((_, reject) => {
      this.#stop = () => {
        reject(named("AbortError", "the run was cancelled"));
      };
    });
    const ended = this.#run(job).finally(() => {
      this.#lingers = false;
    });
    try {
      return await Promise.race([ended, stopped]);
    } catch (error) {
      const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
      if (name === "AbortError" || name === "InvalidInput" || name === "StorageError") throw error;
      // The CPU finds better words for what is wrong with the model, if anything is.
      if (name === "ModelInvalid" || name === "RunFailed") this.refuse(job.digest, message);
      else this.#giveUp(message);
      return undefined;
    } finally {
      this.#stop = undefined;
    }
  }

  /** Rejects the job under way, if there is one, and ends it when the GPU's Worker hears of it. */
  cancel(): void {
    if (this.#stop === undefined) return;
    this.#lingers = true;
    this.#worker?.postMessage({ kind: "cancel" } satisfies ToGpu);
    this.#stop();
  }

  /** For how long the graph has run that was begun last, in milliseconds; 0 if it has ended. */
  elapsed(): number {
    return this.#since === undefined ? 0 : performance.now() - this.#since;
  }

  async #run(job: GpuJob): Promise<GpuDone> {
    await (this.#opening ??= this.#start());
    const begin = performance.now();
    const wasLoaded = this.#loaded.has(job.digest);
    await this.#load(job);
    if (this.#lingers) throw named("AbortError", "the run was cancelled");
    this.#since = performance.now();
    const loadMs = wasLoaded ? 0 : this.#since - begin;
    try {
      const { output, serviceMs, onGpu, onCpu, memory } = await this.#call<GpuAnswer>("run", [job.digest, job.input]);
      this.#runs += 1;
      this.#operators.gpu += onGpu;
      this.#operators.cpu += onCpu;
      this.#allocated = memory;
      return { output, loadMs, serviceMs };
    } finally {
      this.#since = undefined;
    }
  }

  /** Asks the browser, before anything is fetched. */
  #probe(): Promise<void> {
    return (this.#probing ??= this.#reason === undefined ? this.#ask() : Promise.resolve());
  }

  async #ask(): Promise<void> {
    try {
      const gpu = (navigator as { gpu?: { requestAdapter(options: object): Promise<Adapter | null> } }).gpu;
      const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
      if (gpu === undefined) this.#reason = "this browser, or this page, has no WebGPU";
      else if (adapter === null) this.#reason = "the browser has no adapter for WebGPU";
      const { vendor = "", architecture = "", description = "" } = adapter?.info ?? {};
      if (adapter) this.#name = description || `${vendor} ${architecture}`.trim() || "unnamed";
    } catch (error) {
      this.#reason = `the browser refused: ${describe(error).message}`;
    }
  }

  async #start(): Promise<void> {
    const worker = new Worker(new URL("./gpu-worker.js", import.meta.url), { type: "module", name: "neuromesh-gpu" });
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromGpu>) => {
      if (data.kind === "reply") this.#settle(data);
      else this.#giveUp(data.message);
    };
    // A trap in what the browser called, which is how a kernel that the browser refused shows.
    worker.onerror = (event) => {
      event.preventDefault();
      this.#giveUp(`its module stopped: ${event.message || "its script could not be loaded"}`);
    };
    await this.#call("open", []);
  }

  async #load({ digest, manifest, memory, files, read }: GpuJob): Promise<void> {
    const known = this.#loaded.get(digest);
    this.#loaded.delete(digest);
    if (known === undefined) {
      const needed = Math.max(memory, ...files.map(({ size }) => size));
      if (needed > this.#memory) throw named("ModelInvalid", `it needs ${needed} bytes of memory, this tab gives ${this.#memory}`);
      await this.#makeRoom(needed);
      try {
        for (const file of files) {
          await this.#call("begin", [file.role, file.size, this.#memory]);
          const pieces: Promise<unknown>[] = [];
          await read(file, (piece) => pieces.push(this.#call("append", [piece])));
          await Promise.all(pieces);
        }
      } catch (error) {
        await this.#call("drop", []);
        throw error;
      }
      const loaded = await this.#call<string>("load", [manifest]);
      if (loaded !== digest) {
        await this.#call("unload", [loaded]);
        throw named("ModelInvalid", "the manifest is not the one that its name says");
      }
    }
    this.#loaded.set(digest, known ?? memory);
  }

  async #makeRoom(memory: number): Promise<void> {
    let used = memory;
    for (const bytes of this.#loaded.values()) used += bytes;
    for (const [oldest, bytes] of this.#loaded) {
      if (used <= this.#memory) return;
      this.#loaded.delete(oldest);
      used -= bytes;
      await this.#call("unload", [oldest]);
    }
  }

  #call<T>(method: string, args: unknown[]): Promise<T> {
    const worker = this.#worker;
    if (worker === undefined) return Promise.reject(named("DeviceFailed", this.#reason ?? "the GPU is not open"));
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      worker.postMessage({ kind: "call", id, method, args } satisfies Call);
    });
  }

  #settle(reply: Extract<FromGpu, { kind: "reply" }>): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (reply.ok) pending?.resolve(reply.value as never);
    else pending?.reject(named(reply.error.name, reply.error.message));
  }

  /** Uses the GPU no more. */
  #giveUp(why: string): void {
    this.#reason ??= why;
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#loaded.clear();
    this.#allocated = 0;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(named("DeviceFailed", why));
  }
}
