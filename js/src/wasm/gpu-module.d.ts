// The bindings of the module for the GPU. `scripts/build.mjs` writes the module that this describes: empty where none was built.
import type * as bindings from "./gpu.js";

export const gpu: typeof bindings | undefined;
