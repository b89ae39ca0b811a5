import type { JobDone } from "../host.js";
import type { Numerics, Part } from "../types.js";
import type { WasmChoice, WasmEngine, WasmFile } from "../wasm/engine.js";
import type { WireBytes, WireInput, WireTensor } from "../wire.js";
import { readVerified, type BlobStore } from "./blobs.js";
import type { Gpu, GpuDone, GpuFile } from "./gpu.js";
import type { Memo } from "./memo.js";
import { named } from "./messages.js";
import { PluginRunner } from "./plugins.js";

/** The most jobs that wait. */
const MAX_QUEUE = 64;
/** How often a plugin may run its graph on the GPU: each time it is begun anew. */
const MAX_GRAPH_RUNS = 4;
/** How long the engine works before the Worker listens again, in milliseconds. */
const SLICE_MS = 8;
/** How long after a job nothing else may take the engine's time, in milliseconds. */
const QUIET_MS = 3_000;
/** The pause between two stretches of what is not urgent, in milliseconds: the processor is mostly left to others. */
const REST_MS = 24;

interface Manifest {
  name: string;
  memory: number;
  pipeline: { kind: string };
  files: GpuFile[];
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
  readonly #gpu: Gpu;
  readonly #memo: Memo;
  readonly #plugins: PluginRunner;
  readonly #queue: Job[] = [];
  readonly #whenIdle: (() => void)[] = [];
  /** Loaded models, the longest unused first. */
  readonly #loaded = new Map<string, { manifest: Manifest; files: Files }>();
  #current: Job | undefined;
  /** When the last job ended. */
  #ended = 0;

  constructor(engine: WasmEngine, blobs: BlobStore, memory: number, gpu: Gpu, memo: Memo) {
    this.#memo = memo;
    this.#engine = engine;
    this.#blobs = blobs;
    this.#memory = memory;
    this.#gpu = gpu;
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
    const room = (size: number) => this.#engine.graph(size, this.#memory, false);
    const file = typeof source === "string" ? await download(source, room) : room(source.byteLength);
    if (typeof source !== "string") file.append(source);
    // Nobody else calls it by its content: hashing that would only cost time.
    const name = Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    // Of what remains after the weights, runs get all.
    const manifest: Manifest & { format: 1; license: string } = {
      format: 1,
      name: "model",
      pipeline: { kind: "tensors" },
      files: [{ role: "graph", digest: name, size: file.size() }],
      memory: 0,
      license: "",
    };
    const digest = this.#engine.load(JSON.stringify(manifest), [{ role: "graph", data: file }], this.#memory);
    this.#loaded.set(digest, { manifest, files: new Map() });
    return digest;
  }

