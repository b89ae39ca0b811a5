// Engine against engine, on the same input, by turns, one thread each.
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { browser, lines, open } from "./processes.mjs";
import { serve } from "./server.mjs";
import { median, round } from "./statistics.mjs";

const RUNS = 30;

function graph(models, name) {
  const manifest = JSON.parse(readFileSync(join(models, name, "manifest.json")));
  const files = JSON.parse(readFileSync(join(models, name, "files.json")));
  const { digest, size } = manifest.files.find(({ role }) => role === "graph");
  return { name, digest, size, url: `/models/${name}/${files.graph}` };
}

function minilm(tokens) {
  const shape = [1, tokens];
  const fill = (value) => Array.from({ length: tokens }, (_, index) => value(index));
  return [
    { name: "input_ids", dtype: "i64", shape, values: fill((index) => 1000 + ((index * 7919) % 28_000)) },
    { name: "attention_mask", dtype: "i64", shape, values: fill(() => 1) },
    { name: "token_type_ids", dtype: "i64", shape, values: fill(() => 0) },
  ];
}

// Bytes and padding as Magika's features have them.
const magika = [
  { name: "bytes", dtype: "i32", shape: [1, 2048], values: Array.from({ length: 2048 }, (_, i) => (i % 5 === 4 ? 256 : (i * 31) % 128)) },
];

const CASES = {
  minilm32_vs_ortweb: { model: "all-minilm-l6-v2", tensors: minilm(32) },
  minilm128_vs_ortweb: { model: "all-minilm-l6-v2", tensors: minilm(128) },
  magika_vs_ortweb: { model: "magika", tensors: magika },
};

/** Milliseconds in the tab, ours and onnxruntime-web's; the figure is the ratio of the medians. */
export async function inTheTab({ here, js, models, report }, key) {
  const server = await serve({ "/": join(here, "page"), "/neuromesh/": js, "/ort/": join(here, "node_modules/onnxruntime-web/dist"), "/models/": models });
  const context = await browser();
  try {
    const page = await open(context, `${server.origin}/engine.html`);
    const { model, tensors } = CASES[key];
    const work = { model: graph(models, model), tensors, runs: RUNS };
    const { ours, theirs, difference } = await page.evaluate((work) => window.compare(work), work);
    if (!(difference < 1e-4)) throw new Error(`${key}: the outputs differ by ${difference}`);
    report(`${key}: ${round(median(ours))} ms, onnxruntime-web ${round(median(theirs))} ms (outputs agree to ${difference.toExponential(1)})`);
    return median(ours) / median(theirs);
  } finally {
    await context.close();
    server.close();
  }
}

/** The same natively, against ONNX Runtime for Python. */
export async function natively({ here, models, python, engine, report }) {
  const path = join(models, "all-minilm-l6-v2/model.onnx");
  const ours = await lines(engine, [path, "128"], { RAYON_NUM_THREADS: "1" });
  const theirs = await lines(python, [join(here, "engine_ort.py"), path, "128"]);
  const times = { ours: [], theirs: [] };
  for (let run = -3; run < RUNS; run++) {
    const [mine, first] = (await ours.ask()).split(" ").map(Number);
    const [other, reference] = (await theirs.ask()).split(" ").map(Number);
    if (!(Math.abs(first - reference) < 1e-4)) throw new Error(`the outputs differ: ${first} and ${reference}`);
    if (run < 0) continue;
    times.ours.push(mine);
    times.theirs.push(other);
  }
  ours.stop();
  theirs.stop();
  report(`minilm128_vs_ort_native: ${round(median(times.ours))} ms, onnxruntime ${round(median(times.theirs))} ms`);
  return median(times.ours) / median(times.theirs);
}
