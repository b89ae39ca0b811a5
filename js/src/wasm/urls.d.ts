// Where the builds of the engine lie. `scripts/build.mjs` writes the module that this describes, with those that were built.

/** `engine`: one thread, everywhere. `engine-threads`: shared memory. `engine-fast`: that, and relaxed SIMD. */
export type Variant = "engine" | "engine-threads" | "engine-fast";

/** The module for the GPU, if it was built. */
export const gpu: URL | undefined;

export const urls: { engine: URL } & Partial<Record<Variant, URL>>;

/** What tells one build from another. */
export const builds: { engine: string } & Partial<Record<Variant, string>>;
