// Engine against engine, on the same input, by turns.
import { join } from "node:path";

import { cases } from "./cases.mjs";
import { browser, lines, open } from "./processes.mjs";
import { serve } from "./server.mjs";
import { median, round } from "./statistics.mjs";

const RUNS = 30;
const WARM_UP = 3;
/** A row in the tab that takes longer, in milliseconds, is given up. */
const PATIENCE_MS = 10 * 60_000;
/** A sample takes at least this long, in milliseconds, as in the tab. */
const SAMPLE_MS = 2;

/** What the pages are made of. */
export function site({ here, js, ort, peers, reference }, options) {
  return serve({ "/": join(here, "page"), "/neuromesh/": js, "/ort/": ort, "/peers/": peers, "/reference/": reference }, options);
}

/** In the terms of the pages. */
export const inPage = ({ id, label, file, fixture }) => ({ name: id, label, model: `/reference/${file}`, fixtures: `/reference/${fixture}` });

/** Calls `work` with what asks the page of the engines something; each question gets a page of its own. */
export async function withTab(setting, work) {
  const server = await site(setting);
  const context = await browser();
  const ask = async (question) => {
    const page = await open(context, `${server.origin}/engine.html`);
    const timer = setTimeout(() => page.close(), PATIENCE_MS);
    try {
      return await page.evaluate((question) => window.compare(question), question);
    } finally {
      clearTimeout(timer);
      await page.close();
    }
  };
  try {
    return await work(ask);
  } finally {
    await context.close();
    server.close();
  }
}

/**
 * Of each engine `{ ms, difference }`, or `{ error }`; outputs that are too far off are an error, too. Where a tab does not survive
 * all of them, those that are `optional` stay out.
 */
export async function compareInTab(ask, one, engines, runs) {
  const among = async (engines) => {
    const { results } = await ask({ engines, runs, ...inPage(one) });
    return results.map((result) => judged(one, result));
  };
  try {
    return await among(engines);
  } catch (error) {
    const needed = engines.filter(({ optional }) => !optional);
    if (needed.length === engines.length) throw error;
    const results = await among(needed);
    return engines.map(({ optional }) => (optional ? { error: `the tab did not survive it: ${error.message}` } : results.shift()));
  }
}

function judged({ tolerance }, { times, difference, error }) {
  if (error) return { error };
  if (!(difference <= tolerance)) return { error: `the outputs differ by ${difference}`, ms: median(times) };
  return { ms: median(times), difference };
}

/** The same natively: `contestants` are `[command, arguments]` of programs that answer `run N` and `check`. */
export async function compareNatively(one, contestants, runs) {
  const programs = await Promise.all(contestants.map(([command, args]) => lines(command, args, { RAYON_NUM_THREADS: "1", RTEN_NUM_THREADS: "1" })));
  try {
    const ask = async (program, question) => JSON.parse(await program.ask(question));
    const found = [];
    for (const program of programs) found.push({ ...(await ask(program, "check")), times: [], repeats: 1 });
    for (let run = -WARM_UP; run < runs; run++) {
      // Another begins each time: what disturbs in some rhythm shall not meet the same one.
      for (const turn of found.keys()) {
        const index = (turn + run + WARM_UP) % found.length;
        const result = found[index];
        const { ms } = await ask(programs[index], `run ${result.repeats}`);
        if (run >= 0) result.times.push(ms);
        else result.repeats = Math.max(1, Math.ceil(SAMPLE_MS / Math.max(ms, 0.005)));
      }
    }
    return found.map((result) => judged(one, result));
  } finally {
    programs.forEach((program) => program.stop());
  }
}

const files = ({ reference }, { file, fixture, label }) => [join(reference, file), join(reference, fixture), label];
/** Our native engine. */
export const native = (setting, one, numerics) => [setting.example("bench-engine"), [...files(setting, one), numerics]];
/** ONNX Runtime for Python. */
export const nativeOrt = (setting, one) => [setting.python, [join(setting.here, "engine_ort.py"), ...files(setting, one)]];

function ratio({ report }, id, engine, [ours, theirs]) {
  for (const { error } of [ours, theirs]) if (error) throw new Error(`${id}: ${error}`);
  report(`${id}: ${round(ours.ms)} ms, ${engine} ${round(theirs.ms)} ms (outputs agree with the reference to ${ours.difference.toExponential(1)})`);
  return ours.ms / theirs.ms;
}

const named = ({ reference }, id) => cases(reference).fp32.find((one) => one.id === id);

/** Our time in the tab over onnxruntime-web's, one thread each. */
export async function ratioInTheTab(setting, id) {
  const engines = [{ engine: "ours" }, { engine: "ort" }];
  const results = await withTab(setting, (ask) => compareInTab(ask, named(setting, id), engines, RUNS));
  return ratio(setting, id, "onnxruntime-web", results);
}

/** The same natively, against ONNX Runtime for Python. */
export async function ratioNatively(setting, id) {
  const one = named(setting, id);
  const results = await compareNatively(one, [native(setting, one, "exact"), nativeOrt(setting, one)], RUNS);
  return ratio(setting, id, "onnxruntime", results);
}
