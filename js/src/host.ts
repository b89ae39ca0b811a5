import type { Numerics, Part } from "./types.js";
import type { WireInput, WireOutput } from "./wire.js";

/** The end of a job in the Worker. */
export interface JobDone {
  output: WireOutput;
  /** Whether running again gives the same bits. */
  exactness: "exact" | "approximate";
  /** Time spent loading the model; 0 when it was loaded. */
  loadMs: number;
  /** Time spent running it. */
  serviceMs: number;
  /** Digests of the models that are loaded now. */
  loaded: string[];
}

/** What lives in the Worker, as the WebAssembly module on the page's thread sees it: the engine and the cache of model files. */
export interface Host {
  /** `onPart`, if it is there, is called with what is new of the output as it is made, and not after `cancel`. */
  execute(
    jobId: number,
    digest: string,
    manifest: string,
    input: WireInput,
    numerics?: Numerics,
    onPart?: (part: Part) => void,
  ): Promise<JobDone>;
  cancel(jobId: number): void;
  /** Bytes that the engine gives to a model: one that needs more is not even fetched. */
  readonly memory: number;
  blobSize(digest: string): Promise<number | undefined>;
  blobRead(digest: string, offset: number, len: number): Promise<Uint8Array>;
  /** The number of a new writer. */
  blobBegin(digest: string, size: number): Promise<number>;
  blobAppend(writer: number, data: Uint8Array): Promise<void>;
  /** Verifies size and digest, then publishes. */
  blobFinish(writer: number): Promise<void>;
  blobAbort(writer: number): Promise<void>;
  blobList(): Promise<string[]>;
  blobRemove(digest: string): Promise<void>;
}
