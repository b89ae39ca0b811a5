// Makes the models' plugins (WebAssembly components) run in a tab: each is transpiled by jco into `OUT/NAME/`, and
// `OUT/index.js` lists them by the digest of the component, as the models' manifests name them.
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { transpileBytes } from "@bytecodealliance/jco-transpile";

/** Builds `components` (`{model, component}`); `digestOf` is the digest that manifests use. */
export async function buildPlugins(components, digestOf, out) {
  await rm(out, { recursive: true, force: true });
  const imports = [];
  const entries = [];
  for (const [index, { model, component }] of components.entries()) {
    const { files } = await transpileBytes(component, {
      name: "plugin",
      instantiation: "async",
      outDir: "",
      emitTypescriptDeclarations: false,
      minify: true,
      wasiShim: false,
    });
    const cores = [];
    for (const [name, data] of Object.entries(files)) {
      if (name.endsWith(".d.ts")) continue;
      const path = join(out, model, name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, name === "plugin.js" ? withoutNode(data) : data);
      if (name.endsWith(".wasm")) cores.push(name);
    }
    imports.push(`import { instantiate as instantiate${index} } from "./${model}/plugin.js";`);
    // Literal URLs: that is how bundlers know what to ship.
    const urls = cores.map((name) => `    "${name}": new URL("./${model}/${name}", import.meta.url),`);
    entries.push(`  "${digestOf(component)}": () => ({ instantiate: instantiate${index}, modules: {\n${urls.join("\n")}\n  } }),`);
  }
  const text = `${imports.join("\n")}\n\nexport const plugins = {\n${entries.join("\n")}\n};\n`;
  await writeFile(join(out, "index.js"), text);
}

/** jco's own way to find core modules, which we never take, would make bundlers stumble over a module of Node. */
function withoutNode(data) {
  const text = Buffer.from(data).toString("utf8");
  return text.replace(/import\((["'`])node:fs\/promises\1\)/g, "Promise.reject(new Error('the Worker gives the modules'))");
}

/** The components in a folder of models; none at all is an error. */
export async function readPlugins(models) {
  const found = [];
  const folders = await readdir(models, { withFileTypes: true }).catch(() => []);
  for (const folder of folders.filter((entry) => entry.isDirectory())) {
    const read = (name) => readFile(join(models, folder.name, name), "utf8").then(JSON.parse);
    const manifest = await read("manifest.json").catch(() => undefined);
    if (manifest?.pipeline.kind !== "plugin") continue;
    const { plugin } = await read("files.json");
    found.push({ model: manifest.name, component: await readFile(join(models, folder.name, plugin)) });
  }
  if (found.length === 0) throw new Error(`no model with a plugin in ${models}; make the models first (\`make models\`)`);
  return found.sort((a, b) => (a.model < b.model ? -1 : 1));
}
