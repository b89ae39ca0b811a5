// `make bench`: measures, prints, writes target/bench/walk.json. With names of figures as arguments, those only.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { ratioNatively, ratioInTheTab } from "./engines.mjs";
import { record } from "./figures.mjs";
import { editPropagation, firstAnswers, requestsPerSecond } from "./mesh.mjs";
import { node, scratch } from "./processes.mjs";
import { measure, root, setting } from "./setting.mjs";
import { round } from "./statistics.mjs";

function sizes() {
  const all = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const show = ({ raw, packed }) => `${round(raw / 1e6)} MB, ${round(packed / 1e6)} MB as brotli`;
  const module = (name) => join(setting.js, `wasm/${name}_bg.wasm`);
  const [mesh, engine, wasm] = [[module("mesh")], [module("engine")], [module("mesh"), module("engine")]].map(measure);
  setting.report(`the .wasm of the page's thread: ${show(mesh)}`);
  setting.report(`the .wasm of the Worker, the engine: ${show(engine)}`);
  setting.report(`all JS of the package: ${show(measure(all(setting.js).filter((path) => path.endsWith(".js"))))}`);
  const demo = join(root, "demo-web/dist");
  if (existsSync(demo)) setting.report(`all JS of the demo page: ${show(measure(all(demo).filter((path) => path.endsWith(".js"))))}`);
  return { wasm_brotli_mb: wasm.packed / 1e6, mesh_brotli_mb: mesh.packed / 1e6, engine_brotli_mb: engine.packed / 1e6 };
}

function router() {
  const microseconds = Number(execFileSync(setting.example("bench-router"), { encoding: "utf8" }));
  setting.report(`the router chooses among 16 candidates in ${round(microseconds)} µs`);
  return { route_us: microseconds };
}

async function withNode(work) {
  const web = scratch("web");
  cpSync(join(setting.here, "page"), web, { recursive: true });
  cpSync(setting.js, join(web, "neuromesh"), { recursive: true });
  const server = await node({
    binary: process.env.NEUROMESH_BIN ?? setting.built("neuromesh"),
    models: ["all-minilm-l6-v2", "magika"].map((name) => join(setting.models, name)),
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
  ...Object.entries({ minilm32_vs_ortweb: "minilm-32", minilm128_vs_ortweb: "minilm-128", magika_vs_ortweb: "magika" }).map(([key, id]) => [
    [key],
    async () => ({ [key]: await ratioInTheTab(setting, id) }),
  ]),
  [["minilm128_vs_ort_native"], async () => ({ minilm128_vs_ort_native: await ratioNatively(setting, "minilm-128") })],
  [["wasm_brotli_mb"], sizes],
  [["first_answer_cold_ms", "first_answer_warm_ms"], () => withNode(firstAnswers)],
  [["route_us"], router],
  [["edit_propagation_p99_ms"], () => withNode(editPropagation)],
  [["http_rps"], () => withNode(requestsPerSecond)],
];

process.exit(await record(MEASUREMENTS, join(root, "target/bench/walk.json"), process.argv.slice(2)));
