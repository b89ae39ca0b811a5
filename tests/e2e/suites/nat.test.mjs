// A node that nobody can dial, as behind a NAT: it listens nowhere, and keeps a slot at a relay. A tab at the relay reaches it there,
// and then directly over WebRTC, without the relay.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { barePage } from "../harness/bare-page.mjs";
import { launch, openPage, until } from "../harness/browser.mjs";
import { TestNode } from "../harness/node.mjs";

const MODEL = "magika";

describe("a node behind a relay, and a tab", { timeout: 180_000 }, () => {
  let folder, bare, relay, hidden, browser, page;
  const peer = async () => (await page.evaluate(() => window.mesh.peers())).find(({ id }) => id === hidden.ready.peerId);
  const ask = () =>
    page.evaluate(
      async ([model, text]) => {
        const { route, json } = await window.mesh.run(model, new TextEncoder().encode(text), { tier: "cloud" });
        return [route.tier, json !== undefined];
      },
      [MODEL, "import os\nprint(os.getcwd())\n"],
    );

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "neuromesh-nat-"));
    const config = join(folder, "neuromesh.toml");
    await writeFile(config, "listen = []\nrelay-slots = 1\nno-relay = true\ntier = 'cloud'\n");
    bare = await barePage();
    relay = await TestNode.create({ models: [], web: bare.folder });
    hidden = await TestNode.create({ models: [MODEL], listen: [], args: ["--config", config, "--peer", relay.address(false)] });
    browser = await launch();
    page = await openPage(await browser.newContext(), relay.url);
    await page.waitForFunction(() => window.neuromesh !== undefined);
    await page.evaluate(async () => {
      window.mesh = await window.neuromesh.join();
    });
  });

  after(async () => {
    await browser?.close();
    await TestNode.removeAll();
    await bare?.remove();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  test("the node has no address of its own", () => {
    assert.deepEqual(hidden.ready.addresses.filter((address) => !address.includes("/p2p-circuit")), []);
  });

  test("the tab reaches it directly, and it answers", async () => {
    const address = `${relay.address(true)}/p2p-circuit/webrtc/p2p/${hidden.ready.peerId}`;
    // The slot may be a moment away.
    await until(async () => {
      try {
        await page.evaluate((address) => window.mesh.dial(address), address);
        return true;
      } catch {
        return false;
      }
    }, "the node has its slot");
    await until(async () => (await peer())?.path === "direct", "connected directly");
    assert.deepEqual(await ask(), ["cloud", true]);
  });

  test("without the relay they go on", async () => {
    await relay.kill();
    await until(async () => (await page.evaluate(() => window.mesh.peers())).every(({ id, connected }) => !connected || id === hidden.ready.peerId), "the relay is gone");
    assert.equal((await peer()).path, "direct");
    assert.deepEqual(await ask(), ["cloud", true]);
  });
});
