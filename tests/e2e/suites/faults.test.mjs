// What goes wrong outside: servers die, frames are garbage, disks are full, files rot.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { hasNote, launch, openDemo, openPage, pick, recognized, state, toggle, until, write } from "../harness/browser.mjs";
import { barePage } from "../harness/bare-page.mjs";
import { TestNode } from "../harness/node.mjs";
import { PYTHON } from "../harness/samples.mjs";

describe("a server that dies", { timeout: 240_000 }, () => {
  let browser, node;

  before(async () => {
    node = await TestNode.create();
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await TestNode.removeAll();
  });

  test("in the middle of a request: this device answers, and the page says so", async () => {
    const page = await openDemo(await browser.newContext(), node);
    await toggle(page, "deviceOnly", true);
    await pick(page, "first", PYTHON);
    assert.equal((await recognized(page, "first")).tier, "device");
    await toggle(page, "deviceOnly", false);
    await toggle(page, "preferEdge", true);
    node.pause();
    await pick(page, "second", PYTHON);
    await page.locator("[data-testid=activity-entry][data-state=running]").waitFor();
    await node.kill();
    const { label, tier, retried } = await recognized(page, "second");
    assert.deepEqual([label, tier], ["python", "device"]);
    assert.match(retried, /server .* instead/);
    await node.start();
  });

  test("by kill -9: nothing that it had acknowledged is lost", async () => {
    const context = await browser.newContext();
    const writer = await openDemo(context, node);
    const reader = await openDemo(await browser.newContext(), node);
    for (const text of ["one", "two", "three"]) await write(writer, text);
    for (const text of ["one", "two", "three"]) await hasNote(reader, text);
    await node.kill();
    await browser.close();
    await node.start();
    browser = await launch();
    const later = await openDemo(await browser.newContext(), node);
    for (const text of ["one", "two", "three"]) await hasNote(later, text);
  });

  test("garbage on its WebSocket does not hurt it", async () => {
    const [, host, port] = node.address(true).match(/\/ip4\/([^/]+)\/tcp\/(\d+)\/ws/);
    const page = await openPage(await browser.newContext(), node.url);
    const closed = await page.evaluate(async (url) => {
      const bytes = (size) => {
        const data = new Uint8Array(size);
        for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(data.subarray(at, Math.min(at + 65_536, size)));
        return data;
      };
      const noise = [
        [bytes(16)],
        [bytes(1 << 20)],
        [new Uint8Array([19, ...new TextEncoder().encode("/multistream/1.0.0\n")]), bytes(4096)],
        ["text is not expected", bytes(3)],
        Array.from({ length: 500 }, () => bytes(64)),
      ];
      // Whether the server hangs up or waits for more, it is not for the page to wait for.
      const sent = noise.map(
        (frames) =>
          new Promise((resolve) => {
            const socket = new WebSocket(url);
            socket.onopen = () => {
              for (const frame of frames) socket.send(frame);
              socket.close();
            };
            socket.onclose = () => resolve(true);
          }),
      );
      return Promise.all(sent);
    }, `ws://${host}:${port}/`);
    assert.equal(closed.length, 5);
    assert.ok(await node.healthy());
    const tab = await openDemo(await browser.newContext(), node);
    await toggle(tab, "preferEdge", true);
    await pick(tab, "after", PYTHON);
    assert.equal((await recognized(tab, "after")).tier, "edge");
  });

  test("a stopped search is stopped, and the page goes on", async () => {
    const page = await openDemo(await browser.newContext(), node);
    await toggle(page, "preferEdge", true);
    node.pause();
    await page.getByTestId("search").fill("a question nobody answers");
    await page.locator("[data-testid=activity-entry][data-state=running]").first().waitFor();
    await page.getByTestId("search").fill("");
    await page.locator("[data-testid=activity-entry][data-state=stopped]").first().waitFor();
    node.resume();
    await pick(page, "next", PYTHON);
    assert.equal((await recognized(page, "next")).label, "python");
  });
});

