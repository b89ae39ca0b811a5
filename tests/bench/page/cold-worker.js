// One engine's way to its first answer: its module and the weights come at the same time, the module by streaming, the weights
// from the cache of files of this origin.
import { ENGINES, fetchScript } from "./engines.js";
import { cases, difference } from "./fixtures.js";

fetchScript(self.name);

const now = () => performance.timeOrigin + performance.now();

const get = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());

/** Bytes read at once. */
const CHUNK = 4 << 20;

/** A file of OPFS, where the first visit puts what the server has; it is read into what `receive` gives for its size. */
async function stored(url, receive) {
  const root = await navigator.storage.getDirectory();
  const file = await root.getFileHandle(url.replaceAll("/", "_"), { create: true });
  const handle = await file.createSyncAccessHandle();
  try {
    if (handle.getSize() === 0) {
      handle.write(await get(url));
      handle.flush();
    }
    const size = handle.getSize();
    const to = await receive(size);
    if (to instanceof Uint8Array) handle.read(to, { at: 0 });
    else {
      const piece = new Uint8Array(Math.min(CHUNK, size));
      for (let at = 0; at < size; at += CHUNK) to.append(piece.subarray(0, handle.read(piece, { at })));
    }
    return { data: to, size };
  } finally {
    handle.close();
  }
}

const asArray = (size) => new Uint8Array(size);

async function firstAnswer({ engine: { engine, ...options }, model, fixtures, label, module }) {
  const marks = { worker: now() };
  const mark = (key) => (value) => {
    marks[key] = now();
    return value;
  };
  const engineReady = ENGINES[engine]({ ...options, module }).then(mark("module"));
  // Ours takes the pieces where they are to be; an engine that wants an array gets one while its module compiles.
  const receive = engine === "ours" ? async (size) => (await engineReady).file?.(size) ?? asArray(size) : asArray;
  const [loaded, { data, size }, found] = await Promise.all([
    engineReady,
    stored(model, receive).then(mark("weights")),
    stored(fixtures, asArray).then(({ data }) => cases(data)),
  ]);
  const one = found.find((one) => one.name === label);
  const session = await loaded.open(data, { ...one, size });
  mark("load")();
  const result = await session.run(session.prepare(one.inputs));
  mark("answer")();
  rehearse = loaded.rehearse;
  return { marks, difference: difference(session.read(result), one.outputs), tolerance: one.tolerance };
}

/** What makes the next visit's answer come sooner, where the engine has it. */
let rehearse;

// The module comes in a second message where the page's thread compiles it.
let bring;
const brought = new Promise((resolve) => (bring = resolve));
addEventListener("message", async ({ data }) => {
  if (data instanceof WebAssembly.Module) return bring(data);
  try {
    if (data === "rehearse") return postMessage({ rehearsed: (await rehearse?.()) ?? true });
    postMessage(await firstAnswer({ ...data, module: data.compiled ? brought : undefined }));
  } catch (error) {
    postMessage({ error: `${error?.name}: ${error?.message}\n${error?.stack}` });
  }
});
