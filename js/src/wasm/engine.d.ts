// What this package uses of the `wasm-bindgen` output (crate `neuromesh-wasm`, feature `engine`), typed as narrowly as the crate behaves.
import type { Numerics, Part } from "../types.js";
import type { WireInput, WireOutput, WireTensor } from "../wire.js";

export class WasmEngine {
  constructor(threads?: number);
  canBeFast(): boolean;
  recall(machine: string, learned?: Uint8Array): void;
  learned(): Uint8Array | undefined;
  warmUp(): void;
  load(manifest: string, files: { role: string; data: Uint8Array | WasmFile }[], memory: number): string;
  unload(digest: string): boolean;
  loaded(): string[];
  start(digest: string, input: WireInput, threads?: number, numerics?: Numerics): WasmRun;
  chooseWithGpu(digest: string, input: WireInput): WasmChoice;
  startChosen(digest: string, input: WireInput, choice: WasmChoice): WasmRun;
  runTensors(digest: string, tensors: WireTensor[], threads?: number, numerics?: Numerics): WireTensor[];
  file(size: number): WasmFile;
  graph(size: number, memory: number, hashed: boolean): WasmFile;
  digestWriter(): WasmDigest;
}

/** How a run is to go; `startChosen` uses it up. */
export class WasmChoice {
  isGpu(): boolean;
  threads(): number;
  isFast(): boolean;
  observe(ms: number): void;
  gaveUp(ms: number): void;
  free(): void;
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
  digest(): string | undefined;
  bytes(): Uint8Array;
  free(): void;
}

export class WasmDigest {
  update(bytes: Uint8Array): void;
  finish(): string;
  free(): void;
}
