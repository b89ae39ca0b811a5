// `make bench`: measures, prints, writes target/bench/walk.json. With names of figures as arguments, those only.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";

import { inTheTab, natively } from "./engines.mjs";
import { editPropagation, firstAnswers, requestsPerSecond } from "./mesh.mjs";
import { node, scratch } from "./processes.mjs";
import { round } from "./statistics.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const { NEUROMESH_CACHE: cache, NEUROMESH_MODELS: models, CARGO_TARGET_DIR: target } = process.env;
const setting = {
  here,
  models,
  js: join(root, "js/dist"),
  python: join(cache, "venv/bin/python"),
  engine: join(target, "release/examples/bench-engine"),
  report: (line) => console.log(`  ${line}`),
};

const brotli = (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;

function sizes() {
  const all = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const measure = (paths) => {
    const parts = paths.map((path) => readFileSync(path));
    return { raw: parts.reduce((sum, part) => sum + part.length, 0), packed: parts.reduce((sum, part) => sum + brotli(part), 0) };
  };
  const show = ({ raw, packed }) => `${round(raw / 1e6)} MB, ${round(packed / 1e6)} MB as brotli`;
  const module = (name) => join(root, `js/dist/wasm/${name}_bg.wasm`);
  const [mesh, engine, wasm] = [[module("mesh")], [module("engine")], [module("mesh"), module("engine")]].map(measure);
  setting.report(`the .wasm of the page's thread: ${show(mesh)}`);
  setting.report(`the .wasm of the Worker, the engine: ${show(engine)}`);
  setting.report(`all JS of the package: ${show(measure(all(setting.js).filter((path) => path.endsWith(".js"))))}`);
  const demo = join(root, "demo-web/dist");
  if (existsSync(demo)) setting.report(`all JS of the demo page: ${show(measure(all(demo).filter((path) => path.endsWith(".js"))))}`);
  return { wasm_brotli_mb: wasm.packed / 1e6, mesh_brotli_mb: mesh.packed / 1e6, engine_brotli_mb: engine.packed / 1e6 };
}

function router() {
  const microseconds = Number(execFileSync(join(target, "release/examples/bench-router"), { encoding: "utf8" }));
  setting.report(`the router chooses among 16 candidates in ${round(microseconds)} µs`);
  return { route_us: microseconds };
}

async function withNode(work) {
  const web = scratch("web");
  cpSync(join(here, "page"), web, { recursive: true });
  cpSync(setting.js, join(web, "neuromesh"), { recursive: true });
  const server = await node({
    binary: process.env.NEUROMESH_BIN ?? join(target, "release/neuromesh"),
    models: ["all-minilm-l6-v2", "magika"].map((name) => join(models, name)),
    web,
  });
  try {
    return await work(setting, server.origin);
  } finally {
    await server.stop();
  }
}

// Each measurement and the figures that come from it.
const MEASUREMENTS = [
  ...["minilm32_vs_ortweb", "minilm128_vs_ortweb", "magika_vs_ortweb"].map((key) => [[key], async () => ({ [key]: await inTheTab(setting, key) })]),
  [["minilm128_vs_ort_native"], async () => ({ minilm128_vs_ort_native: await natively(setting) })],
  [["wasm_brotli_mb"], sizes],
  [["first_answer_cold_ms", "first_answer_warm_ms"], () => withNode(firstAnswers)],
  [["route_us"], router],
  [["edit_propagation_p99_ms"], () => withNode(editPropagation)],
  [["http_rps"], () => withNode(requestsPerSecond)],
];

const wanted = process.argv.slice(2);
const known = MEASUREMENTS.flatMap(([keys]) => keys);
const unknown = wanted.filter((key) => !known.includes(key));
if (unknown.length > 0) {
  console.error(`bench: unknown figure ${unknown.join(", ")}; known are ${known.join(", ")}`);
  process.exit(2);
}

const path = join(root, "target/bench/walk.json");
mkdirSync(dirname(path), { recursive: true });
// A part of the figures is merged into what was measured before; all of them begin anew.
const figures = wanted.length > 0 && existsSync(path) ? JSON.parse(readFileSync(path)) : {};
let failed = 0;
for (const [keys, measure] of MEASUREMENTS) {
  if (wanted.length > 0 && !keys.some((key) => wanted.includes(key))) continue;
  try {
    for (const [key, value] of Object.entries(await measure())) {
      if (!Number.isFinite(value)) throw new Error(`${key} is ${value}`);
      figures[key] = Number(value.toPrecision(4));
    }
  } catch (error) {
    failed += 1;
    for (const key of keys) delete figures[key];
    console.error(`  ${keys.join(", ")}: not measured: ${error.stack ?? error}`);
  }
  writeFileSync(path, `${JSON.stringify(figures, null, 2)}\n`);
}
console.log(`\n${path}`);
console.log(statSync(path).size > 3 ? readFileSync(path, "utf8") : "no figures");
process.exit(failed === 0 ? 0 : 1);
