// Builds `dist/`: the TypeScript, the WebAssembly module from `wasm/`, and the plugins of the models.
//
// Needs beforehand: `wasm/mesh.js`, `wasm/engine.js` and their modules (wasm-bindgen --target web), and the plugins: the
// component $NEUROMESH_PLUGIN_MAGIKA, or those of the models in $NEUROMESH_CACHE/models (~/.cache/neuromesh/models).
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
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

// The engines for browsers with shared memory, and with relaxed SIMD as well, are there where std could be compiled for them.
const engines = ["engine", "engine-threads", "engine-fast"].filter((name) => name === "engine" || existsSync(join(root, "wasm", `${name}_bg.wasm`)));
// The module for the GPU is built by itself.
const hasGpu = existsSync(join(root, "wasm/gpu_bg.wasm"));
const modules = ["mesh", ...engines, ...(hasGpu ? ["gpu"] : [])].flatMap((name) => [`${name}.js`, `${name}_bg.wasm`]);
for (const name of modules) await need(join(root, "wasm", name), "build the crate neuromesh-wasm first (`make wasm`)");
await rm(dist, { recursive: true, force: true });
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "tsconfig.json")], {
  stdio: "inherit",
});
await mkdir(join(dist, "wasm"), { recursive: true });
for (const name of modules) {
  await copyFile(join(root, "wasm", name), join(dist, "wasm", name));
}
const bindings = engines.map((name, index) => `import * as bindings${index} from "./${name}.js";`);
const named = engines.map((name, index) => `  "${name}": bindings${index},`);
await writeFile(join(dist, "wasm/modules.js"), `${bindings.join("\n")}\n\nexport const modules = {\n${named.join("\n")}\n};\n`);
// Literal URLs: that is how bundlers know what to ship.
const urls = engines.map((name) => `  "${name}": new URL("./${name}_bg.wasm", import.meta.url),`);
const builds = await Promise.all(
  engines.map(async (name) => {
    const bytes = await readFile(join(dist, "wasm", `${name}_bg.wasm`));
    return `  "${name}": "${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}",`;
  }),
);
const tables = Object.entries({ urls, builds }).map(([name, lines]) => `export const ${name} = {\n${lines.join("\n")}\n};\n`);
const gpu = hasGpu ? 'new URL("./gpu_bg.wasm", import.meta.url)' : "undefined";
await writeFile(join(dist, "wasm/urls.js"), `${tables.join("\n")}\nexport const gpu = ${gpu};\n`);
await writeFile(join(dist, "wasm/gpu-module.js"), hasGpu ? 'import * as gpu from "./gpu.js";\n\nexport { gpu };\n' : "export const gpu = undefined;\n");

// The digest in manifests is BLAKE3, which our own module computes.
const { WasmEngine, initSync } = await import(new URL("../dist/wasm/engine.js", import.meta.url));
initSync({ module: await readFile(join(dist, "wasm/engine_bg.wasm")) });
const engine = new WasmEngine();
function digestOf(bytes) {
  const writer = engine.digestWriter();
  writer.update(bytes);
  return writer.finish();
}

const given = process.env.NEUROMESH_PLUGIN_MAGIKA;
const components = given ? [{ model: "magika", component: await readFile(given) }] : await readPlugins(join(cache, "models"));
await buildPlugins(components, digestOf, join(dist, "plugins"));
const sizes = await Promise.all(modules.filter((name) => name.endsWith(".wasm")).map((name) => stat(join(dist, "wasm", name))));
const megabytes = sizes.map(({ size }) => (size / 1e6).toFixed(1)).join(" + ");
console.log(`js: dist/ is built: wasm ${megabytes} MB, plugins: ${components.map(({ model }) => model).join(", ")}`);
