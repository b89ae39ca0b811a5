// Real nodes: the binary `neuromesh`, each with a data folder of its own.
import { spawn, execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../..", import.meta.url));
export const cache = process.env.NEUROMESH_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "neuromesh");
export const models = join(cache, "models");
export const demo = join(root, "demo-web/dist");

/** How long a node may take to say that it is ready, or to stop. */
const PATIENCE = 30_000;

/** $NEUROMESH_BIN, or the newest build. */
export function binary() {
  if (process.env.NEUROMESH_BIN) return process.env.NEUROMESH_BIN;
  const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  const built = ["release", "debug"].map((profile) => join(target, profile, "neuromesh")).filter(existsSync);
  if (built.length === 0) throw new Error(`no binary neuromesh in ${target}: build it (\`make node\`) or set NEUROMESH_BIN`);
  return built.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
}

const LISTEN = ["/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/tcp/0"];

export class TestNode {
  static #running = new Set();

  /** A new data folder with these models in it, names of those that are built, or folders; and these files as graphs, by name. */
  static async create({ models: names = ["all-minilm-l6-v2", "magika"], graphs = {}, web = demo, args = [], listen = LISTEN } = {}) {
    const node = new TestNode();
    node.data = await mkdtemp(join(tmpdir(), "neuromesh-e2e-"));
    node.web = web;
    node.args = args;
    node.listen = listen;
    for (const name of names) node.cli("models", "add", resolve(models, name));
    for (const [name, path] of Object.entries(graphs)) node.cli("models", "add", path, "--name", name);
    await node.start();
    return node;
  }

  static async removeAll() {
    await Promise.all([...TestNode.#running].map((node) => node.remove()));
  }

  cli(...args) {
    return execFileSync(binary(), ["--json", "--data", this.data, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }

  /** Starts it; after the first time on the ports that it had, as a service would. */
  async start() {
    const args = ["up", "--json", "--data", this.data, "--web", this.web];
    args.push("--http", this.ready ? new URL(this.ready.http).host : "127.0.0.1:0");
    for (const address of this.listen) args.push("--listen", address);
    this.log = "";
    this.process = spawn(binary(), [...args, ...this.args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NEUROMESH_LOG_LEVEL: process.env.NEUROMESH_LOG_LEVEL ?? "info" },
    });
    TestNode.#running.add(this);
    this.exited = once(this.process, "exit");
    this.process.stderr.on("data", (chunk) => {
      this.log = (this.log + chunk).slice(-20_000);
    });
    const lines = createInterface({ input: this.process.stdout });
    this.ready = await new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`the node ${why}\n${this.log}`));
      const timer = setTimeout(fail, PATIENCE, "was not ready in time");
      this.exited.then(([code]) => fail(`ended with ${code}`));
      lines.on("line", (line) => {
        const message = JSON.parse(line);
        if (message.event !== "ready") return;
        clearTimeout(timer);
        resolve(message);
      });
    });
    this.url = `${this.ready.http}/`;
    this.listen = this.ready.addresses.map((address) => address.replace(/\/(certhash|p2p)\/.*$/, ""));
  }

  /** An address of this kind (`/ws` or plain TCP). */
  address(ws) {
    return this.ready.addresses.find((address) => address.includes("/tcp/") && address.includes("/ws") === ws);
  }

  pause() {
    this.process.kill("SIGSTOP");
  }

  resume() {
    this.process.kill("SIGCONT");
  }

  /** As a power cut would. */
  async kill() {
    this.process.kill("SIGKILL");
    await this.exited;
  }

  /** Bytes of memory that it has now. */
  memory() {
    return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.process.pid}/status`, "utf8"))[1]);
  }

  async healthy() {
    return (await fetch(new URL("/healthz", this.url))).ok;
  }

  async remove() {
    TestNode.#running.delete(this);
    if (this.process.exitCode === null && this.process.signalCode === null) await this.kill();
    await rm(this.data, { recursive: true, force: true });
  }
}
