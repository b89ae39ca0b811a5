// The bindings of the engine's builds, which all have the same interface. `scripts/build.mjs` writes the module that this describes.
import type { WasmEngine } from "./engine.js";
import type { Variant } from "./urls.js";

export interface Bindings {
  initSync(options: { module: WebAssembly.Module; memory?: WebAssembly.Memory; thread_stack_size?: number }): unknown;
  WasmEngine: new (threads?: number) => WasmEngine;
  help(): boolean;
  sharedMemory(): WebAssembly.Memory;
}

export const modules: { engine: Bindings } & Partial<Record<Variant, Bindings>>;
