import type { JobDone } from "../host.js";
import type { Numerics, Part } from "../types.js";
import type { WasmEngine, WasmFile } from "../wasm/engine.js";
import type { WireInput } from "../wire.js";
import { readVerified, type BlobStore } from "./blobs.js";
import { named } from "./messages.js";
import { PluginRunner } from "./plugins.js";

/** The most jobs that wait. */
const MAX_QUEUE = 64;
/** How long the engine works before the Worker listens again, in milliseconds. */
const SLICE_MS = 8;

interface Manifest {
  name: string;
  memory: number;
  pipeline: { kind: string };
  files: { role: string; digest: string; size: number }[];
}

interface Job {
  id: number;
  digest: string;
  manifest: string;
  input: WireInput;
  numerics: Numerics;
  onPart: ((part: Part) => void) | undefined;
  cancelled: boolean;
  resolve: (done: JobDone) => void;
  reject: (error: unknown) => void;
}

/** What a run gave. */
type Outcome = Pick<JobDone, "output" | "exactness">;

/** Small files of a loaded model, for its plugin. */
type Files = ReadonlyMap<string, Uint8Array>;

/** Runs jobs one after the other in the order they came; keeps models loaded while memory lasts. */
export class Jobs {
  readonly #engine: WasmEngine;
  readonly #blobs: BlobStore;
  readonly #memory: number;
  readonly #plugins: PluginRunner;
  readonly #queue: Job[] = [];
  /** Loaded models, the longest unused first. */
  readonly #loaded = new Map<string, { manifest: Manifest; files: Files }>();
  #current: Job | undefined;

  constructor(engine: WasmEngine, blobs: BlobStore, memory: number) {
    this.#engine = engine;
    this.#blobs = blobs;
    this.#memory = memory;
    this.#plugins = new PluginRunner(engine);
  }

