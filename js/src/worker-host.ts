import { compile } from "./compile.js";
import { NeuromeshError, describe, toError } from "./errors.js";
import type { Host, JobDone } from "./host.js";
import { planFor } from "./plan.js";
import type { EngineInfo, Numerics, Part } from "./types.js";
import { urls } from "./wasm/urls.js";
import type { WireInput } from "./wire.js";
import { transferables, type Alarm, type Call, type CancelJob, type Compiled, type FromWorker, type Setup } from "./worker/messages.js";

/** How long a cancelled run may go on before its Worker is ended: a plugin in a loop hears nothing. */
const CANCEL_GRACE_MS = 10_000;

interface Pending {
  resolve: (value: never) => void;
  reject: (error: NeuromeshError) => void;
  jobId?: number;
  onPart?: (part: Part) => void;
}

/** The page's side of the Worker: starts it when it is needed, and again after it crashed. */
export class WorkerHost implements Host {
  readonly memory: number;
  readonly #setup: Setup;
  readonly #pending = new Map<number, Pending>();
  readonly #alarm: BroadcastChannel;
  #worker: Worker | undefined;
  #module: Promise<WebAssembly.Module> | undefined;
  #next = 1;
  #closed = false;

  constructor(storeName: string | undefined, memory: number, threads?: number) {
    this.memory = memory;
    const alarm = `neuromesh-${crypto.randomUUID()}`;
    this.#setup = { kind: "setup", memory, alarm, plan: planFor(threads) };
    if (storeName !== undefined) this.#setup.storeName = storeName;
    this.#alarm = new BroadcastChannel(alarm);
    this.#alarm.onmessage = ({ data }: MessageEvent<Alarm>) => {
      this.#crash(data.message);
    };
  }

  /** Starts the Worker before it is needed. */
  warm(): void {
    this.#start();
  }

  /** The engine's threads, once they are there. */
  engine(): Promise<EngineInfo> {
    return this.#call("engine", []);
  }

  /** Loads a graph from a URL or its bytes (which are given away); its digest, for `execute`. */
  open(source: string | Uint8Array): Promise<string> {
    return this.#call("open", [source]);
  }

  execute(
    jobId: number,
    digest: string,
    manifest: string,
    input: WireInput,
    numerics?: Numerics,
    onPart?: (part: Part) => void,
  ): Promise<JobDone> {
    const job = onPart === undefined ? { jobId } : { jobId, onPart };
    return this.#call("execute", [jobId, digest, manifest, input, numerics, onPart !== undefined], job);
  }

  cancel(jobId: number): void {
    // Whoever cancels does not listen any more.
    for (const pending of this.#pending.values()) if (pending.jobId === jobId) delete pending.onPart;
    this.#worker?.postMessage({ kind: "cancel", jobId } satisfies CancelJob);
    setTimeout(() => {
      const hung = [...this.#pending.values()].some((pending) => pending.jobId === jobId);
      if (hung) this.#crash("a cancelled run did not stop");
    }, CANCEL_GRACE_MS);
  }

  blobSize(digest: string): Promise<number | undefined> {
    return this.#call("blobSize", [digest]);
  }

  blobRead(digest: string, offset: number, len: number): Promise<Uint8Array> {
    return this.#call("blobRead", [digest, offset, len]);
  }

  blobBegin(digest: string, size: number): Promise<number> {
    return this.#call("blobBegin", [digest, size]);
  }

  blobAppend(writer: number, data: Uint8Array): Promise<void> {
    return this.#call("blobAppend", [writer, data]);
  }

  blobFinish(writer: number): Promise<void> {
    return this.#call("blobFinish", [writer]);
  }

  blobAbort(writer: number): Promise<void> {
    return this.#call("blobAbort", [writer]);
  }

  blobList(): Promise<string[]> {
    return this.#call("blobList", []);
  }

  blobRemove(digest: string): Promise<void> {
    return this.#call("blobRemove", [digest]);
  }

  close(): void {
    this.#closed = true;
    this.#alarm.close();
    this.#end(new NeuromeshError("Closed", "it is closed already"));
  }

  #call<T>(method: string, args: unknown[], job: Pick<Pending, "jobId" | "onPart"> = {}): Promise<T> {
    if (this.#closed) return Promise.reject(new NeuromeshError("Closed", "it is closed already"));
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, ...job });
      try {
        const message: Call = { kind: "call", id, method, args };
        this.#start().postMessage(message, transferables(args));
      } catch (error) {
        this.#pending.delete(id);
        reject(toError(error));
      }
    });
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(new URL("./worker/worker.js", import.meta.url), { type: "module", name: "neuromesh" });
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === "crashed") this.#crash(data.message, worker);
      else if (data.kind === "part") this.#pending.get(data.id)?.onPart?.(data.part);
      else this.#settle(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#crash(event.message || "the worker's script could not be loaded", worker);
    };
    worker.onmessageerror = () => {
      this.#crash("a message could not be read", worker);
    };
    worker.postMessage(this.#setup);
    this.#compile().then(
      (module) => {
        worker.postMessage({ kind: "compiled", module } satisfies Compiled);
      },
      (error: unknown) => {
        this.#module = undefined;
        worker.postMessage({ kind: "not-compiled", error: describe(error) } satisfies Compiled);
      },
    );
    return worker;
  }

  /** Here, because the Worker's own script is still on its way; once for all Workers. */
  #compile(): Promise<WebAssembly.Module> {
    return (this.#module ??= compile(urls[this.#setup.plan.variant] ?? urls.engine));
  }

  #settle(reply: Extract<FromWorker, { kind: "reply" }>): void {
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    this.#pending.delete(reply.id);
    if (reply.ok) pending.resolve(reply.value as never);
    // The WebAssembly side tells more names apart than a caller ever sees: kept as they are.
    else pending.reject(Object.assign(toError(reply.error), { name: reply.error.name }));
  }

  #crash(why: string, worker = this.#worker): void {
    // The last words of a Worker that was replaced already.
    if (worker !== this.#worker) return;
    this.#end(new NeuromeshError("RunFailed", `the engine of this tab stopped (${why}); the next run starts it again`));
  }

  #end(error: NeuromeshError): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(error);
  }
}
