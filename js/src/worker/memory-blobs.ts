import type { BlobSink, BlobStore } from "./blobs.js";
import { named } from "./messages.js";

/** The most bytes kept when there is no disk. */
const MAX_BYTES = 512 * 1024 * 1024;

/** Model files in memory: they last as long as the Worker. */
export class MemoryBlobs implements BlobStore {
  readonly #blobs = new Map<string, Uint8Array>();
  #used = 0;

  size(digest: string): Promise<number | undefined> {
    return Promise.resolve(this.#blobs.get(digest)?.byteLength);
  }

  read(digest: string, offset: number, len: number): Promise<Uint8Array> {
    const bytes = this.#blobs.get(digest);
    if (bytes === undefined) return Promise.reject(named("NotFound", "no such file in the cache"));
    return Promise.resolve(bytes.slice(offset, offset + len));
  }

  begin(digest: string, size: number): Promise<BlobSink> {
    if (this.#used + size > MAX_BYTES) {
      return Promise.reject(named("QuotaExceeded", `over ${MAX_BYTES} bytes of files without a disk`));
    }
    this.#used += size;
    const bytes = new Uint8Array(size);
    let at = 0;
    return Promise.resolve({
      append: (chunk) => {
        bytes.set(chunk, at);
        at += chunk.byteLength;
      },
      publish: () => {
        if (this.#blobs.has(digest)) this.#used -= size;
        this.#blobs.set(digest, bytes);
        return Promise.resolve();
      },
      discard: () => {
        this.#used -= size;
        return Promise.resolve();
      },
    });
  }

  list(): Promise<string[]> {
    return Promise.resolve([...this.#blobs.keys()].sort());
  }

  remove(digest: string): Promise<void> {
    this.#used -= this.#blobs.get(digest)?.byteLength ?? 0;
    this.#blobs.delete(digest);
    return Promise.resolve();
  }
}