  execute(
    id: number,
    digest: string,
    manifest: string,
    input: WireInput,
    numerics: Numerics = "exact",
    onPart?: (part: Part) => void,
  ): Promise<JobDone> {
    if (this.#queue.length >= MAX_QUEUE) {
      return Promise.reject(named("RunFailed", `${MAX_QUEUE} runs wait in this tab already; try again later`));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ id, digest, manifest, input, numerics, onPart, cancelled: false, resolve, reject });
      if (this.#current === undefined) void this.#drain();
    });
  }

  /** Loads a graph that no manifest names, from a URL or its bytes; the digest under which it is run. */
  async open(source: string | Uint8Array): Promise<string> {
    const file = typeof source === "string" ? await download(source, (size) => this.#engine.graph(size, this.#memory)) : this.#engine.graph(source.byteLength, this.#memory);
    if (typeof source !== "string") file.append(source);
    // Of what remains after the weights, runs get all.
    const manifest: Manifest & { format: 1; license: string } = {
      format: 1,
      name: "model",
      pipeline: { kind: "tensors" },
      files: [{ role: "graph", digest: file.digest(), size: file.size() }],
      memory: 0,
      license: "",
    };
    const digest = this.#engine.load(JSON.stringify(manifest), [{ role: "graph", data: file }], this.#memory);
    this.#loaded.set(digest, { manifest, files: new Map() });
    return digest;
  }

  cancel(id: number): void {
    if (this.#current?.id === id) this.#current.cancelled = true;
    const at = this.#queue.findIndex((job) => job.id === id);
    if (at >= 0) this.#queue.splice(at, 1)[0]?.reject(cancelled());
  }

  async #drain(): Promise<void> {
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      this.#current = job;
      try {
        job.resolve(await this.#run(job));
      } catch (error) {
        job.reject(error);
      }
    }
    this.#current = undefined;
  }

  async #run(job: Job): Promise<JobDone> {
    const begin = performance.now();
    const model = await this.#load(job);
    const ready = performance.now();
    const { output, exactness } =
      model.manifest.pipeline.kind === "plugin"
        ? await this.#runPlugin(job, model.manifest, model.files)
        : await this.#runSteps(job);
    const loaded = [...this.#loaded.keys()];
    return { output, exactness, loadMs: ready - begin, serviceMs: performance.now() - ready, loaded };
  }

  async #runSteps(job: Job): Promise<Outcome> {
    const run = this.#engine.start(job.digest, job.input, undefined, job.numerics);
    try {
      for (;;) {
        if (job.cancelled) throw cancelled();
        const output = run.step(SLICE_MS);
        const part = job.onPart && run.takeParts();
        if (part !== undefined) job.onPart?.(part);
        if (output !== undefined) return { output, exactness: run.isExact() ? "exact" : "approximate" };
        await breathe();
      }
    } finally {
      run.free();
    }
  }

  async #runPlugin(job: Job, manifest: Manifest, files: Files): Promise<Outcome> {
    const component = manifest.files.find(({ role }) => role === "plugin");
    if (component === undefined) throw named("ModelInvalid", `model ${manifest.name} names no plugin`);
    if (!("bytes" in job.input)) throw named("InvalidInput", `model ${manifest.name} takes a file or bytes`);
    await breathe();
    if (job.cancelled) throw cancelled();
    const json = await this.#plugins.run(component.digest, job.digest, job.input.bytes, files);
    return { output: { json }, exactness: "exact" };
  }

  async #load(job: Job): Promise<{ manifest: Manifest; files: Files }> {
    const known = this.#loaded.get(job.digest);
    if (known !== undefined) {
      this.#loaded.delete(job.digest);
      this.#loaded.set(job.digest, known);
      return known;
    }
    const manifest = JSON.parse(job.manifest) as Manifest;
    this.#makeRoom(manifest);
    const files: { role: string; data: WasmFile }[] = [];
    // A plugin reads the small files itself; the engine has its own copy of graph and tokenizer.
    const forPlugin = (role: string) => manifest.pipeline.kind === "plugin" && role !== "graph" && role !== "plugin";
    const kept = new Map<string, Uint8Array>();
    try {
      for (const { role, digest, size } of manifest.files) {
        if (job.cancelled) throw cancelled();
        const data = role === "graph" ? this.#engine.graph(size, this.#memory) : this.#engine.file(size);
        files.push({ role, data });
        await readVerified(this.#blobs, digest, size, data);
        if (forPlugin(role)) kept.set(role, data.bytes());
      }
    } catch (error) {
      for (const { data } of files) data.free();
      throw error;
    }
    const digest = this.#engine.load(job.manifest, files, this.#memory);
    if (digest !== job.digest) {
      this.#engine.unload(digest);
      throw named("ModelInvalid", "the manifest is not the one that its name says");
    }
    const model = { manifest, files: kept };
    this.#loaded.set(digest, model);
    return model;
  }

  #makeRoom({ name, memory: declared, files }: Manifest): void {
    // A graph is nearly all weights: it cannot need less than its own size, whatever the manifest says.
    const memory = Math.max(declared, ...files.filter(({ role }) => role === "graph").map(({ size }) => size));
    if (memory > this.#memory) {
      throw named("ModelInvalid", `model ${name} needs ${memory} bytes of memory, this tab gives ${this.#memory}`);
    }
    let used = memory;
    for (const model of this.#loaded.values()) used += model.manifest.memory;
    for (const [digest, model] of this.#loaded) {
      if (used <= this.#memory) return;
      this.#engine.unload(digest);
      this.#loaded.delete(digest);
      used -= model.manifest.memory;
    }
  }
}

/** Fetches a file into the engine's memory, piece by piece where its size is known. */
async function download(url: string, room: (size: number) => WasmFile): Promise<WasmFile> {
  const response = await fetch(url);
  if (!response.ok) throw named("NetworkError", `${url}: HTTP ${response.status}`);
  const length = response.headers.get("content-encoding") === null ? Number(response.headers.get("content-length") ?? 0) : 0;
  if (response.body === null || !(length > 0)) {
    const bytes = new Uint8Array(await response.arrayBuffer());
    const file = room(bytes.byteLength);
    file.append(bytes);
    return file;
  }
  const file = room(length);
  try {
    const reader = response.body.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) file.append(next.value);
    return file;
  } catch (error) {
    file.free();
    throw error;
  }
}

function cancelled(): Error {
  return named("AbortError", "the run was cancelled");
}

const channel = new MessageChannel();
const waiting: (() => void)[] = [];
channel.port1.onmessage = () => waiting.shift()?.();

/** Lets waiting messages in: a timer would be clamped to 4 ms, and a promise alone lets nothing in. */
function breathe(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(null);
  });
}
