import { NeuromeshError, invalid, toError } from "./errors.js";
import { Emitter } from "./events.js";
import type { MeshEvent, PeerInfo, RoomEvents, RoomOptions } from "./types.js";
import type { WasmRoom } from "./wasm/mesh.js";

/** The longest name of a room, in bytes of UTF-8. */
const MAX_ROOM_NAME = 128;
/** Characters of a token, at most. */
const MAX_TOKEN = 1024;
/** The longest message, in bytes. */
const MAX_MESSAGE = 32 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What a room needs of its mesh. */
export interface RoomParts {
  joined: Promise<WasmRoom>;
  /** Joins again with another token. */
  renew: (token: string) => Promise<WasmRoom>;
  on: (listener: (event: MeshEvent) => void) => () => void;
  /** `done` resolves, whatever happens, once it is left. */
  leaving: (done: Promise<void>) => void;
}

/**
 * Peers that share a name. Its members find each other through the nodes that they are connected with, connect directly (WebRTC), answer
 * each other's requests as tier `peer`, and go on when the nodes are gone. Made by `mesh.room`.
 */
export class Room {
  readonly name: string;
  /** Resolves once this tab is a member. */
  readonly ready: Promise<void>;
  readonly #parts: RoomParts;
  readonly #events = new Emitter<RoomEvents>();
  readonly #members = new Map<string, PeerInfo>();
  readonly #off: () => void;
  #topic: string | undefined;
  #left = false;
  /** Why it was closed. */
  #denied: string | undefined;

  /** @internal */
  constructor(name: string, parts: RoomParts) {
    this.name = name;
    this.#parts = parts;
    this.#off = parts.on((event) => {
      this.#onEvent(event);
    });
    this.ready = parts.joined.then(async (room) => {
      this.#topic = room.topic;
      const members = await room.members();
      if (this.#denied !== undefined) throw new NeuromeshError("RoomDenied", this.#denied);
      for (const peer of members) this.#members.set(peer.id, peer);
      this.#events.emit("members", this.members());
    });
    this.ready.catch(() => {
      this.#off();
    });
  }

  /** The gossip topic of the room's messages, once this tab is a member: by it peers of other programs take part. */
  get topic(): string | undefined {
    return this.#topic;
  }

  /** The other members known now; those with `connected` can be talked to. */
  members(): PeerInfo[] {
    return [...this.#members.values()];
  }

  /**
   * Sends a text, bytes or a JSON value to every member in reach, at most 32 KiB. Best effort: gossip drops under load, and a member
   * that comes later does not get it; what must arrive belongs into a document. Rejected with `NetworkError` if nobody in reach
   * listens for 2 seconds.
   */
  async send(message: string | Uint8Array | object): Promise<void> {
    const bytes = message instanceof Uint8Array ? message : encoder.encode(typeof message === "string" ? message : JSON.stringify(message));
    if (bytes.length > MAX_MESSAGE) throw invalid(`a message of ${bytes.length} bytes is over the limit of ${MAX_MESSAGE}`);
    this.#assertIn();
    const room = await this.#parts.joined;
    try {
      await room.send(bytes);
    } catch (error) {
      throw toError(error);
    }
  }

  /** Calls `listener` at every event of this name, until the returned function is called. */
  on<Name extends keyof RoomEvents>(name: Name, listener: (event: RoomEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /**
   * Goes on with a newer token, before the one that it was joined with expires; nobody notices. With one that does not hold it is
   * rejected with `RoomDenied`, and the room goes on with what it had.
   */
  async renew(token: string): Promise<void> {
    checkToken(token);
    this.#assertIn();
    await this.#parts.joined;
    (await this.#parts.renew(token)).free();
  }

  /** Leaves; connections that nothing else needs close after a while. */
  async leave(): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    this.#off();
    this.#events.clear();
    const left = this.#parts.joined.then(async (room) => {
      await room.leave();
      room.free();
    });
    this.#parts.leaving(left.catch(() => undefined));
    await left.catch((error: unknown) => {
      throw toError(error);
    });
  }

  #onEvent(event: MeshEvent): void {
    switch (event.type) {
      case "message":
        if (event.topic === this.#topic && event.from !== null) {
          this.#events.emit("message", { from: event.from, data: event.data, text: () => decoder.decode(event.data) });
        }
        return;
      case "peer": {
        const known = this.#members.has(event.peer.id);
        if (event.peer.rooms.includes(this.name)) this.#members.set(event.peer.id, event.peer);
        else if (known) this.#members.delete(event.peer.id);
        else return;
        break;
      }
      case "peerGone":
        if (!this.#members.delete(event.id)) return;
        break;
      case "roomClosed":
        if (event.room === this.name) this.#onClosed(event.error);
        return;
      default:
        return;
    }
    this.#events.emit("members", this.members());
  }

  #onClosed(why: string): void {
    this.#left = true;
    this.#denied = why;
    this.#off();
    this.#members.clear();
    this.#events.emit("closed", new NeuromeshError("RoomDenied", why));
    this.#events.clear();
    // What still goes on with it ends first; else it is freed when nobody holds it any more.
    this.ready
      .then(async () => {
        (await this.#parts.joined).free();
      })
      .catch(() => undefined);
  }

  #assertIn(): void {
    if (this.#denied !== undefined) throw new NeuromeshError("RoomDenied", this.#denied);
    if (this.#left) throw new NeuromeshError("Closed", "the room was left");
  }
}

/** Checks what a caller gave. */
export function roomOptions(name: string, options: RoomOptions): { serve: boolean; token: string | undefined } {
  if (typeof name !== "string" || name === "" || encoder.encode(name).length > MAX_ROOM_NAME) {
    throw invalid(`a room's name has 1 to ${MAX_ROOM_NAME} bytes`);
  }
  const { serve = true, token } = options;
  if (typeof serve !== "boolean") throw invalid("serve must be true or false");
  if (token !== undefined) checkToken(token);
  return { serve, token };
}

function checkToken(token: string): void {
  if (typeof token !== "string" || token === "" || token.length > MAX_TOKEN) {
    throw invalid("a token is the text that `neuromesh rooms grant` prints");
  }
}
