// The programs that a bench runs: a node, a browser, two engines that answer line by line.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { chromium } from "playwright-core";

const BROWSER_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Two tabs are watched at once: neither may be treated as out of sight.
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
];

const folders = [];
process.on("exit", () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** A fresh folder that goes when the process ends. */
export function scratch(name) {
  const folder = mkdtempSync(join(tmpdir(), `neuromesh-${name}-`));
  folders.push(folder);
  return folder;
}

/** Chromium with a profile of its own. */
export function browser(profile = scratch("profile")) {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launchPersistentContext(profile, { executablePath, headless: true, args: BROWSER_FLAGS });
}

/** A page that reports its errors here. */
export async function open(context, url) {
  const page = await context.newPage();
  page.on("pageerror", (error) => console.error(`page: ${error}`));
  page.on("console", (message) => {
    if (message.type() === "error") console.error(`page: ${message.text()}`);
  });
  await page.goto(url);
  return page;
}

/** A program that answers each line on its input with one line; the first line says that it is ready. */
export async function lines(command, args, env = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "inherit"] });
  const output = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await output.next();
    if (done) throw new Error(`${command} ended early`);
    return value;
  };
  await next();
  return {
    ask: (question = "") => {
      child.stdin.write(`${question}\n`);
      return next();
    },
    stop: () => child.stdin.end(),
  };
}

async function command(binary, args) {
  const child = spawn(binary, args, { stdio: ["ignore", "ignore", "inherit"] });
  const code = await new Promise((resolve) => child.on("exit", resolve));
  if (code !== 0) throw new Error(`${binary} ${args.join(" ")} ended with ${code}`);
}

/** A node with the given models and page, on ports of its own. */
export async function node({ binary, models, web }) {
  const data = scratch("node");
  for (const model of models) await command(binary, ["models", "add", model, "--data", data]);
  const listen = ["/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/tcp/0"].flatMap((address) => ["--listen", address]);
  const args = ["up", "--data", data, "--http", "127.0.0.1:0", "--json", "--log-level", "warn", ...listen];
  const child = spawn(binary, [...args, ...(web ? ["--web", web] : [])], { stdio: ["ignore", "pipe", "inherit"] });
  const output = createInterface({ input: child.stdout });
  const origin = await new Promise((resolve, reject) => {
    let said = "";
    child.on("exit", (code) => reject(new Error(`the node ended with ${code}: ${said}`)));
    output.on("line", (line) => {
      said = line;
      const address = line.match(/http:\/\/[0-9.]+:[0-9]+/);
      if (address) resolve(address[0]);
    });
  });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  return {
    origin,
    stop: () => {
      child.kill("SIGINT");
      return ended;
    },
  };
}
