// A tab reaches a node over WebRTC by the hash of the node's certificate: no TLS, no WebSocket, no relay.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { barePage } from "../harness/bare-page.mjs";
import { launch, openPage, until } from "../harness/browser.mjs";
import { TestNode } from "../harness/node.mjs";

const MODEL = "all-minilm-l6-v2";

describe("a tab and a node over /webrtc-direct", { timeout: 120_000 }, () => {
  let bare, node, browser, page;
  // Browsers take no loopback for WebRTC.
  const address = () => node.ready.addresses.find((text) => text.includes("/webrtc-direct/certhash/") && !text.includes("/127."));
  const join = (nodes) =>
    page.evaluate(async (nodes) => {
      await window.mesh?.close();
      window.mesh = await window.neuromesh.join({ nodes });
      return window.mesh.peers();
    }, nodes);

  before(async () => {
    bare = await barePage();
    node = await TestNode.create({ models: [MODEL], web: bare.folder, listen: ["/ip4/0.0.0.0/udp/0/webrtc-direct"] });
    browser = await launch();
    page = await openPage(await browser.newContext(), node.url);
    await page.waitForFunction(() => window.neuromesh !== undefined);
  });

  after(async () => {
    await browser?.close();
    await TestNode.removeAll();
    await bare?.remove();
  });

  test("the node answers the tab", async () => {
    const peers = await join([address()]);
    assert.deepEqual(
      peers.map(({ id, connected, path }) => [id, connected, path]),
      [[node.ready.peerId, true, "direct"]],
    );
    const tier = await page.evaluate(async (model) => (await window.mesh.run(model, "hello", { tier: "edge" })).route.tier, MODEL);
    assert.equal(tier, "edge");
  });

  test("a large input goes there, and documents come from there", async () => {
    const done = await page.evaluate(async () => {
      const doc = await window.mesh.doc("direct", { init: { list: [] } }).ready;
      await doc.change((draft) => draft.list.push("x".repeat(200_000)));
      return doc.value.list[0].length;
    });
    assert.equal(done, 200_000);
  });

  test("another certificate is refused, and the same one is kept over a restart", async () => {
    const before = address();
    const forged = before.replace(/certhash\/[^/]+/, "certhash/uEiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert.deepEqual(await join([forged]), []);
    await node.kill();
    await node.start();
    assert.equal(address(), before);
    await join([before]);
    await until(async () => (await page.evaluate(() => window.mesh.peers())).some(({ connected }) => connected), "connected again");
  });
});
