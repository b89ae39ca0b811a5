import { NeuromeshError, invalid, toError } from "./errors.js";
import { Emitter } from "./events.js";
import { sameJson, toJson } from "./json.js";
import type { Json } from "./types.js";
import type { WasmDoc } from "./wasm/mesh.js";

/** The most changes of one document that wait. */
const MAX_WAITING = 1024;

/** What happens to a document. */
export interface DocumentEvents<T> {
  /** The value changed, here or elsewhere. */
  change: T;
}

/**
 * A shared document: a JSON object that every peer may change at any time, offline too. Changes of different peers are
 * merged field by field; nobody's change to another field is lost.
 */
export class MeshDocument<T extends object = Record<string, unknown>> {
  /** The document's name. */
  readonly id: string;
  /** Resolves once the document is loaded from this browser's storage; rejects when it cannot be. */
  readonly ready: Promise<this>;
  readonly #events = new Emitter<DocumentEvents<T>>();
  #wasm: Pick<WasmDoc, "value" | "apply"> | undefined;
  #value: T;
  #heads: string[] = [];
  #waiting = 0;
  #turn: Promise<unknown>;
  #stale = false;

  /** @internal */
  constructor(id: string, init: T, open: Promise<Pick<WasmDoc, "value" | "apply" | "subscribe">>) {
    this.id = id;
    this.#value = init;
    this.ready = open.then(async (wasm) => {
      this.#wasm = wasm;
      wasm.subscribe(() => {
        this.#refresh();
      });
      await this.#read();
      return this;
    }, (error: unknown) => Promise.reject(toError(error, "StorageError")));
    // Reported to whoever changes the document or waits for it.
    this.ready.catch(() => undefined);
    this.#turn = this.ready;
  }

  /** The newest value here; treat it as read-only and use `change`. */
  get value(): Readonly<T> {
    return this.#value;
  }

  /** Calls `listener` after every change, until the returned function is called. */
  on<Name extends keyof DocumentEvents<T>>(name: Name, listener: (event: DocumentEvents<T>[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /**
   * Changes the document: `edit` gets a copy of the newest value to modify, once, when the changes before it are stored;
   * what it returns does not matter. Resolves when this one is stored in this browser; rejects with nothing changed.
   */
  change(edit: (draft: T) => unknown): Promise<void> {
    if (typeof edit !== "function") return Promise.reject(invalid("change takes a function that edits the draft"));
    if (this.#waiting >= MAX_WAITING) return Promise.reject(invalid(`${MAX_WAITING} changes wait already; await them`));
    this.#waiting += 1;
    const mine = this.#turn.then(() => this.#apply(edit)).finally(() => (this.#waiting -= 1));
    this.#turn = mine.catch(() => undefined);
    // After a failed load every change fails like it.
    return this.ready.then(() => mine);
  }

  async #apply(edit: (draft: T) => unknown): Promise<void> {
    const wasm = this.#wasm;
    if (wasm === undefined) throw new NeuromeshError("StorageError", "the document is not loaded");
    if (this.#stale) await this.#read();
    const draft = structuredClone(this.#value);
    const returned = edit(draft);
    if (returned instanceof Promise) throw invalid("the edit must be synchronous: read first, then change");
    const next = toJson(draft) as T & Record<string, Json>;
    // Seen at once; what other peers did meanwhile is merged in when it is stored.
    const heads = this.#heads;
    this.#value = next;
    this.#events.emit("change", this.#value);
    try {
      await wasm.apply(heads, next);
    } catch (error) {
      throw toError(error, "StorageError");
    } finally {
      // Also after a failure: what was shown early is taken back.
      this.#refresh();
    }
  }

  /** Reads the newest value when its turn has come; several wishes are one reading. */
  #refresh(): void {
    if (this.#stale) return;
    this.#stale = true;
    this.#turn = this.#turn.then(() => (this.#stale ? this.#read() : undefined)).catch(() => undefined);
  }

  async #read(): Promise<void> {
    if (this.#wasm === undefined) return;
    this.#stale = false;
    try {
      const { heads, value } = await this.#wasm.value();
      const same = sameJson(value, this.#value);
      this.#heads = heads;
      if (same) return;
      this.#value = value as T;
    } catch (error) {
      throw toError(error, "StorageError");
    }
    this.#events.emit("change", this.#value);
  }
}
