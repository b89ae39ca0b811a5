// What the engine has learned of its own speed, kept beside the model files.
import "./sync-access.js";
import type { WasmEngine } from "../wasm/engine.js";

const FILE = "choices";
/** As the engine's own bound. */
const MAX_BYTES = 2 << 20;

/** Where learned times lie, and what lay there. */
export interface Kept {
  file: FileSystemFileHandle;
  learned: Uint8Array | undefined;
}

/** Nothing without `storeName`, or where this browser keeps no files. */
export async function kept(storeName: string | undefined): Promise<Kept | undefined> {
  if (storeName === undefined) return undefined;
  try {
    const file = await fileOf(storeName);
    const content = await file.getFile();
    const readable = content.size > 0 && content.size <= MAX_BYTES;
    return { file, learned: readable ? new Uint8Array(await content.arrayBuffer()) : undefined };
  } catch {
    return undefined;
  }
}

/** Keeps learned times, if there is a place for them. Whatever goes wrong with that, they are learned anew. */
export class Memo {
  readonly #engine: WasmEngine;
  readonly #file: FileSystemFileHandle | undefined;
  /** One write at a time; what comes meanwhile is in the next one. */
  #saving = false;

  /** Gives the engine what was learned on the same `machine`. */
  constructor(engine: WasmEngine, kept: Kept | undefined, machine: string) {
    engine.recall(machine, kept?.learned);
    this.#engine = engine;
    this.#file = kept?.file;
  }

  /** Begins to write what is new, if anything is; nobody waits for it. */
  save(): void {
    if (this.#file === undefined || this.#saving) return;
    const learned = this.#engine.learned();
    if (learned === undefined) return;
    this.#saving = true;
    // Another tab may be writing: then these times come with the next that are new.
    void write(this.#file, learned)
      .catch(() => undefined)
      .then(() => {
        this.#saving = false;
      });
  }
}

async function fileOf(storeName: string): Promise<FileSystemFileHandle> {
  const root = await navigator.storage.getDirectory();
  const store = await root.getDirectoryHandle(storeName, { create: true });
  return store.getFileHandle(FILE, { create: true });
}

/** A crash half-way leaves what cannot be read, which is no more than forgetting. */
async function write(file: FileSystemFileHandle, bytes: Uint8Array): Promise<void> {
  const access = await file.createSyncAccessHandle();
  try {
    access.truncate(0);
    access.write(bytes, { at: 0 });
    access.flush();
  } finally {
    access.close();
  }
}
