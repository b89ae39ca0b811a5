// js-libp2p and this project over libp2p's WebRTC, in all four directions, with the node as the relay: browsers of their own for each.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { barePage } from "../harness/bare-page.mjs";
import { launch, openPage, until } from "../harness/browser.mjs";
import { TestNode } from "../harness/node.mjs";
import { ours, streams } from "../harness/streams.mjs";

const ECHO = "/echo/1.0.0";
const ROOM = "interop";
const SIZES = [32, 8 << 10, 60 << 10, 1 << 20, 32 << 20];

describe("WebRTC with js-libp2p", { timeout: 280_000 }, () => {
  let bare, node, browsers, us, them, others;

  before(async () => {
    bare = await barePage("js-libp2p");
    node = await TestNode.create({ models: [], web: bare.folder });
    browsers = [await launch(), await launch(), await launch()];
    us = await openPage(await browsers[0].newContext(), node.url);
    await us.waitForFunction(() => window.neuromesh !== undefined);
    await us.evaluate(async (room) => {
      window.mesh = await window.neuromesh.join();
      window.room = window.mesh.room(room);
      window.heard = [];
      window.mesh.on("message", ({ topic, from, data }) => window.heard.push([topic, from, new TextDecoder().decode(data)]));
      await window.room.ready;
    }, ROOM);
    us.id = await us.evaluate(() => window.mesh.id);
    await us.evaluate(ours);
    [them, others] = await Promise.all(
      browsers.slice(1).map(async (browser) => {
        const page = await openPage(await browser.newContext(), new URL("js-libp2p/", node.url).href);
        await page.waitForFunction(() => window.start !== undefined);
        page.id = await page.evaluate((relay) => window.start(relay), node.address(true));
        await until(() => page.evaluate(() => window.address() !== undefined), "js-libp2p has a slot at our node");
        page.address = await page.evaluate(() => window.address());
        return page;
      }),
    );
    us.address = `${node.address(true)}/p2p-circuit/webrtc/p2p/${us.id}`;
    for (const page of [us, them, others]) {
      await page.evaluate(streams);
      await page.evaluate((protocol) => window.serveEcho(protocol), ECHO);
    }
  });

  after(async () => {
    await Promise.all((browsers ?? []).map((browser) => browser.close()));
    await TestNode.removeAll();
    await bare?.remove();
  });

  const echoes = async (from, to, sizes = SIZES) => {
    for (const size of sizes) {
      const equal = await from.evaluate(([peer, protocol, size]) => window.echo(peer, protocol, size), [to.id, ECHO, size]);
      assert.ok(equal, `${size} bytes`);
    }
  };

  test("js-libp2p dials our tab", async () => {
    await them.evaluate((address) => window.dial(address), us.address);
    assert.deepEqual(
      (await them.evaluate((peer) => window.connections(peer), us.id)).filter(([, limited]) => !limited).map(([address]) => address.includes("/webrtc")),
      [true],
    );
    assert.ok((await them.evaluate((peer) => window.ping(peer), us.id)) >= 0);
    await echoes(them, us);
  });

  test("our tab opens streams on the connection that js-libp2p made", () => echoes(us, them));

  test("our tab dials js-libp2p", async () => {
    await us.evaluate((address) => window.mesh.dial(address), others.address);
    await until(async () => (await others.evaluate((peer) => window.connections(peer), us.id)).some(([, limited]) => !limited), "a direct connection");
    assert.ok((await others.evaluate((peer) => window.ping(peer), us.id)) >= 0);
    await echoes(us, others);
    await echoes(others, us);
  });

  test("js-libp2p and js-libp2p meet through our node", async () => {
    await them.evaluate((address) => window.dial(address), others.address);
    assert.ok((await them.evaluate((peer) => window.ping(peer), others.id)) >= 0);
    await echoes(them, others, [32, 1 << 20]);
  });

  test("gossip passes between them", async () => {
    const [name] = await us.evaluate(async () => [(await window.room.ready, window.room.topic)]);
    for (const page of [them, others]) await page.evaluate((topic) => window.subscribe(topic), name);
    await until(async () => {
      await us.evaluate(() => window.room.send("from neuromesh").catch(() => undefined));
      return them.evaluate(() => window.heard.some(([, text]) => text === "from neuromesh"));
    }, "our message at js-libp2p");
    await until(async () => {
      await them.evaluate((topic) => window.publish(topic, "from js-libp2p").catch(() => undefined), name);
      return us.evaluate(() => window.heard.some(([, , text]) => text === "from js-libp2p"));
    }, "the message of js-libp2p here");
  });

  test("once the relay is gone, the direct connections go on", async () => {
    await node.kill();
    await echoes(us, them, [32, 1 << 20]);
    await echoes(others, us, [32, 1 << 20]);
    await echoes(them, others, [32]);
  });
});
