import type { NeuromeshError } from "./errors.js";

/** Where a peer stands, from the caller's point of view. */
export type Tier = "device" | "peer" | "edge" | "cloud";

/** The element type of a tensor. */
export type DType = "f32" | "f16" | "i64" | "i32" | "i8" | "u8" | "bool";

/** Arrays that hold a tensor's elements; `f16` as raw bits in a `Uint16Array`, `bool` as 0 and 1. */
export type TensorData = Float32Array | Uint16Array | BigInt64Array | Int32Array | Int8Array | Uint8Array;

/** A named, dense, row-major tensor. */
export interface Tensor {
  name: string;
  dtype: DType;
  /** Sizes, outermost first; empty for a scalar. */
  shape: number[];
  data: TensorData;
}

/** A tensor to run a model on; without `dtype` it follows from the array (`Uint8Array` is `u8`, `Uint16Array` is `f16`). */
export type TensorInput = Omit<Tensor, "dtype"> & { dtype?: DType };

/** A picture: a file, something decoded already, or RGBA pixels row by row. */
export type ImageSource =
  | Blob
  | ImageBitmap
  | ImageData
  | { data: Uint8ClampedArray | Uint8Array; width: number; height: number };

/** A sound: a WAV file, an `AudioBuffer`, or samples of one channel from -1 to 1. */
export type AudioSource = Blob | Uint8Array | AudioBuffer | { samples: Float32Array; rate: number };

/** What a text generator is asked, beyond a plain prompt. The same seed gives the same text. */
export interface GenerateInput {
  prompt?: string;
  /** Instead of a prompt: its tokens. */
  tokens?: readonly number[];
  maxNewTokens?: number;
  /** 0, as when absent: always the most probable token. */
  temperature?: number;
  topK?: number;
  topP?: number;
  seed?: number;
}

/**
 * What a model may be run on: text, a file or bytes (only the parts that the model reads are taken), a picture, a sound, a
 * JSON document, or tensors. A plain file is decoded as a picture once the model's manifest is known here and asks for one;
 * `{ image }` and `{ audio }` always say so.
 */
export type Input =
  | string
  | Blob
  | Uint8Array
  | ImageBitmap
  | ImageData
  | { image: ImageSource }
  | { audio: AudioSource }
  | { json: GenerateInput | Json }
  | { tensors: readonly TensorInput[] };

/** What a model takes. */
export type Takes = "tensors" | "text" | "bytes" | "image" | "audio";

/** One class of a picture. */
export interface ClassScore {
  index: number;
  label: string;
  score: number;
}

/** Where there is speech, in samples of `rate`, and its probability in each window. */
export interface VoiceActivity {
  rate: number;
  segments: { start: number; end: number }[];
  probabilities: number[];
}

/** A generated text. */
export interface GeneratedText {
  text: string;
  tokens: number[];
  /** `"stop"`: the model ended it; `"length"`: there was no more room. */
  finish: "stop" | "length";
}

/** A piece of an answer that is still being made; see `Mesh.stream`. */
export interface Part {
  /** Text that is complete: a character whose bytes come in several tokens is in the part with the last of them. */
  text: string;
  /** Tokens made. */
  tokens: number[];
}

/** `"exact"`: the same bits on every machine. `"fast"`: close to them, where the machine is faster so. */
export type Numerics = "exact" | "fast";

/** How this tab runs models. */
export interface EngineInfo {
  /** How many threads share the work of one run. */
  threads: number;
  /** Why so many. */
  reason: string;
  /** Whether `numerics: "fast"` makes a difference on these threads. */
  fast: boolean;
  /** The tab's GPU. */
  gpu: GpuInfo;
}

/** What this tab does with its GPU; see `JoinOptions.gpu`. */
export interface GpuInfo {
  /** Whether runs with `numerics: "fast"` may go there. Which of them do is measured, for each model and size of its input. */
  used: boolean;
  /** Why, or why not. */
  reason: string;
  /** What the browser calls it; null where there is none, or none was asked for. */
  name: string | null;
  /** Runs that it answered. */
  runs: number;
  /** Operators in these runs, by where they were executed: what the GPU has not got, or is not worth the way, the CPU does. */
  operators: { gpu: number; cpu: number };
  /** Bytes allocated there after the last run, for models and for reuse. */
  memory: number;
  /** Models, by digest, that the CPU alone runs, and why. */
  refused: Record<string, string>;
}

/** What the caller wants of the router. */
export interface RunOptions {
  /** Only candidates of this tier. */
  tier?: Tier;
  /** Candidates of this tier while any of them works. */
  prefer?: Tier;
  /** Give up after this many milliseconds; 30,000 when absent. */
  deadline?: number;
  /** `"device"`: the input never leaves this tab. */
  privacy?: "any" | "device";
  /**
   * `"exact"`, the default: the same bits on every peer, so that the answer can be checked by running it again. `"fast"`: the
   * last bits may differ, if that is faster; `answer.receipt.exactness` tells what it was.
   */
  numerics?: "exact" | "fast";
  /** Cancels the run, wherever it is. */
  signal?: AbortSignal;
}

/** What the router predicted for one candidate, in milliseconds. */
export interface Estimate {
  peer: string;
  tier: Tier;
  rttMs: number;
  shipMs: number;
  queueMs: number;
  loadMs: number;
  serviceMs: number;
  totalMs: number;
  /** Why it could not be chosen, if so. */
  excluded: string | null;
}

/** One try of a request. */
export interface Attempt {
  peer: string;
  tier: Tier;
  /** How it ended: `answered`, `failed: …`, `late`, `lost`. */
  outcome: string;
}

