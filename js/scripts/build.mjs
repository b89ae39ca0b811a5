// Builds `dist/`: the TypeScript, the WebAssembly module from `wasm/`, and the plugins of the models.
//
//   node scripts/build.mjs            everything
//
// Needs beforehand: `wasm/neuromesh.js` and `wasm/neuromesh_bg.wasm` (wasm-bindgen --target web), and the models' folder
// ($NEUROMESH_MODELS, or models/ in $NEUROMESH_CACHE, or in ~/.cache/neuromesh).
import { execFileSync } from "node:child_process";
import { copyFile, mkdir, rm, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { homedir } from "node:os";
import { join } from "node:path";
import { buildPlugins } from "./plugins.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");

const cache = process.env.NEUROMESH_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "neuromesh");
const models = process.env.NEUROMESH_MODELS ?? join(cache, "models");

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
const names = await buildPlugins(models, join(dist, "plugins"));
const { size } = await stat(join(dist, "wasm/neuromesh_bg.wasm"));
console.log(`js: dist/ is built: wasm ${(size / 1e6).toFixed(1)} MB, plugins: ${names.join(", ")}`);
