// `make bench-engine`: the engine beside others, model by model; prints tables and writes target/bench/engine.json. With names of
// figures as arguments, those only; with names of rows in $MODELS, only those rows, and no means.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

import { cases } from "./cases.mjs";
import { coldStarts } from "./cold.mjs";
import { compareInTab, compareNatively, inPage, native, nativeOrt, site, withTab } from "./engines.mjs";
import { Absent, record } from "./figures.mjs";
import { lines } from "./processes.mjs";
import { measure, root, setting } from "./setting.mjs";
import { geometricMean, median, round } from "./statistics.mjs";
import { cell, table } from "./table.mjs";

const RUNS = 20;
const COLD_LOADS = 10;
const { report, reference } = setting;
const { MODELS = "" } = process.env;
const chosen = MODELS.split(/[ ,]+/).filter(Boolean);
const zoo = Object.fromEntries(Object.entries(cases(reference)).map(([group, ones]) => [group, ones.filter(({ id }) => chosen.length === 0 || chosen.includes(id))]));

const THREADS = "engine-threads";
const FAST = "engine-fast";
const built = (variant) => existsSync(join(setting.js, `wasm/${variant}_bg.wasm`));
const missing = (variant) => new Absent(`this build has no ${variant} module`);

/** The key's part of a row: `model.ROW.WHAT`. */
const key = (one, what) => `model.${one.id.replaceAll("-", "_")}.${what}`;

/** Of each case the multiply-adds and bytes that it cannot do without, or null. */
let counted;
function work(ones) {
  counted ??= new Map();
  const lacking = ones.filter(({ id }) => !counted.has(id));
  if (lacking.length > 0) {
    const input = JSON.stringify(lacking.map(({ model, label }) => [model, label]));
    const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1" };
    const answers = JSON.parse(execFileSync(setting.python, [join(setting.here, "work.py"), reference], { input, env, encoding: "utf8", stdio: ["pipe", "pipe", "inherit"] }));
    lacking.forEach(({ id }, index) => counted.set(id, answers[index]));
  }
  return ones.map(({ id }) => counted.get(id));
}

/** The least milliseconds that a unit with these peaks needs: its products, or reading weights and activations. */
function floor(needs, gmacs, gbs) {
  if (needs === null || gmacs === undefined) return undefined;
  return Math.max(needs.macs / gmacs / 1e6, (needs.weights + needs.activations) / gbs / 1e6);
}

/** The ratios of one engine to another over all cases, or why there is no mean of them. */
function ratios(rows, ours, theirs) {
  const failed = rows.filter(({ results }) => results[ours].error || results[theirs].error);
  if (failed.length > 0) {
    return { absent: new Absent(failed.map(({ one, results }) => `${one.id}: ${results[ours].error ?? results[theirs].error}`).join("; ")) };
  }
  const each = rows.map(({ results }) => results[ours].ms / results[theirs].ms);
  if (chosen.length > 0) return { absent: new Absent(`MODELS are only ${chosen.length} rows; their mean is ${cell(geometricMean(each))}`) };
  return { mean: geometricMean(each), worst: Math.max(...each) };
}

/** Runs `compare` for each case; rows with their results by the engines' names. */
async function compareAll(ones, engines, compare) {
  const rows = [];
  for (const one of ones) {
    // One row that fails is a hole in the table, not its end.
    const results = await compare(one, engines.map(([, engine]) => engine)).catch((error) => engines.map(() => ({ error: error.message })));
    rows.push({ one, results: Object.fromEntries(engines.map(([name], index) => [name, results[index]])) });
    report(`${one.id}: ${engines.map(([name], index) => `${name} ${results[index].error ? "-" : `${round(results[index].ms)} ms`}`).join(", ")}`);
  }
  return rows;
}

/** Prints a table of the rows, and gives their own figures. */
function show(title, rows, names, against, where, floors) {
  const head = [title, ...names.map((name) => `${name} ms`), ...names.filter((name) => name !== against).map((name) => `${name}/${against}`), ...Object.keys(floors)];
  const body = rows.map(({ one, results }, index) => [
    one.id,
    ...names.map((name) => cell(results[name].error ? undefined : results[name].ms)),
    ...names.filter((name) => name !== against).map((name) => cell(results[name].error || results[against].error ? undefined : results[name].ms / results[against].ms)),
    ...Object.values(floors).map((column) => cell(column[index])),
  ]);
  console.log(table(head, body));
  for (const { one, results } of rows) {
    for (const name of names) if (results[name].error) console.log(`  ${one.id} on ${name}: ${results[name].error.split("\n")[0].slice(0, 200)}`);
  }
  const figures = {};
  for (const [index, { one, results }] of rows.entries()) {
    for (const name of names) if (!results[name].error) figures[key(one, `${where}_${name.replaceAll("-", "_")}_ms`)] = results[name].ms;
    for (const [name, column] of Object.entries(floors)) if (column[index] !== undefined) figures[key(one, `${where}_${name.replaceAll(/[^a-z]+/g, "_")}`)] = column[index];
  }
  return figures;
}

