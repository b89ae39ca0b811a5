// Tab to tab over WebRTC, beside js-libp2p in the same run: the same browser, the same relay (our node), each pair in two processes of
// its own, by turns. Prints a table and writes target/bench/webrtc.json.
//
//   node webrtc.mjs [VISITS]     how often each pair connects anew; 7 when absent
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { barePage } from "../e2e/harness/bare-page.mjs";
import { launch, openPage, until } from "../e2e/harness/browser.mjs";
import { TestNode, root } from "../e2e/harness/node.mjs";
import { ours, streams } from "../e2e/harness/streams.mjs";

const VISITS = Number(process.argv[2] ?? 7);
const ECHO = "/bench-echo/1";
const SINK = "/bench-sink/1";
const TURNS = 200;
const MIB = 1 << 20;
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

const bare = await barePage("js-libp2p");
const node = await TestNode.create({ models: [], web: bare.folder });
const browsers = [await launch(), await launch()];

const kinds = {
  ours: {
    open: async (browser) => {
      const page = await openPage(await browser.newContext(), node.url);
      await page.waitForFunction(() => window.neuromesh !== undefined);
      await page.evaluate(async () => {
        window.mesh = await window.neuromesh.join();
      });
      page.id = await page.evaluate(() => window.mesh.id);
      page.address = `${node.address(true)}/p2p-circuit/webrtc/p2p/${page.id}`;
      await page.evaluate(ours);
      return page;
    },
    dial: (page, address) =>
      page.evaluate(async (address) => {
        const start = performance.now();
        await window.mesh.dial(address);
        return performance.now() - start;
      }, address),
  },
  js: {
    open: async (browser) => {
      const page = await openPage(await browser.newContext(), new URL("js-libp2p/", node.url).href);
      await page.waitForFunction(() => window.start !== undefined);
      page.id = await page.evaluate((relay) => window.start(relay), node.address(true));
      await until(() => page.evaluate(() => window.address() !== undefined), "a slot at the relay");
      page.address = await page.evaluate(() => window.address());
      return page;
    },
    dial: (page, address) =>
      page.evaluate(async (address) => {
        const start = performance.now();
        await window.dial(address);
        return performance.now() - start;
      }, address),
  },
};

const seen = {};
const note = (kind, what, value) => ((seen[what] ??= { ours: [], js: [] })[kind].push(value), value);

for (let visit = 0; visit < VISITS; visit += 1) {
  for (const kind of visit % 2 === 0 ? ["ours", "js"] : ["js", "ours"]) {
    const { open, dial } = kinds[kind];
    const [left, right] = [await open(browsers[0]), await open(browsers[1])];
    for (const page of [left, right]) {
      await page.evaluate(streams);
      for (const [serve, protocol] of [["serveEcho", ECHO], ["serveSink", SINK]]) {
        await page.evaluate(([serve, protocol]) => window[serve](protocol), [serve, protocol]);
      }
    }
    // A slot at the relay may be a moment away.
    await until(async () => {
      try {
        note(kind, "connect, ms", await dial(left, right.address));
        return true;
      } catch {
        return false;
      }
    }, "connected");
    const rate = async (from, to, size) => size / MIB / ((await from.evaluate(([peer, protocol, size]) => window.upload(peer, protocol, size), [to.id, SINK, size])) / 1000);
    note(kind, "round trip of 32 bytes, ms", await left.evaluate(([peer, protocol, turns]) => window.roundTrip(peer, protocol, turns), [right.id, ECHO, TURNS]));
    for (const mib of [1, 32]) {
      note(kind, `up ${mib} MiB, MiB/s`, await rate(left, right, mib * MIB));
      note(kind, `down ${mib} MiB, MiB/s`, await rate(right, left, mib * MIB));
    }
    await Promise.all([left, right].map((page) => page.context().close()));
  }
}

await Promise.all(browsers.map((browser) => browser.close()));
await TestNode.removeAll();
await bare.remove();

console.log(`\nTab to tab, ${VISITS} connections each, medians; ${cpus().length} x ${cpus()[0].model}, load ${loadavg()[0].toFixed(1)}\n`);
console.log("| | ours | js-libp2p | ratio |\n|---|---|---|---|");
const ratios = {};
for (const [what, { ours, js }] of Object.entries(seen)) {
  const [a, b] = [median(ours), median(js)];
  ratios[what] = a / b;
  console.log(`| ${what} | ${a.toFixed(2)} | ${b.toFixed(2)} | ${(a / b).toFixed(2)} |`);
}
const figures = {
  connect_vs_js: ratios["connect, ms"],
  rtt_vs_js: ratios["round trip of 32 bytes, ms"],
  throughput_up_vs_js: ratios["up 32 MiB, MiB/s"],
  throughput_down_vs_js: ratios["down 32 MiB, MiB/s"],
};
const folder = join(root, "target/bench");
await mkdir(folder, { recursive: true });
await writeFile(join(folder, "webrtc.json"), `${JSON.stringify(figures, null, 2)}\n`);
process.exit(0);