  /** Resolves after a rest, when there has been no job for a while. */
  async idle(): Promise<void> {
    for (let wait = REST_MS; wait > 0; wait = this.#ended + QUIET_MS - performance.now()) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (this.#current !== undefined) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    }
  }

  cancel(id: number): void {
    if (this.#current?.id === id) {
      this.#current.cancelled = true;
      this.#gpu.cancel();
    }
    const at = this.#queue.findIndex((job) => job.id === id);
    if (at >= 0) this.#queue.splice(at, 1)[0]?.reject(cancelled());
  }

  async #drain(): Promise<void> {
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      this.#current = job;
      try {
        job.resolve(await this.#run(job));
        this.#memo.save();
      } catch (error) {
        job.reject(error);
      }
    }
    this.#current = undefined;
    this.#ended = performance.now();
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  async #run(job: Job): Promise<JobDone> {
    let choice = await this.#choose(job);
    if (choice?.isGpu()) {
      const done = await this.#runOnGpu(job, choice);
      if (done !== undefined) return done;
      choice = undefined;
    }
    const begin = performance.now();
    const model = await this.#load(job);
    const ready = performance.now();
    const { output, exactness } =
      model.manifest.pipeline.kind === "plugin"
        ? await this.#runPlugin(job, model.manifest, model.files, choice)
        : await this.#runSteps(job, choice);
    const loaded = [...this.#loaded.keys()];
    return { output, exactness, loadMs: ready - begin, serviceMs: performance.now() - ready, loaded };
  }

  /** How a run that may go to the GPU is to go; nothing for one that may not. */
  async #choose({ digest, input, numerics }: Job): Promise<WasmChoice | undefined> {
    if (numerics !== "fast" || !(await this.#gpu.accepts(digest))) return undefined;
    return this.#engine.chooseWithGpu(digest, input);
  }

  /** Nothing when the CPU is to run it after all. */
  async #runOnGpu(job: Job, choice: WasmChoice): Promise<JobDone | undefined> {
    const manifest = JSON.parse(job.manifest) as Manifest;
    const isPlugin = manifest.pipeline.kind === "plugin";
    const files = manifest.files.filter(({ role }) => !isPlugin || role === "graph");
    const read = (file: GpuFile, append: (piece: Uint8Array) => void) => this.#read(job, file, append);
    const run = (input: WireInput) =>
      this.#gpu.run({ digest: job.digest, manifest: job.manifest, memory: manifest.memory, files, read, input });
    try {
      const done = isPlugin ? await this.#runPluginAround(job, manifest, run) : await run(job.input);
      if (done === undefined) return undefined;
      choice.observe(done.serviceMs);
      return { ...done, exactness: "approximate", loaded: [...this.#loaded.keys()] };
    } catch (error) {
      if (job.cancelled) choice.gaveUp(this.#gpu.elapsed());
      throw error;
    } finally {
      choice.free();
    }
  }

  /** A plugin around a graph on the GPU. */
  async #runPluginAround(job: Job, manifest: Manifest, run: (input: WireInput) => Promise<GpuDone | undefined>): Promise<GpuDone | undefined> {
    const [component, input] = pluginOf(manifest, job.input);
    const files = this.#loaded.get(job.digest)?.files ?? (await this.#smallFiles(job, manifest));
    const begin = performance.now();
    const given: WireTensor[][] = [];
    let loadMs = 0;
    for (;;) {
      const step = await this.#plugins.advance(component, input, files, given);
      if ("json" in step) return { output: step, loadMs, serviceMs: performance.now() - begin - loadMs };
      if (given.length >= MAX_GRAPH_RUNS) {
        this.#gpu.refuse(job.digest, `its plugin runs the graph more than ${MAX_GRAPH_RUNS} times`);
        return undefined;
      }
      const done = await run({ tensors: step.wants });
      if (done === undefined) return undefined;
      if (!("tensors" in done.output)) throw named("RunFailed", "a graph gives tensors");
      loadMs += done.loadMs;
      given.push(done.output.tensors);
    }
  }

  /** What a plugin reads of its model. */
  async #smallFiles(job: Job, manifest: Manifest): Promise<Files> {
    const small = new Map<string, Uint8Array>();
    for (const file of manifest.files.filter(({ role }) => role !== "graph" && role !== "plugin")) {
      if (file.size > this.#memory) throw named("ModelInvalid", `the file ${file.role} has ${file.size} bytes, this tab gives ${this.#memory}`);
      const bytes = new Uint8Array(file.size);
      let at = 0;
      await this.#read(job, file, (piece) => {
        bytes.set(piece, at);
        at += piece.byteLength;
      });
      small.set(file.role, bytes);
    }
    return small;
  }

  async #read(job: Job, { digest, size }: GpuFile, append: (piece: Uint8Array) => void): Promise<void> {
    if (job.cancelled) throw cancelled();
    const hasher = this.#engine.digestWriter();
    try {
      await readVerified(this.#blobs, digest, size, {
        append: (piece) => {
          hasher.update(piece);
          append(piece);
        },
        digest: () => hasher.finish(),
      });
    } finally {
      hasher.free();
    }
  }

  async #runSteps(job: Job, choice: WasmChoice | undefined): Promise<Outcome> {
    const run = choice === undefined ? this.#engine.start(job.digest, job.input, undefined, job.numerics) : this.#engine.startChosen(job.digest, job.input, choice);
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

  async #runPlugin(job: Job, manifest: Manifest, files: Files, choice: WasmChoice | undefined): Promise<Outcome> {
    const [component, input] = pluginOf(manifest, job.input);
    await breathe();
    if (job.cancelled) throw cancelled();
    const isFast = choice?.isFast() ?? false;
    const begin = performance.now();
    const json = await this.#plugins.run(component, job.digest, input, files, choice?.threads(), isFast ? "fast" : "exact");
    choice?.observe(performance.now() - begin);
    return { output: { json }, exactness: isFast ? "approximate" : "exact" };
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
        const data = role === "graph" ? this.#engine.graph(size, this.#memory, true) : this.#engine.file(size);
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

/** The component of a model's plugin, and its input. */
function pluginOf({ name, files }: Manifest, input: WireInput): [string, WireBytes] {
  const component = files.find(({ role }) => role === "plugin");
  if (component === undefined) throw named("ModelInvalid", `model ${name} names no plugin`);
  if (!("bytes" in input)) throw named("InvalidInput", `model ${name} takes a file or bytes`);
  return [component.digest, input.bytes];
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
