// Tabs in separate browser processes that meet in a room through a node, and go on without it.
import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { barePage } from "../harness/bare-page.mjs";
import { launch, openPage, until } from "../harness/browser.mjs";
import { TestNode, models } from "../harness/node.mjs";

const MODEL = "all-minilm-l6-v2";

async function visit(browser, node, room = "studio", options = {}) {
  const page = await openPage(await browser.newContext(), node.url);
  await page.waitForFunction(() => window.neuromesh !== undefined);
  await page.evaluate(
    async ([room, options]) => {
      window.mesh = await window.neuromesh.join();
      window.room = window.mesh.room(room, options);
      window.heard = [];
      window.room.on("message", ({ from, text }) => window.heard.push([from, text()]));
      await window.room.ready;
    },
    [room, options],
  );
  page.id = await page.evaluate(() => window.mesh.id);
  return page;
}

const members = (page) => page.evaluate(() => window.room.members().map(({ id, connected, path, tier }) => ({ id, connected, path, tier })));

async function meets(page, ...others) {
  await until(async () => {
    const seen = await members(page);
    return others.every((other) => seen.some(({ id, connected, path }) => id === other.id && connected && path === "direct"));
  }, "the members are connected directly");
}

describe("a room of tabs", { timeout: 240_000 }, () => {
  let bare, written, node, browsers, first, second;

  before(async () => {
    bare = await barePage();
    // As a person writes a manifest: what names a model are these very bytes.
    written = await mkdtemp(join(tmpdir(), "neuromesh-model-"));
    await cp(join(models, MODEL), written, { recursive: true });
    const manifest = JSON.parse(await readFile(join(written, "manifest.json"), "utf8"));
    await writeFile(join(written, "manifest.json"), JSON.stringify(manifest, null, 3));
    node = await TestNode.create({ models: [written], web: bare.folder });
    browsers = [await launch(), await launch()];
    first = await visit(browsers[0], node);
    second = await visit(browsers[1], node);
  });

  after(async () => {
    await Promise.all((browsers ?? []).map((browser) => browser.close()));
    await TestNode.removeAll();
    await bare?.remove();
    if (written !== undefined) await rm(written, { recursive: true, force: true });
  });

  test("two tabs of two browsers connect directly, without being asked to", async () => {
    await meets(first, second);
    await meets(second, first);
    assert.deepEqual(
      (await members(first)).map(({ id, tier }) => [id, tier]),
      [[second.id, "peer"]],
    );
  });

  test("messages of the room arrive", async () => {
    await until(async () => {
      await first.evaluate(() => window.room.send("hello"));
      return second.evaluate(() => window.heard.length > 0);
    }, "a message");
    assert.deepEqual(await second.evaluate(() => window.heard[0]), [first.id, "hello"]);
  });

  test("a stream that is given up while both wait ends on both sides", async () => {
    await second.evaluate(() => {
      window.mesh.handle("/wait/1", (stream) => {
        window.waited = stream.read().then(() => "read", ({ name }) => name);
      });
    });
    const here = await first.evaluate(async (peer) => {
      const stream = await window.mesh.open(peer, "/wait/1");
      await stream.write(new Uint8Array(0));
      const reading = stream.read().then(() => "read", ({ name }) => name);
      await stream.abort();
      return reading;
    }, second.id);
    assert.equal(here, "Closed");
    await until(() => second.evaluate(() => window.waited !== undefined), "the stream came");
    assert.equal(await second.evaluate(() => window.waited), "NetworkError");
  });

  test("a room that is left and joined again at once is joined", async () => {
    await first.evaluate(async () => {
      const left = window.room.leave();
      window.room = window.mesh.room("studio");
      window.room.on("message", ({ from, text }) => window.heard.push([from, text()]));
      await Promise.all([left, window.room.ready]);
    });
    await until(() => second.evaluate((id) => window.room.members().some((member) => member.id === id), first.id), "it is a member again");
    await until(async () => {
      // What is said before the other has noticed that it was left is lost.
      await second.evaluate(() => window.room.send("again"));
      return first.evaluate((from) => window.heard.some(([by, text]) => by === from && text === "again"), second.id);
    }, "it hears the room");
  });

  test("a neighbour answers once the node is gone", async () => {
    const here = await first.evaluate(async (model) => {
      const { route, receipt } = await window.mesh.run(model, "a neighbour's model", { tier: "device" });
      return [route.tier, receipt.output];
    }, MODEL);
    assert.equal(here[0], "device");
    await until(
      () => second.evaluate(async ([model, id]) => (await window.mesh.models()).some(({ name, holders }) => name === model && holders.includes(id)), [MODEL, first.id]),
      "the neighbour's model is known",
    );
    await node.kill();
    const there = await second.evaluate(async (model) => {
      const { route, receipt } = await window.mesh.run(model, "a neighbour's model");
      return [route.tier, receipt.output, route.peer];
    }, MODEL);
    assert.deepEqual(there, ["peer", here[1], first.id]);
    await until(async () => (await members(first)).some(({ id, connected }) => id === second.id && connected), "the room lives on");
    await second.evaluate(() => window.room.send("still here"));
    await until(() => first.evaluate(() => window.heard.some(([, text]) => text === "still here")), "a message without the node");
  });

  test("a third tab is found when the node is back, and a tab that leaves is missed by all", async () => {
    await node.start();
    const third = await visit(browsers[1], node);
    await meets(third, first, second);
    await meets(first, third);
    await second.evaluate(() => window.room.leave());
    await until(async () => (await members(third)).every(({ id }) => id !== second.id), "it left");
    await third.evaluate(() => window.mesh.close());
    await until(async () => (await members(first)).every(({ connected }) => !connected), "nobody is left");
  });

  test("no page complained", () => {
    for (const page of [first, second]) {
      // The node was killed on purpose.
      assert.deepEqual(page.complaints.filter((text) => !/WebSocket|ERR_CONNECTION|Failed to load resource/.test(text)), []);
    }
  });
});
