// The package as others get it: through a bundler with its default settings, and on a server. Needs `npm run build`.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const fixture = fileURLToPath(new URL("./fixture", import.meta.url));
let out;
let names;

before(async () => {
  out = await mkdtemp(join(tmpdir(), "neuromesh-fixture-"));
  await build({ root: fixture, base: "./", configFile: false, logLevel: "error", build: { outDir: out, emptyOutDir: true } });
  names = await readdir(join(out, "assets"));
});

after(() => rm(out, { recursive: true, force: true }));

test("the bundler finds each module once, the Worker and the plugin's parts", async () => {
  for (const part of ["mesh_bg", "engine_bg"]) {
    const modules = names.filter((name) => name.startsWith(part) && name.endsWith(".wasm"));
    assert.equal(modules.length, 1, names.join(", "));
    assert.ok((await stat(join(out, "assets", modules[0]))).size > 1_000_000);
  }
  assert.ok(names.some((name) => /^worker-.*\.js$/.test(name)), names.join(", "));
  assert.ok(names.some((name) => /^plugin\.core-.*\.wasm$/.test(name)), names.join(", "));
});

test("the bundle names every file that it shipped", async () => {
  const scripts = names.filter((name) => name.endsWith(".js"));
  const text = (await Promise.all(scripts.map((name) => readFile(join(out, "assets", name), "utf8")))).join("\n");
  for (const name of names.filter((other) => other.endsWith(".wasm"))) assert.ok(text.includes(name), name);
});

test("by its name, on a server: the import is harmless", () => {
  const code = 'import { join, NeuromeshError } from "neuromesh"; await join().catch((e) => console.log(e.name, e instanceof NeuromeshError));';
  const said = execFileSync(process.execPath, ["--input-type=module", "-e", code], { cwd: fixture, encoding: "utf8" });
  assert.equal(said.trim(), "UnsupportedEnvironment true");
});

test("the types are where package.json says", async () => {
  const { exports } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
  const types = await readFile(new URL(`../${exports["."].types}`, import.meta.url), "utf8");
  for (const name of ["join", "Mesh", "MeshDocument", "Answer", "NeuromeshError", "RunOptions"]) assert.match(types, new RegExp(`\\b${name}\\b`));
});
