import { invalid } from "./errors.js";

/** How long one question to a node may take. */
const TIMEOUT_MS = 5_000;
/** Waits between two questions while no node is connected. */
const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 15_000;
/** The most addresses taken from one answer. */
const MAX_ADDRESSES = 16;
/** The longest answer that is read, in characters. */
const MAX_ANSWER = 64 * 1024;
/** The most nodes of one mesh. */
const MAX_NODES = 32;

/** Where to look for nodes: known addresses, and web servers to ask for theirs. */
export interface Sources {
  addresses: string[];
  servers: URL[];
}

/** Sorts the option `nodes`; absent, the server that the page came from. */
export function parseNodes(nodes: readonly string[] | undefined, page: string | undefined): Sources {
  if (nodes === undefined) return { addresses: [], servers: page === undefined ? [] : [new URL(page)] };
  if (!Array.isArray(nodes)) throw invalid("nodes must be an array of addresses");
  if (nodes.length > MAX_NODES) throw invalid(`${nodes.length} nodes, over the limit of ${MAX_NODES}`);
  const sources: Sources = { addresses: [], servers: [] };
  for (const node of nodes as unknown[]) {
    if (typeof node !== "string" || node === "") throw invalid("each of nodes must be a URL or a multiaddr");
    if (node.startsWith("/")) {
      sources.addresses.push(node);
      continue;
    }
    const url = URL.canParse(node) ? new URL(node) : undefined;
    if (url?.protocol !== "http:" && url?.protocol !== "https:") {
      throw invalid(`node ${JSON.stringify(node)} is neither an http(s) URL nor a multiaddr (/dns4/…)`);
    }
    sources.servers.push(url);
  }
  return sources;
}

/** Asks a web server for the addresses of its node; browsers reach those over WebSocket, or over WebRTC by the hash of their certificate. */
export async function discover(server: URL, signal: AbortSignal): Promise<string[]> {
  const url = new URL("/.well-known/neuromesh", server);
  const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]), cache: "no-store" });
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
  const text = await response.text();
  if (text.length > MAX_ANSWER) throw new Error(`${url}: the answer is over ${MAX_ANSWER} characters`);
  return addressesIn(JSON.parse(text), server.protocol === "https:");
}

/** The addresses of an answer that a page can dial, WebSocket's first; a page that came over TLS may not use that without. */
export function addressesIn(answer: unknown, secure: boolean): string[] {
  if (typeof answer !== "object" || answer === null || !("addresses" in answer)) return [];
  const { addresses } = answer;
  if (!Array.isArray(addresses)) return [];
  const all = addresses.filter((address: unknown): address is string => typeof address === "string");
  const socket = secure ? /\/(wss|tls\/ws)(\/|$)/ : /\/wss?(\/|$)/;
  const direct = /\/webrtc-direct\/certhash\//;
  return [...new Set([socket, direct].flatMap((kind) => all.filter((address) => kind.test(address))))].slice(0, MAX_ADDRESSES);
}

/** One address of each peer: the first, and at each further attempt the next, for each is a connection of its own. */
export function pick(addresses: readonly string[], attempt: number): string[] {
  const byPeer = new Map<string, string[]>();
  for (const address of addresses) {
    const peer = /\/p2p\/([^/]+)$/.exec(address)?.[1] ?? address;
    byPeer.set(peer, [...(byPeer.get(peer) ?? []), address]);
  }
  return [...byPeer.values()].flatMap((group) => group[attempt % group.length] ?? []);
}

/** Keeps asking the servers until a node is connected, and again whenever none is: its address may have changed. */
export class Discovery {
  readonly #servers: URL[];
  readonly #found: (address: string) => void;
  readonly #stop = new AbortController();
  #connected = false;
  #wait = FIRST_WAIT_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking = false;
  #attempt = 0;

  constructor(servers: URL[], found: (address: string) => void) {
    this.#servers = servers;
    this.#found = found;
  }

  /** Asks every server once. */
  async ask(): Promise<void> {
    if (this.#asking || this.#servers.length === 0 || this.#stop.signal.aborted) return;
    this.#asking = true;
    clearTimeout(this.#timer);
    try {
      const answers = await Promise.allSettled(this.#servers.map((server) => discover(server, this.#stop.signal)));
      const addresses = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
      if (this.#stop.signal.aborted) return;
      for (const address of pick(addresses, this.#attempt)) this.#found(address);
      if (addresses.length > 0) this.#attempt += 1;
    } finally {
      this.#asking = false;
      this.#schedule();
    }
  }

  /** Tells whether any node is connected now. */
  setConnected(connected: boolean): void {
    if (connected === this.#connected) return;
    this.#connected = connected;
    this.#attempt = 0;
    this.#wait = FIRST_WAIT_MS;
    this.#schedule();
  }

  stop(): void {
    this.#stop.abort();
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#connected || this.#stop.signal.aborted || this.#asking) return;
    this.#timer = setTimeout(() => void this.ask(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, LAST_WAIT_MS);
  }
}
