// TypeScript has no library for pages and Workers at once; this is the part of the Workers' one that we need.
declare global {
  interface FileSystemSyncAccessHandle {
    write(buffer: AllowSharedBufferSource, options?: { at?: number }): number;
    truncate(size: number): void;
    flush(): void;
    close(): void;
  }
  interface FileSystemFileHandle {
    createSyncAccessHandle(): Promise<FileSystemSyncAccessHandle>;
    /** Renames; not in every browser. */
    move?(name: string): Promise<void>;
  }
}

export {};
