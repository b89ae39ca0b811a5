// Runs the suites against real nodes, a real Chromium and a real Firefox; the last line counts them.
//
//   node run.mjs [SUITE…]     walk, two-nodes, faults, threads, engine, rooms, interop, direct, borrow, streams, gpu,
//                            firefox, hostile
//
// Needs: the binary (NEUROMESH_BIN, or in CARGO_TARGET_DIR), the models, js/dist and demo-web/dist.
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { executable } from "./harness/browser.mjs";
import { binary, demo, models } from "./harness/node.mjs";

const suites = fileURLToPath(new URL("./suites", import.meta.url));
const wanted = process.argv.slice(2);
const names = (await readdir(suites)).map((file) => file.replace(".test.mjs", ""));
const chosen = wanted.length > 0 ? wanted : names.sort();
for (const name of chosen) if (!names.includes(name)) throw new Error(`no suite ${name}; there are ${names.join(", ")}`);
if (!existsSync(join(demo, "index.html"))) throw new Error("demo-web/dist is missing: build it first (`make web`)");
if (!existsSync(join(models, "magika/manifest.json"))) throw new Error(`no models in ${models}: make them first (\`make models\`)`);
console.log(`e2e: ${binary()} with ${executable()}`);

let passed = 0;
let failed = 0;
// One after the other: each has browsers and nodes of its own, and times that are looked at.
const stream = run({ files: chosen.map((name) => join(suites, `${name}.test.mjs`)), concurrency: 1, timeout: 300_000 });
// Suites and files are counted by their tests alone, unless they fail by themselves.
const counts = ({ name, details }) => details.type !== "suite" && !name.endsWith(".test.mjs");
stream.on("test:pass", (event) => {
  if (counts(event)) passed += 1;
});
stream.on("test:fail", (event) => {
  if (counts(event) || event.details.error?.failureType !== "subtestsFailed") failed += 1;
});
for await (const text of stream.compose(new spec())) process.stdout.write(text);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