/** The router's account of one request. */
export interface Route {
  /** The tier that answered. */
  tier: Tier;
  /** The peer that answered. */
  peer: string;
  /** One sentence for people. */
  reason: string;
  /** From request to answer, in milliseconds. */
  elapsedMs: number;
  /** Every candidate that was looked at for the last choice, best first. */
  considered: Estimate[];
  /** Every try, in order; the last one answered. */
  attempts: Attempt[];
}

/** Who ran which model on which input, with which output; signed by that peer. Digests are BLAKE3 in hexadecimal. */
export interface Receipt {
  model: string;
  input: string;
  output: string;
  peer: string;
  /** Time in the engine, in microseconds. */
  durationUs: number;
  /** Whether running again gives the same bits. */
  exactness: "exact" | "approximate";
  /** Ed25519, 64 bytes. */
  signature: number[];
}

/** What is known of a peer. */
export interface PeerInfo {
  id: string;
  tier: Tier;
  /** Measured round trip; null before the first measurement. */
  rttMs: number | null;
  connected: boolean;
  path: "direct" | "relayed";
  agent: string;
  models: string[];
  /** Requests that wait there. */
  queue: number;
  /** Learned time of one run, by model. */
  serviceMs: Record<string, number>;
  /** Multiaddresses that it says it can be reached at. */
  addresses: string[];
  /** Base URL of its HTTP API, if it has one. */
  http: string | null;
  /** The rooms that it is in and this tab too. */
  rooms: string[];
}

/** What is known of a model. */
export interface ModelInfo {
  name: string;
  digest: string;
  /** Bytes of all its files. */
  size: number;
  /** All its files are in this tab's cache. */
  local: boolean;
  /** It answers in this tab without a cold load. */
  loaded: boolean;
  /** The peers that have it. */
  holders: string[];
  /** The parts of a file that it reads, in bytes from the beginning and the end; known once its manifest is here. */
  reads?: { head: number; tail: number };
  /** What it takes; known once its manifest is here. */
  takes?: Takes;
}

/** What happens in the mesh, by name. */
export interface MeshEvents {
  /** A peer appeared or what is known of it changed. */
  peer: { type: "peer"; peer: PeerInfo };
  /** A peer left. */
  peerGone: { type: "peerGone"; id: string };
  /** A request of this tab set out to `peer`. */
  request: { type: "request"; requestId: number; peer: string; tier: Tier; model: string };
  /** `peer` did not answer; the request goes elsewhere. */
  retry: { type: "retry"; requestId: number; peer: string; outcome: string };
  /** `peer` answered. */
  answer: { type: "answer"; requestId: number; peer: string; tier: Tier; elapsedMs: number };
  /** Nobody could answer. */
  failed: { type: "failed"; requestId: number; error: string };
  /** A model is on its way into this tab's cache. */
  progress: { type: "progress"; model: string; digest: string; loaded: number; total: number };
  /** This tab left or rejoined the network. */
  status: { type: "status"; online: boolean };
  /** The list of known models changed. */
  models: { type: "models" };
  /** This tab is not in the room any more, though it did not leave: a token is needed, and there is none that holds. */
  roomClosed: { type: "roomClosed"; room: string; error: string };
  /** A message on a topic; rooms hand out theirs. */
  message: { type: "message"; topic: string; from: string | null; data: Uint8Array };
}

/** What happens in a room, by name. */
export interface RoomEvents {
  /** A member's message; `text()` reads it as UTF-8. */
  message: { from: string; data: Uint8Array; text: () => string };
  /** Members came, went or changed: the list now. */
  members: PeerInfo[];
  /** This tab is not in the room any more, though it did not leave: its token has expired, or a node turned out to ask for one. */
  closed: NeuromeshError;
}

/** How to be in a room. */
export interface RoomOptions {
  /** Whether this tab runs models for the room's members; true when absent. */
  serve?: boolean;
  /**
   * Made for this tab's `mesh.id` by `neuromesh rooms grant`; needed where a node asks for one (`neuromesh up --room-issuer`). Members
   * are then those alone who have one.
   */
  token?: string;
}

/** Any event of the mesh. */
export type MeshEvent = MeshEvents[keyof MeshEvents];

/** A value that a document can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** How to join. */
export interface JoinOptions {
  /**
   * Nodes to connect to: addresses of web servers (`https://host`, asked for `/.well-known/neuromesh`) or multiaddrs
   * (`/dns4/host/tcp/4001/ws/p2p/12D3KooW…`). Absent: the server that the page came from. Empty: nobody.
   */
  nodes?: readonly string[];
  /** Documents, identity and model files of different names do not see each other. `"neuromesh"` when absent. */
  storeName?: string;
  /** How long joining may wait for the first answer of a node, in milliseconds; 3,000 when absent. Later ones are not lost. */
  connectTimeout?: number;
  /** STUN and TURN servers for direct connections between tabs. None when absent: then only the machines' own addresses are tried. */
  iceServers?: readonly RTCIceServer[];
  /** What this tab's peer tells the console of its work; nothing when absent. */
  log?: "error" | "warn" | "info" | "debug" | "trace";
  /** Memory for loaded models, in bytes; 1 GiB when absent. */
  memory?: number;
  /** The most threads that a run in this tab may use; when absent, as many as the machine has processors, and 8 at most. */
  threads?: number;
  /**
   * Whether runs with `numerics: "fast"` that this tab answers may go to its GPU, through WebGPU; not when absent. They do where
   * that was measured to be faster than the CPU. Its module is fetched when the first such run comes. Whatever fails there, the
   * CPU runs; `mesh.engine()` says why.
   */
  gpu?: boolean;
  /** Gives up joining. */
  signal?: AbortSignal;
}