describe("the package in a bare page", { timeout: 240_000 }, () => {
  let browser, node, served;

  before(async () => {
    served = await barePage();
    node = await TestNode.create({ web: served.folder });
    browser = await launch();
  });

  after(async () => {
    await browser?.close();
    await TestNode.removeAll();
    await served?.remove();
  });

  const open = async () => {
    const page = await openPage(await browser.newContext(), node.url);
    await page.waitForFunction(() => window.neuromesh !== undefined);
    return page;
  };

  test("ten lines are enough: join, run, read", async () => {
    const page = await open();
    const said = await page.evaluate(async () => {
      const mesh = await window.neuromesh.join();
      const answer = await mesh.run("all-minilm-l6-v2", "a sentence");
      const { shape, data } = answer.tensor("embedding");
      const length = Math.hypot(...data);
      const { receipt, route } = answer;
      await mesh.close();
      return { shape, length, reason: route.reason, signature: receipt.signature.length };
    });
    assert.deepEqual(said.shape, [384]);
    assert.ok(Math.abs(said.length - 1) < 1e-3);
    assert.equal(said.signature, 64);
    assert.ok(said.reason.length > 10);
    assert.deepEqual(page.complaints, []);
  });

  test("the tab and the server give the same answer, to the last bit", async () => {
    const page = await open();
    const [here, there] = await page.evaluate(async () => {
      const mesh = await window.neuromesh.join();
      const seen = [];
      for (const tier of ["device", "edge"]) {
        const answer = await mesh.run("all-minilm-l6-v2", "the same request, the same answer", { tier, deadline: 60_000 });
        const { output, exactness } = answer.receipt;
        seen.push({ tier: answer.route.tier, output, exactness, data: [...answer.tensor().data] });
      }
      await mesh.close();
      return seen;
    });
    assert.deepEqual([here.tier, there.tier], ["device", "edge"]);
    assert.deepEqual([here.exactness, there.exactness], ["exact", "exact"]);
    assert.deepEqual(here.data, there.data);
    assert.equal(here.output, there.output);
  });

  test("errors are Error objects with stable names", async () => {
    const page = await open();
    const names = await page.evaluate(async () => {
      const { join, NeuromeshError } = window.neuromesh;
      const mesh = await join();
      const name = (promise) =>
        promise.then(
          () => "no error",
          (error) => (error instanceof NeuromeshError && error instanceof Error ? error.name : `odd: ${error}`),
        );
      const controller = new AbortController();
      controller.abort();
      const names = {
        unknown: await name(mesh.run("no-such-model", "x")),
        input: await name(mesh.run("all-minilm-l6-v2", 7)),
        kind: await name(mesh.run("magika", "text is no file", { tier: "device" })),
        option: await name(mesh.run("magika", "x", { tier: "moon" })),
        aborted: await name(mesh.run("magika", new Uint8Array(3), { signal: controller.signal })),
        output: await name(mesh.run("magika", new Uint8Array(3)).then((answer) => answer.tensor())),
        nodes: await name(join({ nodes: ["nonsense"] })),
      };
      await mesh.close();
      names.closed = await name(mesh.run("magika", new Uint8Array(3)));
      return names;
    });
    assert.deepEqual(names, {
      unknown: "ModelNotFound",
      input: "InvalidInput",
      kind: "InvalidInput",
      option: "InvalidInput",
      aborted: "AbortError",
      output: "UnexpectedOutput",
      nodes: "InvalidInput",
      closed: "Closed",
    });
  });

  test("an abort stops a run in this tab for real, and the next one runs", async () => {
    const page = await open();
    const seen = await page.evaluate(async () => {
      const mesh = await window.neuromesh.join();
      const device = { tier: "device", deadline: 60_000 };
      await mesh.run("all-minilm-l6-v2", "warm", device);
      const long = "a long sentence that goes on and on ".repeat(40);
      const begin = performance.now();
      await mesh.run("all-minilm-l6-v2", long, device);
      const whole = performance.now() - begin;
      const controller = new AbortController();
      const run = mesh.run("all-minilm-l6-v2", `${long} again`, { ...device, signal: controller.signal });
      setTimeout(() => controller.abort(), whole / 4);
      const name = await run.then(() => "answered", (error) => error.name);
      const after = performance.now();
      await mesh.run("all-minilm-l6-v2", "short", device);
      const next = performance.now() - after;
      await mesh.close();
      return { name, whole, next };
    });
    assert.equal(seen.name, "AbortError");
    assert.ok(seen.next < seen.whole, `the next run took ${seen.next} ms, a whole one ${seen.whole} ms`);
  });

  test("a damaged model in the cache is found out and fetched again", async () => {
    const page = await open();
    const run = () =>
      page.evaluate(async () => {
        const mesh = await window.neuromesh.join();
        const progress = [];
        mesh.on("progress", ({ loaded }) => progress.push(loaded));
        const bytes = new TextEncoder().encode("import sys\nprint(sys.argv)\n".repeat(20));
        const answer = await mesh.run("magika", bytes, { tier: "device", deadline: 60_000 });
        await mesh.close();
        return { tier: answer.route.tier, label: answer.json.label, fetched: progress.length };
      });
    const cold = await run();
    assert.deepEqual([cold.tier, cold.label], ["device", "python"]);
    assert.ok(cold.fetched > 0, "progress was told");
    assert.equal((await run()).fetched, 0);
    // One byte in the middle of the largest file, as a bad disk would.
    await page.evaluate(async () => {
      const root = await navigator.storage.getDirectory();
      const blobs = await (await root.getDirectoryHandle("neuromesh")).getDirectoryHandle("blobs");
      let largest;
      for await (const handle of blobs.values()) {
        const file = await handle.getFile();
        if (largest === undefined || file.size > largest.size) largest = { handle, size: file.size };
      }
      const writable = await largest.handle.createWritable({ keepExistingData: true });
      await writable.write({ type: "write", position: Math.floor(largest.size / 2), data: new Uint8Array([0xff, 0x00, 0xff]) });
      await writable.close();
    });
    const healed = await run();
    assert.deepEqual([healed.tier, healed.label], ["device", "python"]);
    assert.ok(healed.fetched > 0, "it was fetched again");
  });

  test("a full quota is an error with a name, and a server still answers", async () => {
    const page = await open();
    const client = await page.context().newCDPSession(page);
    await client.send("Storage.overrideQuotaForOrigin", { origin: new URL(node.url).origin, quotaSize: 10_000_000 });
    const seen = await page.evaluate(async () => {
      const mesh = await window.neuromesh.join();
      const here = await mesh
        .run("all-minilm-l6-v2", "x", { tier: "device", deadline: 60_000 })
        .then(() => "answered", (error) => error.name);
      const there = await mesh.run("all-minilm-l6-v2", "x");
      await mesh.close();
      return { here, there: there.route.tier };
    });
    assert.deepEqual(seen, { here: "QuotaExceeded", there: "edge" });
  });

  test("two tabs that want the same model at once both get it", async () => {
    const context = await browser.newContext();
    const pages = await Promise.all([0, 1].map(() => openPage(context, node.url)));
    const labels = await Promise.all(
      pages.map(async (page) => {
        await page.waitForFunction(() => window.neuromesh !== undefined);
        return page.evaluate(async () => {
          const mesh = await window.neuromesh.join();
          const answer = await mesh.run("magika", new Uint8Array(5000), { tier: "device", deadline: 60_000 });
          return [mesh.id, answer.route.tier];
        });
      }),
    );
    assert.deepEqual(labels.map(([, tier]) => tier), ["device", "device"]);
    assert.notEqual(labels[0][0], labels[1][0]);
  });

  test("a tab whose intervals hardly come round, as in the background, joins and asks all the same", async () => {
    const page = await open();
    const seen = await page.evaluate(async () => {
      const { setInterval } = window;
      window.setInterval = (...wanted) => setInterval(wanted[0], 1e9);
      const mesh = await window.neuromesh.join();
      const { route } = await mesh.run("magika", new Uint8Array(5000), { tier: "edge" });
      const doc = await mesh.doc("slow", { init: { list: [] } }).ready;
      await doc.change((draft) => void draft.list.push("written slowly"));
      return [route.tier, (await mesh.peers()).filter(({ connected }) => connected).length];
    });
    assert.deepEqual(seen, ["edge", 1]);
  });

  test("without a network the page joins alone at once", async () => {
    const page = await open();
    await until(() => page.evaluate(() => navigator.onLine), "the page is loaded");
    const seen = await page.evaluate(async () => {
      const mesh = await window.neuromesh.join({ nodes: [] });
      const doc = await mesh.doc("alone", { init: { list: [] } }).ready;
      await doc.change((draft) => void draft.list.push("written alone"));
      await mesh.close();
      const again = await window.neuromesh.join({ nodes: [] });
      const { value } = await again.doc("alone").ready;
      const error = await again.run("magika", new Uint8Array(3)).catch(({ name }) => name);
      await again.close();
      return { value, error };
    });
    assert.deepEqual(seen, { value: { list: ["written alone"] }, error: "ModelNotFound" });
  });
});
