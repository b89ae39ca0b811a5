// A tab in Chromium and one in Firefox, in one room: WebRTC of two makers.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { barePage } from "../harness/bare-page.mjs";
import { launch, openPage, until } from "../harness/browser.mjs";
import { launchFirefox } from "../harness/firefox.mjs";
import { referenceCase, referenceModel } from "../harness/fixtures.mjs";
import { TestNode } from "../harness/node.mjs";
import { ours, streams } from "../harness/streams.mjs";

const ECHO = "/echo/1";
const SIZES = [1, 64 << 10, 8 << 20];
const MODEL = "magika-graph";
const LISTEN = ["/ip4/127.0.0.1/tcp/0/ws", "/ip4/0.0.0.0/udp/0/webrtc-direct"];

describe("Chromium and Firefox", { timeout: 200_000 }, () => {
  let bare, node, browsers, chromium, firefox;

  const direct = async (page, other) =>
    (await page.evaluate(() => window.mesh.peers())).some(({ id, connected, path }) => id === other.id && connected && path === "direct");
  const bothDirect = () => until(async () => (await direct(chromium, firefox)) && (await direct(firefox, chromium)), "a direct connection");
  const echoes = async (from, to) => {
    for (const size of SIZES) {
      const equal = await from.evaluate(([peer, protocol, size]) => window.echo(peer, protocol, size), [to.id, ECHO, size]);
      assert.ok(equal, `${size} bytes`);
    }
  };
  /** Everything of the connection anew, dialled from one side. */
  const dial = async (from, to) => {
    for (const online of [false, true]) await from.evaluate((online) => window.mesh.setOnline(online), online);
    for (const page of [from, to]) await until(() => page.evaluate((id) => window.mesh.peers().then((peers) => peers.some((peer) => peer.id === id && peer.connected)), node.ready.peerId), "the node is connected");
    const address = `${node.address(true)}/p2p-circuit/webrtc/p2p/${to.id}`;
    await until(() => from.evaluate((address) => window.mesh.dial(address).then(() => true, () => false), address), "dialled");
    await bothDirect();
  };

  before(async () => {
    bare = await barePage();
    node = await TestNode.create({ models: [], graphs: { [MODEL]: referenceModel("magika") }, web: bare.folder, listen: LISTEN });
    browsers = [await launch(), await launchFirefox()];
    chromium = await openPage(await browsers[0].newContext(), node.url);
    firefox = browsers[1].page;
    await firefox.goto(node.url);
    for (const page of [chromium, firefox]) {
      await page.waitForFunction(() => window.neuromesh !== undefined);
      page.id = await page.evaluate(async () => {
        window.mesh = await window.neuromesh.join();
        return window.mesh.id;
      });
      await page.evaluate(ours);
      await page.evaluate(streams);
      await page.evaluate((protocol) => void window.serveEcho(protocol), ECHO);
    }
  });

  after(async () => {
    await Promise.all((browsers ?? []).map((browser) => browser.close()));
    await TestNode.removeAll();
    await bare?.remove();
  });

  test("Firefox reaches the node by the hash of its certificate", async () => {
    const address = node.ready.addresses.find((text) => text.includes("/webrtc-direct/certhash/") && !text.includes("/127."));
    const seen = await firefox.evaluate(async (address) => {
      const mesh = await window.neuromesh.join({ nodes: [address], storeName: "alone", connectTimeout: 20_000 });
      const seen = (await mesh.peers()).filter(({ connected }) => connected).map(({ id, path }) => [id, path]);
      await mesh.close();
      return seen;
    }, address);
    assert.deepEqual(seen, [[node.ready.peerId, "direct"]]);
  });

  test("Firefox dials Chromium, and streams run both ways", async () => {
    await dial(firefox, chromium);
    await echoes(firefox, chromium);
    await echoes(chromium, firefox);
  });

  test("Chromium dials Firefox, and streams run both ways", async () => {
    await dial(chromium, firefox);
    await echoes(firefox, chromium);
    await echoes(chromium, firefox);
  });

  test("many short streams leave nothing behind", async () => {
    const each = async (from, to) => {
      const equal = await from.evaluate(
        async ([peer, protocol]) => {
          const all = [];
          for (let turn = 0; turn < 10; turn += 1) {
            all.push(...(await Promise.all(Array.from({ length: 30 }, () => window.echo(peer, protocol, 100)))));
          }
          return all.length === 300 && all.every(Boolean);
        },
        [to.id, ECHO],
      );
      assert.ok(equal);
    };
    await Promise.all([each(firefox, chromium), each(chromium, firefox)]);
  });

  test("they meet in a room by themselves, and its messages arrive", async () => {
    for (const page of [chromium, firefox]) {
      await page.evaluate(async () => {
        window.room = window.mesh.room("two makers");
        window.heard = [];
        window.room.on("message", ({ from, text }) => window.heard.push([from, text()]));
        await window.room.ready;
      });
    }
    for (const [page, other] of [[chromium, firefox], [firefox, chromium]]) {
      await until(
        () => page.evaluate((id) => window.room.members().some((member) => member.id === id && member.connected && member.path === "direct"), other.id),
        "the other is a member",
      );
      await until(async () => {
        // Nobody may have said yet that it listens.
        await page.evaluate(() => window.room.send("hello").catch(() => undefined));
        return other.evaluate((from) => window.heard.some(([by, text]) => by === from && text === "hello"), page.id);
      }, "a message");
    }
  });

  test("with the node gone, each is answered by the other", async () => {
    const { inputs } = await referenceCase("magika");
    const run = (page, options) =>
      page.evaluate(
        async ([model, { name, shape, data }, options]) => {
          const tensors = [{ name, dtype: "i32", shape, data: Int32Array.from(data) }];
          const { route, receipt } = await window.mesh.run(model, { tensors }, { deadline: 60_000, ...options });
          return { tier: route.tier, peer: route.peer, output: receipt.output };
        },
        [MODEL, inputs[0], options],
      );
    const knows = (page, other) =>
      until(
        () => page.evaluate(async ([model, id]) => (await window.mesh.models()).some(({ name, holders }) => name === model && holders.includes(id)), [MODEL, other.id]),
        "the neighbour's model is known",
      );
    const own = await run(chromium, { tier: "device" });
    assert.equal(own.tier, "device");
    await knows(firefox, chromium);
    await node.kill();
    assert.deepEqual(await run(firefox), { tier: "peer", peer: chromium.id, output: own.output });
    // Firefox takes the model from its neighbour, whom it answers then.
    const fetched = await run(firefox, { tier: "device" });
    assert.deepEqual([fetched.tier, fetched.output], ["device", own.output], "the same bits in both");
    await knows(chromium, firefox);
    assert.deepEqual(await run(chromium, { tier: "peer" }), { tier: "peer", peer: firefox.id, output: own.output });
  });

  test("a tab that closes is missed by the other", async () => {
    await firefox.evaluate(() => window.mesh.close());
    await until(async () => !(await direct(chromium, firefox)), "Firefox is gone");
    assert.deepEqual(chromium.complaints.filter((text) => !/WebSocket|ERR_CONNECTION|Failed to load resource/.test(text)), []);
  });
});
