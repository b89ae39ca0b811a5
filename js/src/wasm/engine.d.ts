// What this package uses of the `wasm-bindgen` output (crate `neuromesh-wasm`, feature `engine`), typed as narrowly as the crate behaves.
import type { WireInput, WireOutput, WireTensor } from "../wire.js";

export class WasmEngine {
  constructor();
  load(manifest: string, files: { role: string; data: Uint8Array }[], memory: number): string;
  unload(digest: string): boolean;
  loaded(): string[];
  start(digest: string, input: WireInput): WasmRun;
  runTensors(digest: string, tensors: WireTensor[]): WireTensor[];
  digestWriter(): WasmDigest;
}

export class WasmRun {
  step(budgetMs: number): WireOutput | undefined;
  free(): void;
}

export class WasmDigest {
  update(bytes: Uint8Array): void;
  finish(): string;
  free(): void;
}

export function initSync(options: { module: WebAssembly.Module }): unknown;
