// Several engines in one Worker, run by turns on the same input; or what the Worker's thread can do at most.
import { ENGINES } from "./engines.js";
import { cases, difference } from "./fixtures.js";
import { peak } from "./peak.js";

/** Runs before any that counts: at least so many, and for so many milliseconds, in which the browser compiles well what is hot. */
const WARM_UP = 3;
const WARM_UP_MS = 500;
/** A sample takes at least this long, in milliseconds: small models run several times for one. */
const SAMPLE_MS = 2;

const get = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());

async function open({ engine, ...options }, bytes, one) {
  const loaded = await ENGINES[engine](options);
  const model = await loaded.open(bytes, one);
  return { model, prepared: model.prepare(one.inputs) };
}

/** Milliseconds of one run, of `repeats` in a row. */
async function timed({ model, prepared }, repeats) {
  const start = performance.now();
  let outputs;
  for (let run = 0; run < repeats; run++) {
    outputs = model.run(prepared);
    if (outputs instanceof Promise) outputs = await outputs;
  }
  return { took: (performance.now() - start) / repeats, outputs };
}

const rotated = (items, by) => items.map((_, index) => items[(index + by) % items.length]);

/** For each engine `{ times, difference }`, or `{ error }` where it cannot run the model. */
async function compare({ engines, model, fixtures, label, runs }) {
  const bytes = await get(model);
  const one = cases(await get(fixtures)).find((found) => found.name === label);
  if (!one) throw new Error(`${fixtures} has no case ${label}`);
  const contestants = engines.map(() => ({ times: [], repeats: 1 }));
  const attempt = async (contestant, work) => {
    if (contestant.error) return;
    try {
      await work();
    } catch (error) {
      contestant.error = `${error?.message ?? error}`;
    }
  };
  for (const [index, contestant] of contestants.entries()) {
    await attempt(contestant, async () => {
      contestant.opened = await open(engines[index], bytes, one);
      const begin = performance.now();
      let fastest = Infinity;
      for (let run = 0; run < WARM_UP || performance.now() - begin < WARM_UP_MS; run++) {
        const { took, outputs } = await timed(contestant.opened, 1);
        fastest = Math.min(fastest, took);
        if (run === 0) contestant.difference = difference(contestant.opened.model.read(outputs), one.outputs);
      }
      contestant.repeats = Math.max(1, Math.ceil(SAMPLE_MS / Math.max(fastest, 0.01)));
    });
  }
  for (let round = 0; round < runs; round++) {
    // Another begins each time: what disturbs in some rhythm shall not meet the same one.
    for (const contestant of rotated(contestants, round)) {
      await attempt(contestant, async () => {
        contestant.times.push((await timed(contestant.opened, contestant.repeats)).took);
      });
    }
  }
  const results = contestants.map(({ times, difference, error }) => (error ? { error } : { times, difference }));
  return { results, tolerance: one.tolerance };
}

addEventListener("message", async ({ data }) => {
  try {
    postMessage({ result: data.peak ? await peak() : await compare(data) });
  } catch (error) {
    postMessage({ error: `${error?.name}: ${error?.message}\n${error?.stack}` });
  }
});
postMessage({ ready: true });
