// The engine in the tab on one thread and on several: the same bits, and it says why so many.
import assert from "node:assert/strict";
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { barePage } from "../harness/bare-page.mjs";
import { launch, openPage } from "../harness/browser.mjs";
import { TestNode, root } from "../harness/node.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
const SENTENCE = "The quick brown fox jumps over the lazy dog, and the dog does not mind.";

/** A server that sends no headers for isolation. */
async function plainServer(folder) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, "http://x").pathname;
    const file = join(folder, path === "/" ? "index.html" : path);
    if (!existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() && server.closeAllConnections() };
}

/** Joins, runs, leaves: what the engine says of itself, and the bytes of the answer. */
async function answerOf(page, options, run = {}) {
  return page.evaluate(
    async ([options, run, sentence]) => {
      const mesh = await window.neuromesh.join(options);
      try {
        const { gpu, ...info } = await mesh.engine();
        const answer = await mesh.run("all-minilm-l6-v2", sentence, { tier: "device", deadline: 120_000, ...run });
        const { data } = answer.tensor();
        const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        return { info, gpu, hex, data: [...data], exactness: answer.receipt.exactness };
      } finally {
        await mesh.close();
      }
    },
    [options, run, SENTENCE],
  );
}

describe("threads in the tab", { timeout: 240_000 }, () => {
  let page, node, plain, browser;
  const threaded = ["threads", "fast"].some((name) => existsSync(join(root, `js/dist/wasm/engine-${name}_bg.wasm`)));
  let one;

  before(async () => {
    page = await barePage();
    node = await TestNode.create({ models: ["all-minilm-l6-v2"], web: page.folder });
    plain = await plainServer(page.folder);
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    plain?.close();
    await TestNode.removeAll();
    await page?.remove();
  });

  test("no GPU, unless one is asked for", async () => {
    const { gpu } = await answerOf(await openPage(await browser.newContext(), node.url), { threads: 1 });
    assert.deepEqual([gpu.used, gpu.reason, gpu.runs], [false, "the page did not ask for it", 0]);
  });

  test("one thread, when one is asked for", async () => {
    one = await answerOf(await openPage(await browser.newContext(), node.url), { threads: 1 });
    assert.deepEqual(one.info, { threads: 1, reason: "one thread was asked for", fast: false });
    assert.equal(one.data.length, 384);
    assert.equal(one.exactness, "exact");
  });

  test("a page that is not isolated has one thread, and says what it would need", async () => {
    const here = await openPage(await browser.newContext(), plain.url);
    assert.equal(await here.evaluate(() => self.crossOriginIsolated), false);
    const alone = await answerOf(here, { nodes: [node.address(true)] });
    assert.equal(alone.info.threads, 1);
    assert.match(alone.info.reason, /not cross-origin isolated.*Cross-Origin-Embedder-Policy/);
    assert.equal(alone.hex, one.hex);
  });

  for (const threads of [2, 3]) {
    test(`${threads} threads give the same bits`, { skip: !threaded && "the package was built without std's sources" }, async () => {
      const here = await openPage(await browser.newContext(), node.url);
      const several = await answerOf(here, { threads });
      assert.deepEqual(several.info, { threads, reason: "as many as were asked for", fast: several.info.fast });
      assert.equal(several.hex, one.hex);
      assert.deepEqual(here.complaints, []);
    });
  }

  test("without a number, there are as many threads as processors", { skip: !threaded }, async () => {
    const here = await openPage(await browser.newContext(), node.url);
    const processors = await here.evaluate(() => navigator.hardwareConcurrency);
    const { info, hex } = await answerOf(here, {});
    assert.equal(info.threads, Math.min(processors, 8), info.reason);
    assert.equal(hex, one.hex);
  });

  test("what was found to be fastest is kept for the next visit", { skip: !threaded }, async () => {
    const here = await openPage(await browser.newContext(), node.url);
    const kept = await here.evaluate(async (sentence) => {
      const mesh = await window.neuromesh.join({ threads: 2 });
      const choices = async () => {
        const store = await (await navigator.storage.getDirectory()).getDirectoryHandle("neuromesh");
        return (await (await store.getFileHandle("choices")).getFile()).text();
      };
      try {
        // Each candidate is tried a few times before one is chosen.
        for (let run = 0; run < 40; run++) {
          await mesh.run("all-minilm-l6-v2", sentence, { tier: "device", deadline: 120_000 });
          const text = await choices();
          if (text !== "") return JSON.parse(text);
        }
      } finally {
        await mesh.close();
      }
    }, SENTENCE);
    assert.match(kept.machine, /^engine-(threads|fast) 2 Mozilla/);
    assert.deepEqual(kept.entries[0].arms.map(({ threads }) => threads).sort(), [1, 2]);
  });
});