const PEERS = ["rten", "tract"].filter((name) => existsSync(join(setting.peers, `${name}.js`)));

async function tab(ones, prefix) {
  // Products of bytes are exact with relaxed SIMD, too.
  const relaxed = prefix.includes("int8") && built(FAST);
  const engines = [
    ["exact", { engine: "ours" }],
    ...(relaxed ? [["exact-relaxed", { engine: "ours", variant: FAST }]] : []),
    ...(built(FAST) ? [["fast", { engine: "ours", variant: FAST, numerics: "fast" }]] : []),
    ["ort-web", { engine: "ort" }],
    ...PEERS.map((engine) => [engine, { engine, optional: true }]),
  ];
  const { rows, peak } = await withTab(setting, async (ask) => {
    const peak = await ask({ peak: true });
    return { peak, rows: await compareAll(ones, engines, (one, engines) => compareInTab(ask, one, engines, RUNS)) };
  });
  report(`one thread of the tab: ${round(peak.exact_gmacs)} multiply-adds a ns${peak.fast_gmacs ? `, fused ${round(peak.fast_gmacs)}` : ""}, reads ${round(peak.read_gbs)} GB/s`);
  const needs = work(ones);
  const floors = prefix.includes("int8") ? {} : { "floor/exact": rows.map(({ results }, index) => share(floor(needs[index], peak.exact_gmacs, peak.read_gbs), results.exact)) };
  const figures = show(prefix, rows, engines.map(([name]) => name), "ort-web", "tab_1t", floors);
  const exact = ratios(rows, "exact", "ort-web");
  const fast = built(FAST) ? ratios(rows, "fast", "ort-web") : { absent: missing(FAST) };
  if (relaxed) {
    const { mean, absent } = ratios(rows, "exact-relaxed", "ort-web");
    figures[`${prefix}_exact_relaxed_geomean`] = mean ?? absent;
  }
  Object.assign(figures, {
    [`${prefix}_exact_geomean`]: exact.mean ?? exact.absent,
    [`${prefix}_exact_worst`]: exact.worst ?? exact.absent,
    [`${prefix}_fast_geomean`]: fast.mean ?? fast.absent,
    tab_exact_gmacs: peak.exact_gmacs,
    tab_read_gbs: peak.read_gbs,
    ...(peak.fast_gmacs ? { tab_fast_gmacs: peak.fast_gmacs } : {}),
  });
  return figures;
}

const share = (least, { error, ms }) => (least === undefined || error ? undefined : least / ms);

async function twoThreads() {
  // The package loads the fast build where the browser has relaxed SIMD; its exact runs give the same bits.
  const variant = [FAST, THREADS].find(built);
  if (variant === undefined) return { ortweb_fp32_2t_exact_geomean: missing(THREADS) };
  const engines = [
    ["exact", { engine: "ours", variant, threads: 2 }],
    ...(built(FAST) ? [["fast", { engine: "ours", variant: FAST, threads: 2, numerics: "fast" }]] : []),
    ["ort-web", { engine: "ort", threads: 2 }],
  ];
  const rows = await withTab(setting, (ask) => compareAll(zoo.fp32, engines, (one, engines) => compareInTab(ask, one, engines, RUNS)));
  const figures = show("2 threads", rows, engines.map(([name]) => name), "ort-web", "tab_2t", {});
  const exact = ratios(rows, "exact", "ort-web");
  const fast = built(FAST) ? ratios(rows, "fast", "ort-web") : { absent: missing(FAST) };
  return { ...figures, ortweb_fp32_2t_exact_geomean: exact.mean ?? exact.absent, ortweb_fp32_2t_fast_geomean: fast.mean ?? fast.absent };
}

async function natively() {
  const peak = JSON.parse(execFileSync(setting.example("bench-peak"), { encoding: "utf8" }));
  report(`one native thread: ${round(peak.exact_gmacs)} multiply-adds a ns, fused ${round(peak.fast_gmacs)}, reads ${round(peak.read_gbs)} GB/s`);
  const ones = [...zoo.fp32, ...zoo.int8];
  const engines = [["exact"], ["fast"], ["ort"]];
  const compare = (one) => compareNatively(one, [native(setting, one, "exact"), native(setting, one, "fast"), nativeOrt(setting, one)], RUNS);
  const all = await compareAll(ones, engines, compare);
  const needs = work(zoo.fp32);
  const floors = { "floor/exact": all.map(({ results }, index) => (index < needs.length ? share(floor(needs[index], peak.exact_gmacs, peak.read_gbs), results.exact) : undefined)) };
  const figures = show("natively", all, engines.map(([name]) => name), "ort", "native_1t", floors);
  const rows = all.slice(0, zoo.fp32.length);
  const [exact, fast] = ["exact", "fast"].map((name) => ratios(rows, name, "ort"));
  return {
    ...figures,
    ort_native_exact_geomean: exact.mean ?? exact.absent,
    ort_native_exact_worst: exact.worst ?? exact.absent,
    ort_native_fast_geomean: fast.mean ?? fast.absent,
    ...Object.fromEntries(Object.entries(peak).map(([name, value]) => [`native_${name}`, value])),
  };
}

