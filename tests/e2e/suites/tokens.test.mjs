// A room that takes a token, because a node asks for it: tabs with one, without one, and behind a node that does not ask.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { barePage } from "../harness/bare-page.mjs";
import { launch, openPage, until } from "../harness/browser.mjs";
import { TestNode } from "../harness/node.mjs";

const ROOM = "studio";
const MODEL = "all-minilm-l6-v2";

async function open(browser, node) {
  const page = await openPage(await browser.newContext(), node.url);
  await page.waitForFunction(() => window.neuromesh !== undefined);
  page.id = await page.evaluate(async () => {
    window.mesh = await window.neuromesh.join();
    window.denials = [];
    window.heard = [];
    return window.mesh.id;
  });
  return page;
}

/** The name of the error with which joining ends, or "joined". */
function enter(page, options = {}) {
  return page.evaluate(
    async ([room, options]) => {
      window.room = window.mesh.room(room, options);
      window.room.on("closed", ({ name, message }) => window.denials.push([name, message]));
      window.room.on("message", ({ from, text }) => window.heard.push([from, text()]));
      return window.room.ready.then(() => "joined", (error) => `${error instanceof Error} ${error.name}`);
    },
    [ROOM, options],
  );
}

const members = (page) =>
  page.evaluate(() => window.room.members().flatMap(({ id, connected, path }) => (connected && path === "direct" ? [id] : [])));
const knows = (page, other) => page.evaluate(async (id) => (await window.mesh.peers()).some((peer) => peer.id === id && peer.connected), other.id);

describe("a room that takes a token", { timeout: 240_000 }, () => {
  let bare, asking, plain, browser, first, second, third, stranger;

  /** A token for a tab, of the key of a node's data folder. */
  const token = (page, lifetime = "1h", node = asking) => JSON.parse(node.cli("rooms", "grant", ROOM, "--peer", page.id, "--for", lifetime)).token;

  before(async () => {
    bare = await barePage();
    asking = await TestNode.create({ models: [MODEL], web: bare.folder, args: ["--room-issuer", "self"] });
    plain = await TestNode.create({ models: [], web: bare.folder, args: ["--peer", asking.address(false)] });
    browser = await launch();
    [first, second, third] = [await open(browser, asking), await open(browser, asking), await open(browser, asking)];
    stranger = await open(browser, plain);
  });

  after(async () => {
    await browser?.close();
    await TestNode.removeAll();
    await bare?.remove();
  });

  test("without a token that holds for it a tab is told so, by name", async () => {
    assert.equal(await enter(third), "true RoomDenied");
    assert.equal(await enter(third, { token: token(first) }), "true RoomDenied", "another tab's");
    assert.equal(await enter(third, { token: token(third, "1h", plain) }), "true RoomDenied", "another node's");
    assert.equal(await enter(third, { token: "nmroom_" }), "true InvalidInput");
    assert.match(await third.evaluate(() => window.mesh.room("studio").ready.catch(({ message }) => message)), /neuromesh rooms grant/);
  });

  test("tabs with tokens meet, and nobody else is in: neither one that says it is, nor one that has none", async () => {
    assert.deepEqual([await enter(first, { token: token(first) }), await enter(second, { token: token(second) })], ["joined", "joined"]);
    // Its node asks for nothing, so that its presence claims what it has no token for, and it dials the members that it hears of.
    assert.equal(await enter(stranger), "joined");
    await until(async () => (await members(first)).includes(second.id) && (await members(second)).includes(first.id), "the two meet");
    await until(() => knows(first, stranger), "the stranger has connected by itself");
    assert.deepEqual([await members(first), await members(second)], [[second.id], [first.id]]);
  });

  test("members hear each other, and neither a stranger nor by a stranger", async () => {
    let rounds = 0;
    await until(async () => {
      await stranger.evaluate(() => window.room.send("let me in").catch(() => undefined));
      await first.evaluate(() => window.room.send("hello").catch(() => undefined));
      rounds += 1;
      return rounds > 20 && (await second.evaluate(() => window.heard.length > 0));
    }, "a message");
    assert.deepEqual(await second.evaluate(() => window.heard[0]), [first.id, "hello"]);
    for (const [page, from] of [[first, stranger], [second, stranger], [stranger, first], [stranger, second]]) {
      assert.ok(!(await page.evaluate((id) => window.heard.some(([by]) => by === id), from.id)));
    }
  });

  test("a member runs a model for a member, and not for a stranger", async () => {
    const ask = (page) =>
      page.evaluate(async (model) => {
        return window.mesh.run(model, "a sentence", { tier: "peer", deadline: 15_000 }).then(({ route }) => route.peer, ({ name }) => name);
      }, MODEL);
    const here = await first.evaluate(async (model) => (await window.mesh.run(model, "a sentence", { privacy: "device" })).route.tier, MODEL);
    assert.equal(here, "device");
    await until(async () => (await ask(second)) === first.id, "the member answers");
    assert.match(await ask(stranger), /^(RunFailed|NoCandidate|ModelNotFound)$/);
  });

  test("a token that expires ends the room, and a new one joins it again", async () => {
    await second.evaluate((token) => window.room.renew(token), token(second, "8s"));
    await until(() => second.evaluate(() => window.denials.length > 0), "it is told");
    const [[name, message]] = await second.evaluate(() => window.denials);
    assert.deepEqual([name, /expired/.test(message)], ["RoomDenied", true]);
    assert.equal(await second.evaluate(() => window.room.send("too late").catch(({ name }) => name)), "RoomDenied");
    await until(async () => (await members(first)).length === 0, "the other one sees it leave");
    assert.equal(await enter(second, { token: token(second) }), "joined");
    await until(async () => (await members(first)).includes(second.id), "it is back");
  });

  test("no page complained", () => {
    for (const page of [first, second, third, stranger]) assert.deepEqual(page.complaints, []);
  });
});
