// What this package uses of the `wasm-bindgen` output (crate `neuromesh-wasm`, feature `mesh`), typed as narrowly as the crate behaves.
import type { WireAnswer, WireInput } from "../wire.js";
import type { MeshEvent, ModelInfo, Part, PeerInfo } from "../types.js";
import type { Host } from "../host.js";

export class WasmMesh {
  static join(
    config: {
      addresses: string[];
      storeName: string;
      slot: number;
      agent: string;
      tier: "device";
      log: string | undefined;
      iceServers: { urls: string[]; username?: string; credential?: string }[];
    },
    host: Host,
  ): Promise<WasmMesh>;
  readonly id: string;
  run(requestId: number, model: string, input: WireInput, options: object): Promise<WireAnswer>;
  stream(requestId: number, model: string, input: WireInput, options: object, onPart: (part: Part) => void): Promise<WireAnswer>;
  cancel(requestId: number): void;
  peers(): Promise<PeerInfo[]>;
  models(): Promise<ModelInfo[]>;
  subscribe(listener: (event: MeshEvent) => void): void;
  doc(name: string, init: object): Promise<WasmDoc>;
  open(peer: string, protocol: string): Promise<WasmStream>;
  accept(protocol: string, take: (stream: WasmStream) => void): () => void;
  joinRoom(name: string, serve: boolean, token: string | undefined): Promise<WasmRoom>;
  dial(address: string): Promise<void>;
  setOnline(online: boolean): Promise<void>;
  close(): Promise<void>;
  free(): void;
}

export class WasmStream {
  readonly peer: string;
  read(): Promise<Uint8Array | undefined>;
  write(data: Uint8Array): Promise<void>;
  closeWrite(): Promise<void>;
  abort(): Promise<void>;
  free(): void;
}

export class WasmRoom {
  readonly topic: string;
  members(): Promise<PeerInfo[]>;
  send(data: Uint8Array): Promise<void>;
  leave(): Promise<void>;
  free(): void;
}

export class WasmDoc {
  value(): Promise<{ heads: string[]; value: unknown }>;
  apply(heads: string[], value: unknown): Promise<void>;
  subscribe(listener: () => void): void;
  free(): void;
}

export default function init(options: { module_or_path: WebAssembly.Module }): Promise<unknown>;
