// Makes the models' plugins (WebAssembly components) run in a tab: each is transpiled by jco into `OUT/NAME/`, and
// `OUT/index.js` lists them by the digest of the component, as the models' manifests name them.
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { transpileBytes } from "@bytecodealliance/jco-transpile";

/** The names of the models whose plugins were built; none at all is an error. */
export async function buildPlugins(models, out) {
  const found = await readPlugins(models);
  if (found.length === 0) {
    throw new Error(`no model with a plugin in ${models}; make the models first (\`make models\`)`);
  }
  const imports = [];
  const entries = [];
  for (const [index, { model, digest, component }] of found.entries()) {
    const { files } = await transpileBytes(component, {
      name: "plugin",
      instantiation: "async",
      outDir: "",
      emitTypescriptDeclarations: false,
      wasiShim: false,
    });
    const cores = [];
    for (const [name, data] of Object.entries(files)) {
      if (name.endsWith(".d.ts")) continue;
      const path = join(out, model, name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, data);
      if (name.endsWith(".wasm")) cores.push(name);
    }
    imports.push(`import { instantiate as instantiate${index} } from "./${model}/plugin.js";`);
    // Literal URLs: that is how bundlers know what to ship.
    const urls = cores.map((name) => `    "${name}": new URL("./${model}/${name}", import.meta.url),`);
    entries.push(`  "${digest}": () => ({ instantiate: instantiate${index}, modules: {\n${urls.join("\n")}\n  } }),`);
  }
  const text = `${imports.join("\n")}\n\nexport const plugins = {\n${entries.join("\n")}\n};\n`;
  await writeFile(join(out, "index.js"), text);
  return found.map(({ model }) => model);
}

async function readPlugins(models) {
  const found = [];
  const folders = await readdir(models, { withFileTypes: true }).catch(() => []);
  for (const folder of folders.filter((entry) => entry.isDirectory())) {
    const read = (name) => readFile(join(models, folder.name, name), "utf8").then(JSON.parse);
    const manifest = await read("manifest.json").catch(() => undefined);
    if (manifest?.pipeline.kind !== "plugin") continue;
    const { plugin } = await read("files.json");
    const { digest } = manifest.files.find(({ role }) => role === "plugin");
    found.push({ model: manifest.name, digest, component: await readFile(join(models, folder.name, plugin)) });
  }
  return found.sort((a, b) => (a.model < b.model ? -1 : 1));
}
