// What this package uses of the `wasm-bindgen` output (crate `neuromesh-wasm`, feature `engine`), typed as narrowly as the crate behaves.
import type { Numerics, Part } from "../types.js";
import type { WireInput, WireOutput, WireTensor } from "../wire.js";

export class WasmEngine {
  constructor(threads?: number);
  canBeFast(): boolean;
  warmUp(): void;
  load(manifest: string, files: { role: string; data: Uint8Array | WasmFile }[], memory: number): string;
  unload(digest: string): boolean;
  loaded(): string[];
  start(digest: string, input: WireInput, threads?: number, numerics?: Numerics): WasmRun;
  runTensors(digest: string, tensors: WireTensor[], threads?: number, numerics?: Numerics): WireTensor[];
  file(size: number): WasmFile;
  graph(size: number, memory: number): WasmFile;
  digestWriter(): WasmDigest;
}

export class WasmRun {
  isExact(): boolean;
  step(budgetMs: number): WireOutput | undefined;
  takeParts(): Part | undefined;
  free(): void;
}

/** A file on its way into the engine; `load` uses it up. */
export class WasmFile {
  append(piece: Uint8Array): void;
  size(): number;
  digest(): string;
  bytes(): Uint8Array;
  free(): void;
}

export class WasmDigest {
  update(bytes: Uint8Array): void;
  finish(): string;
  free(): void;
}
