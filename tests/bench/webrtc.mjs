// Tab to tab and tab to node over WebRTC, beside js-libp2p in the same run: the same browser, the same relay (our node) for tabs, the
// same peer of the SDK under `/webrtc-direct` for the other, by turns; between tabs a data channel with nothing over it too, which is
// what the browser itself can do. Prints two tables and writes target/bench/webrtc.json.
//
//   node webrtc.mjs [VISITS] [tabs | node]     how often each pair connects anew; 7 when absent. One of the two alone
import { spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { barePage } from "../e2e/harness/bare-page.mjs";
import { launch, openPage, until } from "../e2e/harness/browser.mjs";
import { TestNode, binary, root } from "../e2e/harness/node.mjs";
import { ours, streams } from "../e2e/harness/streams.mjs";
import { connectBare, uploadBare } from "./bare-channel.mjs";

const VISITS = Number(process.argv[2] ?? 7);
const ONLY = process.argv[3];
const ECHO = "/bench-echo/1";
const SINK = "/bench-sink/1";
const SOURCE = "/bench-source/1";
const PACE = "/bench-pace/1";
const TURNS = 200;
const MIB = 1 << 20;
/** The first second of a connection, in steps of 100 ms. */
const STEPS = 10;
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

const bare = await barePage("js-libp2p");
const node = await TestNode.create({ models: [], web: bare.folder });
const browsers = [await launch(), await launch()];

const dial = (page, address) =>
  page.evaluate(async (address) => {
    const start = performance.now();
    await (window.mesh ?? window).dial(address);
    return performance.now() - start;
  }, address);

/** Pages of each kind, ready to dial, with the calls of `streams` in them. */
const kinds = {
  ours: async (browser) => {
    const page = await openPage(await browser.newContext(), node.url);
    await page.waitForFunction(() => window.neuromesh !== undefined);
    await page.evaluate(async () => {
      window.mesh = await window.neuromesh.join();
    });
    page.id = await page.evaluate(() => window.mesh.id);
    page.address = `${node.address(true)}/p2p-circuit/webrtc/p2p/${page.id}`;
    await page.evaluate(ours);
    await page.evaluate(streams);
    return page;
  },
  js: async (browser) => {
    const page = await openPage(await browser.newContext(), new URL("js-libp2p/", node.url).href);
    await page.waitForFunction(() => window.start !== undefined);
    page.id = await page.evaluate((relay) => window.start(relay), node.address(true));
    await until(() => page.evaluate(() => window.address() !== undefined), "a slot at the relay");
    page.address = await page.evaluate(() => window.address());
    await page.evaluate(streams);
    return page;
  },
};

const upload = (from, to, size) => from.evaluate(([peer, protocol, size]) => window.upload(peer, protocol, size), [to, SINK, size]);
const download = (page, from, size) => page.evaluate(([peer, protocol, size]) => window.download(peer, protocol, size), [from, SOURCE, size]);
const roundTrip = (page, peer) => page.evaluate(([peer, protocol, turns]) => window.roundTrip(peer, protocol, turns), [peer, ECHO, TURNS]);
const rate = (size, took) => size / MIB / (took / 1000);

/** `visit(kind, note)` for each of `names` by turns; what was noted, by name. A kind that fails is told of and left out. */
async function byTurns(visit, names = ["ours", "js"]) {
  const seen = {};
  const failed = new Set();
  for (let turn = 0; turn < VISITS; turn += 1) {
    for (const kind of turn % 2 === 0 ? names : names.toReversed()) {
      if (failed.has(kind)) continue;
      try {
        await visit(kind, (what, value) => (seen[what] ??= { ours: [], js: [], bare: [] })[kind].push(value), turn);
      } catch (error) {
        if (kind === "ours") throw error;
        failed.add(kind);
        console.log(`${kind} is left out: ${String(error).split("\n")[0]}`);
      }
    }
  }
  return seen;
}

async function overBare(note) {
  const [left, right] = await Promise.all(browsers.map(async (browser) => openPage(await browser.newContext(), node.url)));
  await connectBare(left, right);
  for (const mib of [1, 32]) {
    note(`up ${mib} MiB, MiB/s`, rate(mib * MIB, await uploadBare(left, right, mib * MIB)));
    note(`down ${mib} MiB, MiB/s`, rate(mib * MIB, await uploadBare(right, left, mib * MIB)));
  }
  await Promise.all([left, right].map((page) => page.context().close()));
}

async function tabToTab() {
  const visit = async (kind, note) => {
    if (kind === "bare") return overBare(note);
    const [left, right] = [await kinds[kind](browsers[0]), await kinds[kind](browsers[1])];
    for (const page of [left, right]) {
      await page.evaluate(([echo, sink]) => Promise.all([window.serveEcho(echo), window.serveSink(sink)]), [ECHO, SINK]);
    }
    // A slot at the relay may be a moment away.
    await until(async () => {
      try {
        note("connect, ms", await dial(left, right.address));
        return true;
      } catch {
        return false;
      }
    }, "connected");
    note("round trip of 32 bytes, ms", await roundTrip(left, right.id));
    for (const mib of [1, 32]) {
      note(`up ${mib} MiB, MiB/s`, rate(mib * MIB, await upload(left, right.id, mib * MIB)));
      note(`down ${mib} MiB, MiB/s`, rate(mib * MIB, await upload(right, left.id, mib * MIB)));
    }
    await Promise.all([left, right].map((page) => page.context().close()));
  };
  return byTurns(visit, ["ours", "js", "bare"]);
}

/** A peer of the SDK in a process of its own (`tests/bench/peer.rs`), beside the binary of the node. */
async function peer() {
  const path = join(dirname(binary()), "examples/bench-peer");
  const child = spawn(path, ["/ip4/0.0.0.0/udp/0/webrtc-direct"], { stdio: ["pipe", "pipe", "inherit"] });
  const { value, done } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  if (done) throw new Error(`${path} ended early`);
  const { id, addresses } = JSON.parse(value);
  return { id, address: addresses.find((address) => address.includes("/certhash/")), stop: () => child.stdin.end() };
}

async function tabToNode() {
  const server = await peer();
  const visits = async (kind, note, turn) => {
    const page = await kinds[kind](browsers[0]);
    note("connect, ms", await dial(page, server.address));
    // What comes first meets a connection that knows nothing of its way yet: the first MiB of every other visit goes up, of the rest down.
    const first = turn % 2 === 0 ? ["up", "down"] : ["down", "up"];
    const took = { up: (size) => upload(page, server.id, size), down: async (size) => (await download(page, server.id, size)).took };
    note(`the first MiB, ${first[0]}, ms`, await took[first[0]](MIB));
    note(`${first[1]} 1 MiB, MiB/s`, rate(MIB, await took[first[1]](MIB)));
    note("round trip of 32 bytes, ms", await roundTrip(page, server.id));
    for (const way of first) note(`${way} 32 MiB, MiB/s`, rate(32 * MIB, await took[way](32 * MIB)));
    await page.context().close();
  };
  const seen = await byTurns(visits);
  const paces = {};
  await byTurns(async (kind) => {
    for (const way of ["up", "down"]) {
      const page = await kinds[kind](browsers[0]);
      await dial(page, server.address);
      const size = 64 * MIB;
      const steps =
        way === "up"
          ? await page.evaluate(([peer, protocol, size]) => window.pace(peer, protocol, size), [server.id, PACE, size])
          : (await download(page, server.id, size)).pace;
      for (let step = 0; step < STEPS; step += 1) (((paces[`${kind}, ${way}`] ??= [])[step]) ??= []).push(steps[step] / MIB);
      await page.context().close();
    }
  });
  server.stop();
  return { seen, paces };
}

const machine = `${VISITS} connections each, medians; ${cpus().length} x ${cpus()[0].model}, load`;
const ratios = (seen) => Object.fromEntries(Object.entries(seen).map(([what, { ours, js }]) => [what, median(ours) / median(js)]));
const show = (number) => (number === undefined || Number.isNaN(number) ? "-" : number.toFixed(2));
function table(title, seen) {
  console.log(`\n${title}, ${machine} ${loadavg()[0].toFixed(1)}\n\n| | ours | js-libp2p | ratio | a bare channel | ratio |\n|---|---|---|---|---|---|`);
  const compared = ratios(seen);
  for (const [what, { ours, js, bare }] of Object.entries(seen)) {
    const values = [median(ours), median(js), compared[what], median(bare), median(ours) / median(bare)];
    console.log(`| ${what} | ${values.map(show).join(" | ")} |`);
  }
}

const file = join(root, "target/bench/webrtc.json");
const figures = await readFile(file, "utf8").then(JSON.parse, () => ({}));
if (ONLY !== "node") {
  const seen = await tabToTab();
  table("Tab to tab", seen);
  const compared = ratios(seen);
  figures.connect_vs_js = compared["connect, ms"];
  figures.rtt_vs_js = compared["round trip of 32 bytes, ms"];
  figures.throughput_up_vs_js = compared["up 32 MiB, MiB/s"];
  figures.throughput_down_vs_js = compared["down 32 MiB, MiB/s"];
}
if (ONLY !== "tabs") {
  const { seen, paces } = await tabToNode();
  table("Tab to node", seen);
  console.log(`\nMiB in each 100 ms of the first second of a connection, medians\n\n| | ${Array.from({ length: STEPS }, (_, step) => step + 1).join(" | ")} |\n|---|${"---|".repeat(STEPS)}`);
  for (const [what, steps] of Object.entries(paces)) console.log(`| ${what} | ${steps.map((values) => median(values).toFixed(1)).join(" | ")} |`);
  const slower = (pick, ...names) => pick(...names.filter((name) => seen[name] !== undefined).map((name) => median(seen[name].ours)));
  figures.tab_node_mib_s = slower(Math.min, "up 32 MiB, MiB/s", "down 32 MiB, MiB/s");
  figures.tab_node_first_mib_ms = slower(Math.max, "the first MiB, up, ms", "the first MiB, down, ms");
}

await Promise.all(browsers.map((browser) => browser.close()));
await TestNode.removeAll();
await bare.remove();
await mkdir(dirname(file), { recursive: true });
await writeFile(file, `${JSON.stringify(figures, null, 2)}\n`);
process.exit(0);
