import { Answer } from "./answer.js";
import { Discovery } from "./discovery.js";
import { MeshDocument } from "./document.js";
import { NeuromeshError, aborted, invalid, toError } from "./errors.js";
import { Emitter } from "./events.js";
import { normalizeInput, normalizeOptions, readsFile } from "./input.js";
import { toJson } from "./json.js";
import { MeshStream } from "./mesh-stream.js";
import { Room, roomOptions } from "./room.js";
import { AnswerStream } from "./stream.js";
import type { EngineInfo, Input, MeshEvent, MeshEvents, ModelInfo, Part, PeerInfo, RoomOptions, RunOptions } from "./types.js";
import type { WasmMesh } from "./wasm/mesh.js";
import type { WireInput } from "./wire.js";

/** The longest name of a document, in characters. */
const MAX_DOC_NAME = 256;

/** What a mesh stands on; see `join`. */
export interface MeshParts {
  wasm: WasmMesh;
  discovery: Discovery;
  engine: () => Promise<EngineInfo>;
  /** Ends the Worker and gives up the tab's identity. */
  dispose: () => void;
}

/** This tab as a peer of the mesh. Made by `join`. */
export class Mesh {
  /** This peer's id. */
  readonly id: string;
  readonly #parts: MeshParts;
  readonly #events = new Emitter<MeshEvents & { "*": MeshEvent }>();
  readonly #docs = new Map<string, MeshDocument<never>>();
  readonly #rooms = new Map<string, Room>();
  /** Rooms that are being left; whoever joins again waits. */
  readonly #leaving = new Map<string, Promise<void>>();
  readonly #known = new Map<string, Pick<ModelInfo, "reads" | "takes">>();
  /** Connected servers, and connected tabs. */
  readonly #nodes = new Set<string>();
  readonly #tabs = new Set<string>();
  #nextRequest = 1;
  #online = true;
  #closed = false;
  #hadNode = false;

  /** @internal */
  constructor(parts: MeshParts) {
    this.#parts = parts;
    this.id = parts.wasm.id;
    parts.wasm.subscribe((event) => {
      this.#onEvent(event);
    });
  }

  /** Whether this tab takes part in the network; see `setOnline`. */
  get online(): boolean {
    return this.#online;
  }

  /**
   * Runs a model where it is best to run it: here or on any peer that has it, by the router's prediction. Of files and
   * bytes only the parts that the model reads are taken; pictures are decoded here, and everything after that is the model's.
   */
  run(model: string, input: Input, options: RunOptions = {}): Promise<Answer> {
    return this.#perform(model, input, options);
  }

  /**
   * The same, and gives the answer in parts as they are made: what a text generator has made so far does not wait for the rest.
   * Nobody vouches for a part until the answer is there, whose receipt is signed over all of them.
   * What is wrong with the arguments shows in the iteration and in `answer`, too.
   *
   * ```ts
   * const stream = mesh.stream("a-decoder", "Once upon a time");
   * for await (const { text } of stream) page.append(text);
   * const { receipt } = await stream.answer;
   * ```
   */
  stream(model: string, input: Input, options: RunOptions = {}): AnswerStream {
    const own = new AbortController();
    const run = async (onPart: (part: Part) => void) => {
      normalizeOptions(options);
      const { signal } = options;
      const abort = () => {
        own.abort(signal?.reason);
      };
      if (signal?.aborted) abort();
      signal?.addEventListener("abort", abort, { once: true });
      try {
        return await this.#perform(model, input, { ...options, signal: own.signal }, onPart);
      } finally {
        signal?.removeEventListener("abort", abort);
      }
    };
    return new AnswerStream(run, () => {
      own.abort();
    });
  }

