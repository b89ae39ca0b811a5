// Written by `scripts/plugins.mjs` from the components of the models: the plugins that this build ships.
export interface Transpiled {
  /** What jco makes of a component with `--instantiation async`. */
  instantiate(
    getCoreModule: (path: string) => Promise<WebAssembly.Module>,
    imports: Record<string, Record<string, (...args: never[]) => unknown>>,
  ): Promise<{ run(): string }>;
  /** Where its core modules are. */
  modules: Record<string, URL>;
}

/** By the digest of the component. */
export const plugins: Record<string, () => Promise<Transpiled> | Transpiled>;
