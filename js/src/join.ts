import { compile } from "./compile.js";
import { Discovery, parseNodes } from "./discovery.js";
import { NeuromeshError, aborted, invalid, toError } from "./errors.js";
import { Mesh } from "./mesh.js";
import { claimSlot } from "./slot.js";
import type { JoinOptions } from "./types.js";
import { WorkerHost } from "./worker-host.js";

const DEFAULT_CONNECT_TIMEOUT_MS = 3_000;
const DEFAULT_MEMORY = 1024 * 1024 * 1024;
const STORE_NAME = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * Makes this tab a peer of the mesh. Resolves when it is of use: at once without a network, otherwise when the first
 * node says what it has, or `connectTimeout` has passed; connecting goes on in the background.
 */
export async function join(options: JoinOptions = {}): Promise<Mesh> {
  assertEnvironment();
  if (typeof options !== "object" || options === null) throw invalid("options must be an object");
  const { storeName = "neuromesh", connectTimeout = DEFAULT_CONNECT_TIMEOUT_MS, memory = DEFAULT_MEMORY, threads, signal } = options;
  if (!STORE_NAME.test(storeName)) throw invalid("storeName has 1 to 64 of A-Z, a-z, 0-9, - and _");
  if (!Number.isFinite(connectTimeout) || connectTimeout < 0) throw invalid("connectTimeout must be milliseconds, 0 or more");
  if (!Number.isFinite(memory) || memory <= 0) throw invalid("memory must be a number of bytes above 0");
  if (threads !== undefined && !(Number.isInteger(threads) && threads > 0)) throw invalid("threads must be a whole number above 0");
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalid("signal must be an AbortSignal");
  const iceServers = parseIceServers(options.iceServers ?? []);
  const { addresses, servers } = parseNodes(options.nodes, pageOrigin());
  if (signal?.aborted) throw aborted(signal);

  let mesh: Mesh | undefined;
  let dial: ((address: string) => void) | undefined;
  const found = new Set<string>();
  const discovery = new Discovery(servers, (address) => {
    found.add(address);
    dial?.(address);
  });
  const asked = discovery.ask();
  const host = new WorkerHost(storeName, memory, threads);
  // Its module compiles while this thread's does.
  host.warm();
  const [module, bindings, slot] = await Promise.all([
    compile(new URL("./wasm/mesh_bg.wasm", import.meta.url)),
    import("./wasm/mesh.js"),
    claimSlot(storeName).catch((error: unknown) => {
      throw toError(error, "StorageError");
    }),
  ]).catch((error: unknown) => {
    discovery.stop();
    host.close();
    throw toError(error, "NetworkError");
  });
  const dispose = () => {
    discovery.stop();
    host.close();
    slot.release();
    removeEventListener("online", wake);
  };
  const wake = () => void discovery.ask();
  try {
    await bindings.default({ module_or_path: module });
    const config = { addresses, storeName, slot: slot.number, agent: "neuromesh-js", tier: "device" as const, iceServers, log: options.log };
    const wasm = await bindings.WasmMesh.join(config, host);
    const joined = new Mesh({ wasm, discovery, engine: () => host.engine(), dispose });
    mesh = joined;
    // An address that does not answer is tried again by the mesh; a malformed one is a server's fault, not the page's.
    dial = (address) => {
      joined.dial(address).catch(() => undefined);
    };
    found.forEach(dial);
    addEventListener("online", wake);
    if (addresses.length + servers.length > 0) {
      const nodes = () => addresses.length > 0 || found.size > 0;
      await firstPeer(mesh, asked, nodes, connectTimeout, signal);
    }
    if (signal?.aborted) throw aborted(signal);
    return mesh;
  } catch (error) {
    await mesh?.close().catch(() => undefined);
    dispose();
    throw toError(error, "NetworkError");
  }
}

/** Waits until a node has said what it has, no node is to be found, or time is up. */
async function firstPeer(
  mesh: Mesh,
  asked: Promise<void>,
  nodes: () => boolean,
  limit: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const done = new AbortController();
  const { promise: heard, resolve } = withResolvers();
  // A peer is shown once what it offers is known.
  const off = mesh.on("peer", ({ peer }) => {
    if (peer.connected) resolve();
  });
  const timer = setTimeout(resolve, limit);
  signal?.addEventListener("abort", resolve, { signal: done.signal });
  // Nobody answered the question for nodes, and none was given: nothing to wait for.
  void asked.then(() => {
    if (!nodes()) resolve();
  });
  const known = await mesh.peers();
  if (!known.some(({ connected }) => connected)) await heard;
  off();
  clearTimeout(timer);
  done.abort();
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => undefined as void;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

function parseIceServers(servers: readonly RTCIceServer[]): { urls: string[]; username?: string; credential?: string }[] {
  if (!Array.isArray(servers)) throw invalid("iceServers must be a list, as RTCPeerConnection takes it");
  return servers.map(({ urls, username, credential }: RTCIceServer) => {
    const list = typeof urls === "string" ? [urls] : urls;
    if (!Array.isArray(list) || !list.every((url) => /^(stuns?|turns?):/.test(url))) {
      throw invalid("the urls of an ICE server begin with stun:, stuns:, turn: or turns:");
    }
    return { urls: list, ...(username === undefined ? {} : { username }), ...(credential === undefined ? {} : { credential }) };
  });
}

function pageOrigin(): string | undefined {
  return /^https?:/.test(location.protocol) ? location.origin : undefined;
}

function assertEnvironment(): void {
  const missing = ["window", "document", "Worker", "WebAssembly", "indexedDB", "location"].filter((name) => !(name in globalThis));
  if (missing.length > 0) {
    throw new NeuromeshError(
      "UnsupportedEnvironment",
      `join() works in a web page; ${missing.join(", ")} is missing here. On a server, import this package freely but join in the browser only`,
    );
  }
}
