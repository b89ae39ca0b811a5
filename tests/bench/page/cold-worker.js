// One engine's way to its first answer: its module and the weights come at the same time, the module by streaming, the weights
// from the cache of files of this origin.
import { ENGINES } from "./engines.js";
import { cases, difference } from "./fixtures.js";

const now = () => performance.timeOrigin + performance.now();

const get = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());

/** The file from OPFS, where the first visit puts it. */
async function stored(url) {
  const root = await navigator.storage.getDirectory();
  const file = await root.getFileHandle(url.replaceAll("/", "_"), { create: true });
  const handle = await file.createSyncAccessHandle();
  try {
    if (handle.getSize() === 0) {
      handle.write(await get(url));
      handle.flush();
    }
    const bytes = new Uint8Array(handle.getSize());
    handle.read(bytes, { at: 0 });
    return bytes;
  } finally {
    handle.close();
  }
}

async function firstAnswer({ engine: { engine, ...options }, model, fixtures, name, label }) {
  const marks = { worker: now() };
  const mark = (key) => (value) => {
    marks[key] = now();
    return value;
  };
  const [loaded, bytes, found] = await Promise.all([
    ENGINES[engine](options).then(mark("module")),
    stored(model).then(mark("weights")),
    stored(fixtures).then(cases),
  ]);
  const one = found.find((one) => one.name === label);
  const session = await loaded.open(bytes, name, one);
  mark("load")();
  const result = await session.run(session.prepare(one.inputs));
  mark("answer")();
  return { marks, difference: difference(session.read(result), one.outputs), tolerance: one.tolerance };
}

addEventListener("message", async ({ data }) => {
  try {
    postMessage(await firstAnswer(data));
  } catch (error) {
    postMessage({ error: `${error?.name}: ${error?.message}\n${error?.stack}` });
  }
});