function sizes() {
  const figures = {};
  const add = (name, path, figure) => {
    const { raw, packed } = measure([path]);
    report(`${name}: ${round(raw / 1e6)} MB, ${round(packed / 1e6)} MB as brotli`);
    if (figure) figures[figure] = packed / 1e6;
  };
  for (const variant of ["engine", THREADS, FAST].filter(built)) add(variant, join(setting.js, `wasm/${variant}_bg.wasm`), `${variant.replaceAll("-", "_")}_brotli_mb`);
  add("onnxruntime-web", join(setting.ort, "ort-wasm-simd-threaded.wasm"), "ortweb_brotli_mb");
  for (const name of PEERS) add(name, join(setting.peers, `${name}_bg.wasm`), `${name}_brotli_mb`);
  return figures;
}

/** From the navigation to the first answer, files in the browser's caches; ours and onnxruntime-web's by turns. */
async function cold(one, figure) {
  const server = await site(setting, { cached: true });
  try {
    const ours = { engine: { engine: "ours" }, compiled: "/neuromesh/wasm/engine_bg.wasm", ...inPage(one) };
    const works = [ours, { engine: { engine: "ort" }, ...inPage(one) }];
    const [mine, theirs] = await coldStarts(server, works, COLD_LOADS);
    const parts = ({ parts }) => Object.entries(parts).map(([mark, at]) => `${mark} ${Math.round(at)}`).join(", ");
    report(`${one.id}, cold: ${round(median(mine.answer))} ms (${parts(mine)}); onnxruntime-web ${round(median(theirs.answer))} ms (${parts(theirs)})`);
    return { [figure]: median(mine.answer), [figure.replace("_ms", "_ortweb_ms")]: median(theirs.answer) };
  } finally {
    server.close();
  }
}

/** Over the whole zoo: the most that the engine held in a run with a plan, over what weights and live activations need. */
async function memory() {
  const rows = [];
  for (const one of zoo.all) {
    const [command, args] = native(setting, one, "exact");
    const program = await lines(command, args);
    rows.push({ one, ...JSON.parse(await program.ask("memory")) });
    program.stop();
  }
  const mb = (bytes) => cell(bytes / 1e6);
  const body = rows.map(({ one, weights, needed, peak, allocated }) => [one.id, ...[weights, needed, peak, allocated].map(mb), cell(peak / needed), cell(allocated / needed)]);
  console.log(table(["memory, MB", "weights", "needed", "peak", "allocated", "peak/needed", "allocated/needed"], body));
  return {
    peak_memory_ratio_worst: Math.max(...rows.map(({ peak, needed }) => peak / needed)),
    allocated_memory_ratio_worst: Math.max(...rows.map(({ allocated, needed }) => allocated / needed)),
    ...Object.fromEntries(rows.map(({ one, peak, needed }) => [key(one, "peak_memory_ratio"), peak / needed])),
  };
}

function nodeTests() {
  const said = execFileSync(setting.example("bench-engine"), ["node-tests", join(reference, "onnx-node-tests.bin")], { encoding: "utf8" });
  const { passed, in_scope } = JSON.parse(said);
  report(`${passed} of ${in_scope} of ONNX's node tests pass`);
  return { onnx_node_tests_passed: passed, onnx_node_tests_in_scope: in_scope };
}

const row = (id) => cases(reference).fp32.find((one) => one.id === id);

// Each measurement and the figures that come from it; those of single models come with them.
const MEASUREMENTS = [
  [["engine_brotli_mb"], sizes],
  [["onnx_node_tests_passed", "onnx_node_tests_in_scope"], nodeTests],
  [["peak_memory_ratio_worst"], memory],
  [["ortweb_fp32_1t_exact_geomean", "ortweb_fp32_1t_exact_worst", "ortweb_fp32_1t_fast_geomean"], () => tab(zoo.fp32, "ortweb_fp32_1t")],
  [["ortweb_int8_exact_geomean", "ortweb_int8_exact_relaxed_geomean", "ortweb_int8_fast_geomean"], () => tab(zoo.int8, "ortweb_int8")],
  [["ortweb_fp32_2t_exact_geomean", "ortweb_fp32_2t_fast_geomean"], twoThreads],
  [["ort_native_exact_geomean", "ort_native_fast_geomean"], natively],
  [["cold_mobilenetv2_ms"], () => cold(row("mobilenetv2"), "cold_mobilenetv2_ms")],
  [["cold_minilm_ms"], () => cold(row("minilm-32"), "cold_minilm_ms")],
];

process.exit(await record(MEASUREMENTS, join(root, "target/bench/engine.json"), process.argv.slice(2)));
