import { invalid, toError } from "./errors.js";
import type { WasmStream } from "./wasm/mesh.js";

/** Bytes to and from another peer, in order and whole, over the best connection with it; made by `mesh.open` and `mesh.handle`. */
export class MeshStream implements AsyncIterable<Uint8Array> {
  /** The other peer's id. */
  readonly peer: string;
  readonly #wasm: WasmStream;

  /** @internal */
  constructor(wasm: WasmStream) {
    this.#wasm = wasm;
    this.peer = wasm.peer;
  }

  /** What comes next, at least one byte; `undefined` once the other side has ended. */
  async read(): Promise<Uint8Array | undefined> {
    return guard(this.#wasm.read());
  }

  /** Resolves when the transport has taken the bytes, which it does at the speed of the other side. */
  async write(data: Uint8Array): Promise<void> {
    if (!(data instanceof Uint8Array)) throw invalid("a stream takes a Uint8Array");
    return guard(this.#wasm.write(data));
  }

  /** Ends what this side says; what was written still arrives, and reading goes on. */
  async closeWrite(): Promise<void> {
    return guard(this.#wasm.closeWrite());
  }

  /** Gives the stream up; the other side is told. */
  async abort(): Promise<void> {
    return guard(this.#wasm.abort());
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (let piece = await this.read(); piece !== undefined; piece = await this.read()) yield piece;
  }
}

async function guard<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw toError(error, "NetworkError");
  }
}
