// Builds `dist/`: the TypeScript, the WebAssembly module from `wasm/`, and the plugins of the models.
//
// Needs beforehand: `wasm/neuromesh.js` and `wasm/neuromesh_bg.wasm` (wasm-bindgen --target web), and the plugins: the
// component $NEUROMESH_PLUGIN_MAGIKA, or those of the models in $NEUROMESH_CACHE/models (~/.cache/neuromesh/models).
import { execFileSync } from "node:child_process";
import { copyFile, mkdir, readFile, rm, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { homedir } from "node:os";
import { join } from "node:path";
import { buildPlugins, readPlugins } from "./plugins.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");

const cache = process.env.NEUROMESH_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "neuromesh");

async function need(path, how) {
  try {
    return await stat(path);
  } catch {
    console.error(`js: ${path} is missing; ${how}`);
    process.exit(1);
  }
}

await need(join(root, "wasm/neuromesh_bg.wasm"), "build the crate neuromesh-wasm first (`make wasm`)");
await rm(dist, { recursive: true, force: true });
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "tsconfig.json")], {
  stdio: "inherit",
});
await mkdir(join(dist, "wasm"), { recursive: true });
for (const name of ["neuromesh.js", "neuromesh_bg.wasm"]) {
  await copyFile(join(root, "wasm", name), join(dist, "wasm", name));
}

// The digest in manifests is BLAKE3, which our own module computes.
const { WasmEngine, initSync } = await import(new URL("../dist/wasm/neuromesh.js", import.meta.url));
initSync({ module: await readFile(join(dist, "wasm/neuromesh_bg.wasm")) });
const engine = new WasmEngine();
function digestOf(bytes) {
  const writer = engine.digestWriter();
  writer.update(bytes);
  return writer.finish();
}

const given = process.env.NEUROMESH_PLUGIN_MAGIKA;
const components = given ? [{ model: "magika", component: await readFile(given) }] : await readPlugins(join(cache, "models"));
await buildPlugins(components, digestOf, join(dist, "plugins"));
const { size } = await stat(join(dist, "wasm/neuromesh_bg.wasm"));
console.log(`js: dist/ is built: wasm ${(size / 1e6).toFixed(1)} MB, plugins: ${components.map(({ model }) => model).join(", ")}`);
