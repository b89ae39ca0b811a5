// The Worker: everything that takes long or touches files. The page's thread talks to it by `messages.ts`.
import type { EngineInfo, Numerics, Part } from "../types.js";
import type { WireInput } from "../wire.js";
import { BlobWriters, openBlobs, type BlobStore } from "./blobs.js";
import { startEngine } from "./engine.js";
import { Jobs } from "./jobs.js";
import { failure, named, transferables, type Call, type FromWorker, type Setup, type ToWorker } from "./messages.js";

interface Parts {
  blobs: BlobStore;
  writers: BlobWriters;
  jobs: Jobs;
  info: Promise<EngineInfo>;
}

let ready: Promise<Parts> | undefined;

let settle: { resolve: (module: WebAssembly.Module) => void; reject: (error: Error) => void };
/** The engine's module, which the page's thread compiles while this script is loaded. */
const compiled = new Promise<WebAssembly.Module>((resolve, reject) => {
  settle = { resolve, reject };
});

async function setUp({ storeName, memory, plan, alarm }: Setup): Promise<Parts> {
  const [{ engine, info }, blobs] = await Promise.all([startEngine(plan, compiled, alarm), openBlobs(storeName)]);
  const writers = new BlobWriters(blobs, () => engine.digestWriter());
  return { blobs, writers, jobs: new Jobs(engine, blobs, memory), info };
}

async function perform({ blobs, writers, jobs, info }: Parts, { id, method, args }: Call): Promise<unknown> {
  switch (method) {
    case "execute": {
      const [job, digest, manifest, input, numerics, inParts] = args as [number, string, string, WireInput, Numerics?, boolean?];
      const onPart = (part: Part) => {
        post({ kind: "part", id, part });
      };
      return jobs.execute(job, digest, manifest, input, numerics, inParts === true ? onPart : undefined);
    }
    case "open":
      return jobs.open(...(args as [string | Uint8Array]));
    case "engine":
      return info;
    case "blobSize":
      return blobs.size(...(args as [string]));
    case "blobRead":
      return blobs.read(...(args as [string, number, number]));
    case "blobBegin":
      return writers.begin(...(args as [string, number]));
    case "blobAppend":
      return writers.append(...(args as [number, Uint8Array]));
    case "blobFinish":
      return writers.finish(...(args as [number]));
    case "blobAbort":
      return writers.abort(...(args as [number]));
    case "blobList":
      return blobs.list();
    case "blobRemove":
      return blobs.remove(...(args as [string]));
    default:
      throw named("InvalidInput", `the worker has no method ${method}`);
  }
}

function post(message: FromWorker): void {
  self.postMessage(message, { transfer: message.kind === "reply" && message.ok ? transferables(message.value) : [] });
}

async function answer(call: Call): Promise<void> {
  try {
    if (ready === undefined) throw named("RunFailed", "the worker was not set up");
    post({ kind: "reply", id: call.id, ok: true, value: await perform(await ready, call) });
  } catch (error) {
    // After a trap the module's memory is in no known state: the page ends this Worker and starts another.
    if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) {
      post({ kind: "crashed", message: error.message });
    } else {
      post(failure(call.id, error));
    }
  }
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  switch (data.kind) {
    case "setup":
      ready = setUp(data);
      // The calls that wait report why; then the page lets go of this Worker, so that the next call tries again.
      ready.catch((error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        setTimeout(() => post({ kind: "crashed", message }));
      });
      return;
    case "compiled":
      settle.resolve(data.module);
      return;
    case "not-compiled":
      settle.reject(named(data.error.name, data.error.message));
      return;
    case "call":
      void answer(data);
      return;
    case "cancel":
      void ready?.then(({ jobs }) => {
        jobs.cancel(data.jobId);
      });
  }
};
