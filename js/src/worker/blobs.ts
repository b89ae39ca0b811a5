import { describe } from "../errors.js";
import { MemoryBlobs } from "./memory-blobs.js";
import { named } from "./messages.js";
import { OpfsBlobs } from "./opfs-blobs.js";

/** Computes a BLAKE3 digest of bytes that come in pieces. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Hexadecimal. */
  finish(): string;
  free(): void;
}

/** Model files by their content. What is published is whole; what is read back is verified again by [`readVerified`]. */
export interface BlobStore {
  size(digest: string): Promise<number | undefined>;
  /** Bytes `offset..offset + len`; fewer at the end. */
  read(digest: string, offset: number, len: number): Promise<Uint8Array>;
  begin(digest: string, size: number): Promise<BlobSink>;
  list(): Promise<string[]>;
  remove(digest: string): Promise<void>;
}

/** A blob under way; invisible until published. */
export interface BlobSink {
  append(bytes: Uint8Array): void;
  publish(): Promise<void>;
  discard(): Promise<void>;
}

/** Bytes read at once when a whole blob is verified. */
const CHUNK = 4 * 1024 * 1024;
/** The most writers at a time. */
const MAX_WRITERS = 32;
const DIGEST = /^[0-9a-f]{64}$/;

/** The store that this browser has: OPFS, or memory where there is none (private windows, old browsers) or none is wanted. */
export async function openBlobs(storeName: string | undefined): Promise<BlobStore> {
  if (storeName === undefined) return new MemoryBlobs();
  try {
    return await OpfsBlobs.open(storeName);
  } catch {
    return new MemoryBlobs();
  }
}

/** Where the pieces of a file go, one after the other. */
export interface FileSink {
  append(piece: Uint8Array): void;
  /** Hexadecimal, of all pieces so far. */
  digest(): string | undefined;
}

/** Reads a whole blob and checks that it is what its name says; a damaged one is deleted, so that it is fetched again. */
export async function readVerified(store: BlobStore, digest: string, size: number, to: FileSink): Promise<void> {
  const actual = await store.size(digest);
  if (actual === undefined) throw named("StorageError", `the file ${digest.slice(0, 8)}… is not in this tab's cache`);
  if (actual === size) {
    const read = (offset: number) => (offset < size ? store.read(digest, offset, Math.min(CHUNK, size - offset)) : undefined);
    // The next piece is read while this one is hashed.
    let next = read(0);
    for (let offset = 0; next !== undefined; ) {
      const piece = await next;
      if (piece.byteLength === 0) break;
      offset += piece.byteLength;
      next = read(offset);
      next?.catch(() => undefined);
      to.append(piece);
    }
    if (to.digest() === digest) return;
  }
  await store.remove(digest);
  throw named(
    "StorageError",
    `the file ${digest.slice(0, 8)}… in this tab's cache is damaged; it was deleted and has to be fetched again`,
  );
}

/** Writers by number, each verified before it is published. */
export class BlobWriters {
  readonly #store: BlobStore;
  readonly #hasher: () => Hasher;
  readonly #open = new Map<number, { digest: string; size: number; written: number; hasher: Hasher; sink: BlobSink }>();
  #next = 1;

  constructor(store: BlobStore, hasher: () => Hasher) {
    this.#store = store;
    this.#hasher = hasher;
  }

  async begin(digest: string, size: number): Promise<number> {
    if (!DIGEST.test(digest)) throw named("InvalidInput", "a blob is named by 64 hexadecimal digits");
    if (this.#open.size >= MAX_WRITERS) throw named("StorageError", `${MAX_WRITERS} files are being written already`);
    const sink = await this.#store.begin(digest, size).catch(storage);
    const number = this.#next++;
    this.#open.set(number, { digest, size, written: 0, hasher: this.#hasher(), sink });
    return number;
  }

  async append(number: number, bytes: Uint8Array): Promise<void> {
    const writer = this.#writer(number);
    try {
      writer.written += bytes.byteLength;
      if (writer.written > writer.size) throw named("DigestMismatch", `more than the announced ${writer.size} bytes came`);
      writer.hasher.update(bytes);
      writer.sink.append(bytes);
    } catch (error) {
      await this.abort(number);
      storage(error);
    }
  }

  async finish(number: number): Promise<void> {
    const { digest, size, written, hasher, sink } = this.#writer(number);
    this.#open.delete(number);
    const actual = hasher.finish();
    hasher.free();
    if (written !== size || actual !== digest) {
      await sink.discard();
      throw named("DigestMismatch", `what came as ${digest.slice(0, 8)}… is something else; it was thrown away`);
    }
    await sink.publish().catch(async (error: unknown) => {
      await sink.discard();
      storage(error);
    });
  }

  async abort(number: number): Promise<void> {
    const writer = this.#open.get(number);
    if (writer === undefined) return;
    this.#open.delete(number);
    writer.hasher.free();
    await writer.sink.discard();
  }

  #writer(number: number) {
    const writer = this.#open.get(number);
    if (writer === undefined) throw named("StorageError", "this file is not being written any more");
    return writer;
  }
}

/** Throws what storage threw under one of our names. */
function storage(thrown: unknown): never {
  const { name, message } = describe(thrown);
  if (name === "QuotaExceededError" || name === "QuotaExceeded") {
    throw named("QuotaExceeded", "the browser gives this site no more storage; free some (site data) and try again");
  }
  throw named(name === "DigestMismatch" ? name : "StorageError", message);
}
