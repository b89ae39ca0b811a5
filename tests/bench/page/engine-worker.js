// Several engines in one Worker, run by turns on the same input.
import { ENGINES } from "./engines.js";
import { cases, difference } from "./fixtures.js";

const WARM_UP = 3;
/** A sample takes at least this long, in milliseconds: small models run several times for one. */
const SAMPLE_MS = 2;

const get = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());

async function open({ engine, ...options }, bytes, name, inputs) {
  const loaded = await ENGINES[engine](options);
  const model = await loaded.open(bytes, name);
  return { model, prepared: model.prepare(inputs) };
}

/** Milliseconds of one run: of `repeats` runs, divided. */
async function timed({ model, prepared }, repeats) {
  const start = performance.now();
  let result;
  for (let run = 0; run < repeats; run++) {
    result = model.run(prepared);
    if (result instanceof Promise) result = await result;
  }
  return { took: (performance.now() - start) / repeats, result };
}

/** For each engine `{ times, difference }`, or `{ error }` where it cannot run the model. */
async function compare({ engines, model, fixtures, name, label, runs }) {
  const bytes = await get(model);
  const one = cases(await get(fixtures)).find((found) => found.name === label);
  if (!one) throw new Error(`${name} has no case ${label}`);
  const results = engines.map(() => ({ times: [] }));
  const opened = [];
  for (const [index, engine] of engines.entries()) {
    try {
      opened[index] = await open(engine, bytes, name, one.inputs);
    } catch (error) {
      results[index].error = `${error?.message ?? error}`;
    }
  }
  const repeats = engines.map(() => 1);
  for (let round = -WARM_UP; round < runs; round++) {
    for (const [index, result] of results.entries()) {
      if (result.error) continue;
      try {
        const { took, result: outputs } = await timed(opened[index], repeats[index]);
        if (round >= 0) result.times.push(took);
        else {
          result.difference = difference(opened[index].model.read(outputs), one.outputs);
          repeats[index] = Math.max(1, Math.ceil(SAMPLE_MS / Math.max(took, 0.01)));
        }
      } catch (error) {
        result.error = `${error?.message ?? error}`;
      }
    }
  }
  for (const one of opened) await one?.model.close();
  return { results, tolerance: one.tolerance };
}

addEventListener("message", async ({ data }) => {
  try {
    postMessage({ result: await compare(data) });
  } catch (error) {
    postMessage({ error: `${error?.name}: ${error?.message}\n${error?.stack}` });
  }
});
postMessage({ ready: true });