  async #perform(model: string, input: Input, options: RunOptions, onPart?: (part: Part) => void): Promise<Answer> {
    if (typeof model !== "string" || model === "") throw invalid("model must be a model's name or digest");
    const wireOptions = normalizeOptions(options);
    const { signal } = options;
    if (signal?.aborted) throw aborted(signal);
    this.#assertOpen();
    const { reads, takes } = readsFile(input) ? await this.#manifestOf(model) : {};
    const wireInput = await normalizeInput(input, reads, takes);
    if (signal?.aborted) throw aborted(signal);
    let told = false;
    const tell =
      onPart &&
      ((part: Part) => {
        told = true;
        onPart(part);
      });
    try {
      return await this.#runOnce(model, wireInput, wireOptions, signal, tell);
    } catch (error) {
      // A damaged file was found out and deleted: it is fetched again, once.
      if (told || !(error instanceof NeuromeshError && error.name === "StorageError")) throw error;
      return this.#runOnce(model, wireInput, wireOptions, signal, tell);
    }
  }

  /** The peers known now, this one not among them. */
  peers(): Promise<PeerInfo[]> {
    return this.#guard(() => this.#parts.wasm.peers());
  }

  /** The models known now, here and elsewhere. */
  models(): Promise<ModelInfo[]> {
    return this.#guard(() => this.#parts.wasm.models());
  }

  /** How this tab runs models: on how many threads, and why. */
  engine(): Promise<EngineInfo> {
    return this.#guard(() => this.#parts.engine());
  }

  /** Calls `listener` at every event of this name (`"*"`: of any), until the returned function is called. */
  on<Name extends keyof MeshEvents | "*">(
    name: Name,
    listener: (event: (MeshEvents & { "*": MeshEvent })[Name]) => void,
  ): () => void {
    return this.#events.on(name, listener);
  }

  /** The shared document of this name; `init` is its content while nobody has written to it. The same object every time. */
  doc<T extends object = Record<string, unknown>>(id: string, { init }: { init?: T } = {}): MeshDocument<T> {
    if (typeof id !== "string" || id === "" || id.length > MAX_DOC_NAME) {
      throw invalid(`a document's name has 1 to ${MAX_DOC_NAME} characters`);
    }
    this.#assertOpen();
    const known = this.#docs.get(id);
    if (known !== undefined) return known as unknown as MeshDocument<T>;
    const value = toJson(init ?? {}, "init");
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("init must be an object");
    const doc = new MeshDocument<T>(id, value as T, this.#parts.wasm.doc(id, value));
    this.#docs.set(id, doc as unknown as MeshDocument<never>);
    // What could not be opened may be tried again.
    doc.ready.catch(() => this.#docs.delete(id));
    return doc;
  }

  /**
   * Opens a stream of the application's own protocol (a name such as `/chat/1`) to a connected peer, which takes it by `handle`.
   */
  async open(peer: string, protocol: string): Promise<MeshStream> {
    if (typeof peer !== "string" || typeof protocol !== "string") throw invalid("open takes a peer's id and a protocol's name");
    return new MeshStream(await this.#guard(() => this.#parts.wasm.open(peer, protocol)));
  }

  /** Calls `take` with every stream of this protocol that a peer opens, until the returned function is called. */
  handle(protocol: string, take: (stream: MeshStream) => void): () => void {
    if (typeof protocol !== "string" || typeof take !== "function") throw invalid("handle takes a protocol's name and a function");
    this.#assertOpen();
    try {
      let stop: (() => void) | undefined = this.#parts.wasm.accept(protocol, (stream) => {
        take(new MeshStream(stream));
      });
      return () => {
        stop?.();
        stop = undefined;
      };
    } catch (error) {
      throw toError(error);
    }
  }

  /**
   * Joins the room of this name, or gives the one joined already; at most 8 at a time. Its members find each other through the nodes
   * that they are connected with, connect directly, and run models for each other unless `serve` is false.
   *
   * Where a node of this tab asks for tokens, `ready` is rejected with `RoomDenied` without a `token` for this room and this tab that
   * holds, and whoever shows none is no member. When the token expires the room ends with its event `closed`; join again with a new one,
   * or `renew` it before.
   */
  room(name: string, options: RoomOptions = {}): Room {
    const { serve, token } = roomOptions(name, options);
    this.#assertOpen();
    const known = this.#rooms.get(name);
    if (known !== undefined) return known;
    const room = new Room(name, {
      joined: this.#guard(async () => {
        await this.#leaving.get(name);
        return this.#parts.wasm.joinRoom(name, serve, token);
      }),
      renew: (newer) => this.#guard(() => this.#parts.wasm.joinRoom(name, serve, newer)),
      on: (listener) => this.#events.on("*", listener),
      leaving: (done) => {
        this.#rooms.delete(name);
        this.#leaving.set(name, done);
        void done.finally(() => {
          if (this.#leaving.get(name) === done) this.#leaving.delete(name);
        });
      },
    });
    this.#rooms.set(name, room);
    room.ready.catch(() => this.#rooms.delete(name));
    return room;
  }

  /** Leaves the network (everything goes on working here), or returns to it. */
  async setOnline(online: boolean): Promise<void> {
    if (typeof online !== "boolean") throw invalid("online must be true or false");
    const before = this.#online;
    this.#online = online;
    try {
      await this.#guard(() => this.#parts.wasm.setOnline(online));
    } catch (error) {
      this.#online = before;
      throw error;
    }
    if (online) void this.#parts.discovery.ask();
  }

  /**
   * Connects to a node that answers.
   * @internal
   */
  async dial(address: string): Promise<void> {
    const { wasm } = this.#parts;
    if (this.#closed || !this.#online) return;
    if (this.#hadNode && this.#nodes.size === 0 && this.#tabs.size === 0) {
      // A browser does not say at once that a WebSocket to a dead server failed, and a dial that hangs keeps the next one
      // waiting. There is nothing to lose now: begin all dials anew.
      await wasm.setOnline(false);
      if (this.#online) await wasm.setOnline(true);
    }
    await wasm.dial(address);
  }

  /** Leaves for good; open calls are rejected with `Closed`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts.discovery.stop();
    try {
      await this.#parts.wasm.close();
    } finally {
      this.#parts.dispose();
      this.#events.clear();
      this.#docs.clear();
      this.#rooms.clear();
    }
  }

  #runOnce(
    model: string,
    input: WireInput,
    options: object,
    signal: AbortSignal | undefined,
    onPart: ((part: Part) => void) | undefined,
  ): Promise<Answer> {
    const requestId = this.#nextRequest++;
    const { wasm } = this.#parts;
    return new Promise<Answer>((resolve, reject) => {
      const abort = (event: Event) => {
        wasm.cancel(requestId);
        reject(aborted(event.target as AbortSignal));
      };
      signal?.addEventListener("abort", abort, { once: true });
      const running =
        onPart === undefined ? wasm.run(requestId, model, input, options) : wasm.stream(requestId, model, input, options, onPart);
      running
        .then((answer) => {
          resolve(new Answer(requestId, answer));
        })
        .catch((error: unknown) => {
          reject(toError(error));
        })
        .finally(() => signal?.removeEventListener("abort", abort));
    });
  }

  /** What the manifest of a model says about its input, if it is here. */
  async #manifestOf(model: string): Promise<Pick<ModelInfo, "reads" | "takes">> {
    const known = this.#known.get(model);
    if (known !== undefined) return known;
    const info = (await this.models()).find(({ name, digest }) => name === model || digest === model);
    if (info?.takes === undefined) return {};
    this.#known.set(model, info);
    return info;
  }

  #onEvent(event: MeshEvent): void {
    switch (event.type) {
      case "peer":
        this.#forget(event.peer.id);
        if (event.peer.connected) (event.peer.tier === "peer" ? this.#tabs : this.#nodes).add(event.peer.id);
        this.#hadNode ||= this.#nodes.size > 0;
        break;
      case "peerGone":
        this.#forget(event.id);
        break;
      case "status":
        // What `dial` does in passing is no news.
        if (event.online !== this.#online) return;
        break;
      case "roomClosed":
        this.#rooms.delete(event.room);
        break;
      case "models":
        // A name may mean another model now.
        this.#known.clear();
        break;
      default:
    }
    // Tabs are no help to find others: without a node it is looked for.
    this.#parts.discovery.setConnected(this.#nodes.size > 0 || !this.#online);
    this.#events.emit(event.type, event);
    this.#events.emit("*", event);
  }

  #forget(peer: string): void {
    this.#nodes.delete(peer);
    this.#tabs.delete(peer);
  }

  #assertOpen(): void {
    if (this.#closed) throw new NeuromeshError("Closed", "the mesh is closed");
  }

  async #guard<T>(call: () => Promise<T>): Promise<T> {
    this.#assertOpen();
    try {
      return await call();
    } catch (error) {
      throw toError(error, "NetworkError");
    }
  }
}
