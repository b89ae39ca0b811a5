import "./sync-access.js";
import type { BlobSink, BlobStore } from "./blobs.js";
import { named } from "./messages.js";

/** How long a writer waits for another tab that writes the same file. */
const LOCK_WAIT_MS = 30_000;
const TEMPORARY = ".part";

/** Model files in the origin private file system: `STORE/blobs/DIGEST`, and `*.part` while they are written. */
export class OpfsBlobs implements BlobStore {
  readonly #folder: FileSystemDirectoryHandle;
  readonly #lockPrefix: string;

  private constructor(folder: FileSystemDirectoryHandle, storeName: string) {
    this.#folder = folder;
    this.#lockPrefix = `${storeName}:blob:`;
  }

  /** Rejects where the browser has no such file system. */
  static async open(storeName: string): Promise<OpfsBlobs> {
    const root = await navigator.storage.getDirectory();
    const store = await root.getDirectoryHandle(storeName, { create: true });
    const folder = await store.getDirectoryHandle("blobs", { create: true });
    const blobs = new OpfsBlobs(folder, storeName);
    await blobs.#probe();
    await blobs.#sweep();
    return blobs;
  }

  async size(digest: string): Promise<number | undefined> {
    return (await this.#file(digest))?.size;
  }

  async read(digest: string, offset: number, len: number): Promise<Uint8Array> {
    const file = await this.#file(digest);
    if (file === undefined) throw named("NotFound", "no such file in the cache");
    return new Uint8Array(await file.slice(offset, offset + len).arrayBuffer());
  }

  async begin(digest: string, size: number): Promise<BlobSink> {
    const { quota, usage } = await navigator.storage.estimate();
    if (quota !== undefined && usage !== undefined && usage + size > quota) {
      throw named("QuotaExceeded", `${size} bytes do not fit into what is left of ${quota}`);
    }
    // A convenience, not a safeguard: each writer has its own temporary file, so that after the wait both may write.
    const unlock = await lock(this.#lockPrefix + digest);
    const name = `${digest}.${crypto.randomUUID()}${TEMPORARY}`;
    try {
      const handle: FileSystemFileHandle = await this.#folder.getFileHandle(name, { create: true });
      const access = await handle.createSyncAccessHandle();
      return this.#sink(digest, handle, access, unlock);
    } catch (error) {
      unlock();
      await this.#folder.removeEntry(name).catch(() => undefined);
      throw error;
    }
  }

  async list(): Promise<string[]> {
    const names: string[] = [];
    for await (const name of this.#folder.keys()) if (!name.endsWith(TEMPORARY)) names.push(name);
    return names.sort();
  }

  async remove(digest: string): Promise<void> {
    await this.#folder.removeEntry(digest).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }

  #sink(digest: string, handle: FileSystemFileHandle, access: FileSystemSyncAccessHandle, unlock: () => void): BlobSink {
    let at = 0;
    const close = () => {
      access.close();
      unlock();
    };
    return {
      append: (bytes) => {
        // A short write is how some browsers say that the quota is used up.
        if (access.write(bytes, { at }) !== bytes.byteLength) {
          throw named("QuotaExceeded", "the file could not be written whole");
        }
        at += bytes.byteLength;
      },
      publish: async () => {
        access.flush();
        access.close();
        try {
          if ((await this.#file(digest))?.size === at) await this.#folder.removeEntry(handle.name);
          else if (handle.move !== undefined) await handle.move(digest);
          else await this.#copy(handle, digest);
        } finally {
          unlock();
        }
      },
      discard: async () => {
        close();
        await this.#folder.removeEntry(handle.name).catch(() => undefined);
      },
    };
  }

  /** Where a file cannot be renamed. A crash half-way leaves a damaged file, which is found out when it is loaded. */
  async #copy(from: FileSystemFileHandle, digest: string): Promise<void> {
    const to = await this.#folder.getFileHandle(digest, { create: true });
    const access = await to.createSyncAccessHandle();
    try {
      const source = await from.getFile();
      for (let at = 0; at < source.size; at += 1 << 20) {
        access.write(await source.slice(at, at + (1 << 20)).arrayBuffer(), { at });
      }
      access.truncate(source.size);
      access.flush();
    } finally {
      access.close();
    }
    await this.#folder.removeEntry(from.name);
  }

  async #file(digest: string): Promise<File | undefined> {
    try {
      return await (await this.#folder.getFileHandle(digest)).getFile();
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Some private windows give the folder but refuse the files. */
  async #probe(): Promise<void> {
    const name = `${crypto.randomUUID()}${TEMPORARY}`;
    const handle = await this.#folder.getFileHandle(name, { create: true });
    (await handle.createSyncAccessHandle()).close();
    await this.#folder.removeEntry(name);
  }

  /** Removes what crashed writers left; the files of living ones are locked and stay. */
  async #sweep(): Promise<void> {
    const left: string[] = [];
    for await (const name of this.#folder.keys()) if (name.endsWith(TEMPORARY)) left.push(name);
    await Promise.all(left.map((name) => this.#folder.removeEntry(name).catch(() => undefined)));
  }
}

/** Takes the lock, or goes on without after a while; the result gives it back. */
async function lock(name: string): Promise<() => void> {
  if (!("locks" in navigator)) return () => undefined;
  return new Promise((resolve) => {
    const held = new Promise<void>((release) => {
      const signal = AbortSignal.timeout(LOCK_WAIT_MS);
      navigator.locks
        .request(name, { signal }, () => {
          resolve(release);
          return held;
        })
        .catch(() => {
          resolve(() => undefined);
        });
    });
  });
}

function isNotFound(error: unknown): boolean {
  return error instanceof DOMException && error.name === "NotFoundError";
}
