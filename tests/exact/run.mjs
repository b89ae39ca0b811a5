// Compares the hashes of all models' outputs between instruction sets and WebAssembly engines. Driven by `.ci/exact`.
//
// Prints `MODEL ENGINE HASH` lines, then `N passed, N failed`: one for each model and engine.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const { EXACT_NATIVE: native, EXACT_ARM: arm, EXACT_MODULE: moduleFile } = process.env;
const folders = process.argv.slice(2);
const names = folders.map((folder) => basename(folder));
const driver = readFileSync(join(here, "engine.js"), "utf8");
const PATIENCE_MS = 30 * 60_000;
const STOPS = ["SIGINT", "SIGTERM"];

/** Hashes by model, then by engine. */
const found = new Map(names.map((name) => [name, new Map()]));

function record(line) {
  const [model, engine, ...rest] = line.trim().split(" ");
  if (rest.length === 0) return;
  console.log(line.trim());
  found.get(model)?.set(engine, rest.join(" "));
}

function command(file, ...args) {
  const output = execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 1 << 24 });
  output.split("\n").forEach(record);
}

function nodeEngine() {
  const digestOf = new Function(`${driver}; return digestOf;`)();
  const module = new WebAssembly.Module(readFileSync(moduleFile));
  for (const [index, folder] of folders.entries()) {
    const instance = new WebAssembly.Instance(module, {});
    const hash = digestOf(instance, readFileSync(join(folder, "model.onnx")), readFileSync(join(folder, "fixtures.bin")));
    record(`${names[index]} v8-node ${hash}`);
  }
}

function jscEngine() {
  const scratch = mkdtempSync(join(tmpdir(), "neuromesh-exact-"));
  const script = join(scratch, "run.js");
  const lines = folders.map((folder, index) => {
    const file = (name) => `readFile(${JSON.stringify(join(folder, name))}, "binary")`;
    return `print(${JSON.stringify(`${names[index]} javascriptcore-jsc `)} + digestOf(new WebAssembly.Instance(module, {}), ${file("model.onnx")}, ${file("fixtures.bin")}));`;
  });
  const module = `const module = new WebAssembly.Module(readFile(${JSON.stringify(moduleFile)}, "binary"));`;
  writeFileSync(script, [driver, module, ...lines].join("\n"));
  try {
    command("jsc", script);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** A page that runs every model and posts each line; the browser is ended when all are there. */
async function browser(name, file, args) {
  const profile = mkdtempSync(join(tmpdir(), "neuromesh-exact-"));
  const lines = [];
  let done = () => undefined;
  const all = new Promise((resolve) => {
    done = resolve;
  });
  const page = `<!doctype html><script>${driver}
    const get = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
    (async () => {
      const module = await WebAssembly.compile(await get("/module"));
      for (const name of ${JSON.stringify(names)}) {
        let said;
        try {
          const instance = await WebAssembly.instantiate(module, {});
          said = digestOf(instance, await get("/" + name + "/model.onnx"), await get("/" + name + "/fixtures.bin"));
        } catch (error) { said = "failed: " + error; }
        await fetch("/line", { method: "POST", body: name + " ${name} " + said });
      }
    })();</script>`;
  const server = createServer((request, response) => {
    if (request.method === "POST") {
      let text = "";
      request.on("data", (part) => (text += part));
      request.on("end", () => {
        record(text);
        lines.push(text);
        response.end();
        if (lines.length === names.length) done();
      });
      return;
    }
    const [, folder, part] = new URL(request.url, "http://x").pathname.split("/");
    const index = names.indexOf(folder);
    if (folder === "module") response.setHeader("content-type", "application/wasm").end(readFileSync(moduleFile));
    else if (index >= 0 && ["model.onnx", "fixtures.bin"].includes(part)) response.end(readFileSync(join(folders[index], part)));
    else if (folder === "") response.setHeader("content-type", "text/html").end(page);
    else response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A group of its own, so that everything which it starts can be ended with it.
  const child = spawn(file, [...args(profile), `http://127.0.0.1:${server.address().port}/`], { stdio: "ignore", detached: true });
  const stop = () => {
    killGroup(child);
    process.exit(1);
  };
  for (const signal of STOPS) process.once(signal, stop);
  const timer = setTimeout(done, PATIENCE_MS);
  child.on("exit", done);
  await all;
  clearTimeout(timer);
  server.close();
  server.closeAllConnections();
  // What has ended but was waited for by nobody is still of the group: a second is enough for everybody else.
  for (const end = Date.now() + 1_000; killGroup(child) && Date.now() < end; ) await new Promise((resolve) => setTimeout(resolve, 20));
  for (const signal of STOPS) process.off(signal, stop);
  // `rmSync` would try to remove the folder again, but not what has come into it meanwhile.
  await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

/** What still runs would write into a folder that is being removed. False once nothing of the group is left. */
function killGroup(child) {
  try {
    return process.kill(-child.pid, "SIGKILL");
  } catch {
    return false;
  }
}

const CHROMIUM = (profile) => [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", `--user-data-dir=${profile}`,
];

command(native, "--module", moduleFile, ...folders);
if (arm) command("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", arm, ...folders.filter((_, index) => !names[index].startsWith("light-")));
nodeEngine();
jscEngine();
await browser("v8-chromium", "chromium", CHROMIUM);
const firefox = existsSync("/usr/bin/firefox-esr") ? "firefox-esr" : "firefox";
await browser("spidermonkey-firefox", firefox, (profile) => ["--headless", "--no-remote", "--profile", profile]);

const engines = new Set([...found.values()].flatMap((hashes) => [...hashes.keys()]));
let passed = 0;
const failures = [];
for (const [model, hashes] of found) {
  const reference = hashes.get("native-portable");
  for (const engine of engines) {
    const expected = /^[0-9a-f]{16}$/.test(reference ?? "");
    // Emulated, the largest models take too long.
    if (engine.startsWith("arm64") && !hashes.has(engine)) continue;
    if (expected && hashes.get(engine) === reference) passed += 1;
    else failures.push(`${model} on ${engine}: ${hashes.get(engine) ?? "no hash"} instead of ${reference}`);
  }
}
failures.forEach((failure) => console.log(failure));
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
