// One mesh for the page, and what the page watches of it.
import { join, type Answer, type Input, type Mesh, type ModelInfo, type PeerInfo, type RunOptions } from "neuromesh";
import { errorText } from "./text";

/** How the user wants requests to travel. */
export interface Switches {
  offline: boolean;
  deviceOnly: boolean;
  preferEdge: boolean;
  neighbours: boolean;
}

/** A model on its way into this tab. */
export interface Download {
  model: string;
  loaded: number;
  total: number;
}

/** One request of this page, for the activity list. */
export interface Entry {
  key: number;
  what: string;
  state: "running" | "done" | "failed" | "stopped";
  answer?: Answer;
  error?: string;
}

export interface State {
  phase: "joining" | "joined" | "failed";
  failure?: string;
  id: string;
  online: boolean;
  switches: Switches;
  peers: PeerInfo[];
  models: ModelInfo[];
  downloads: Download[];
  entries: Entry[];
}

const MAX_ENTRIES = 6;
/** Every open tab of this page meets here. */
const ROOM = "neuromesh-demo";

let state: State = {
  phase: "joining",
  id: "",
  online: true,
  switches: { offline: false, deviceOnly: false, preferEdge: false, neighbours: true },
  peers: [],
  models: [],
  downloads: [],
  entries: [],
};
const watchers = new Set<(state: State) => void>();
let nextKey = 1;

export function current(): State {
  return state;
}

export function watch(watcher: (state: State) => void): () => void {
  watchers.add(watcher);
  return () => void watchers.delete(watcher);
}

function update(change: Partial<State>): void {
  state = { ...state, ...change };
  for (const watcher of watchers) watcher(state);
}

/** The public option of this page: `?node=URL`, repeatable, joins these nodes instead of the one that serves the page. */
function nodesOption(): { nodes?: string[] } {
  const nodes = new URLSearchParams(location.search).getAll("node");
  return nodes.length === 0 ? {} : { nodes };
}

export const mesh: Promise<Mesh> = join(nodesOption());

void mesh.then(
  (joined) => {
    update({ phase: "joined", id: joined.id, online: joined.online });
    const look = once(async () => {
      const [peers, models] = await Promise.all([joined.peers(), joined.models()]);
      update({ peers, models });
    });
    for (const name of ["peer", "peerGone", "models", "answer"] as const) joined.on(name, look);
    joined.on("status", ({ online }) => {
      update({ online });
      look();
    });
    joined.on("progress", ({ model, loaded, total }) => {
      const others = state.downloads.filter((download) => download.model !== model);
      const done = loaded >= total;
      update({ downloads: done ? others : [...others, { model, loaded, total }] });
      if (done) look();
    });
    joined.on("answer", () => {
      // A download that an answer overtook, or that failed, sends no last event.
      if (state.downloads.length > 0 && !state.entries.some((entry) => entry.state === "running")) update({ downloads: [] });
    });
    look();
    meet(joined);
  },
  (error: unknown) => {
    update({ phase: "failed", failure: errorText(error) });
  },
);

/** Tabs in a room connect directly and run models for each other, with or without a server. */
function meet(joined: Mesh): void {
  joined.room(ROOM).ready.catch((error: unknown) => {
    update({ failure: errorText(error) });
  });
}

/** Runs `work` soon; while it runs, further wishes become one more run. */
function once(work: () => Promise<void>): () => void {
  let running = false;
  let again = false;
  const start = () => {
    if (running) {
      again = true;
      return;
    }
    running = true;
    void work()
      .catch(() => undefined)
      .finally(() => {
        running = false;
        if (again) {
          again = false;
          start();
        }
      });
  };
  return start;
}

export async function setSwitch(name: keyof Switches, on: boolean): Promise<void> {
  update({ switches: { ...state.switches, [name]: on } });
  try {
    const joined = await mesh;
    if (name === "offline") await joined.setOnline(!on);
    if (name === "neighbours" && on) meet(joined);
    if (name === "neighbours" && !on) await joined.room(ROOM).leave();
  } catch (error) {
    update({ switches: { ...state.switches, [name]: !on }, failure: errorText(error) });
  }
}

function wishes(): RunOptions {
  const { deviceOnly, preferEdge } = state.switches;
  if (deviceOnly) return { privacy: "device" };
  return preferEdge ? { prefer: "edge" } : {};
}

/** Runs a model as the switches say and keeps account of it in the activity list. */
export async function ask(what: string, model: string, input: Input, signal?: AbortSignal): Promise<Answer> {
  const key = nextKey++;
  const show = (entry: Omit<Entry, "key" | "what">) => {
    const others = state.entries.filter((other) => other.key !== key);
    update({ entries: [{ key, what, ...entry }, ...others].sort((a, b) => b.key - a.key).slice(0, MAX_ENTRIES) });
  };
  show({ state: "running" });
  try {
    const answer = await (await mesh).run(model, input, { ...wishes(), ...(signal ? { signal } : {}) });
    show({ state: "done", answer });
    return answer;
  } catch (error) {
    const stopped = error instanceof Error && error.name === "AbortError";
    show(stopped ? { state: "stopped" } : { state: "failed", error: errorText(error) });
    if (!state.entries.some((entry) => entry.state === "running")) update({ downloads: [] });
    throw error;
  }
}
