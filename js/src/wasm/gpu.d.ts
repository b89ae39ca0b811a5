// What this package uses of the `wasm-bindgen` output (crate `neuromesh-gpu`), typed as narrowly as the crate behaves.
import type { WireInput, WireOutput } from "../wire.js";
import type { WasmFile } from "./engine.js";

export class WasmGpu {
  static open(): Promise<WasmGpu>;
  memory(): number;
  file(size: number): WasmFile;
  graph(size: number, memory: number): WasmFile;
  load(manifest: string, files: { role: string; data: WasmFile }[]): string;
  unload(digest: string): boolean;
  start(digest: string, input: WireInput): WasmGpuRun;
}

export class WasmGpuRun {
  step(budgetMs: number): Promise<WireOutput | undefined>;
  onGpu(): number;
  onCpu(): number;
  free(): void;
}

export function initSync(options: { module: WebAssembly.Module }): { __wasm_call_ctors(): void };
