// Two nodes that know each other, a tab at each.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { hasNote, launch, openDemo, pick, recognized, state, toggle, write } from "../harness/browser.mjs";
import { TestNode } from "../harness/node.mjs";
import { PYTHON } from "../harness/samples.mjs";

describe("two nodes, a tab at each", { timeout: 240_000 }, () => {
  let browser, near, far, left, right;

  before(async () => {
    near = await TestNode.create();
    far = await TestNode.create({ models: [], args: ["--peer", near.address(false)] });
    browser = await launch();
    left = await openDemo(await browser.newContext(), near);
    right = await openDemo(await browser.newContext(), far);
  });

  after(async () => {
    await browser?.close();
    await TestNode.removeAll();
  });

  test("the nodes form one mesh: each tab hears of both", async () => {
    for (const page of [left, right]) {
      for (const { ready } of [near, far]) {
        const row = page.getByTestId("peers").locator("tr[data-tier=edge]").filter({ hasText: ready.peerId.slice(-6) });
        await row.waitFor({ state: "attached" });
      }
    }
  });

  test("a note crosses both nodes", async () => {
    await write(left, "From the left");
    await hasNote(right, "From the left");
    await write(right, "From the right");
    await hasNote(left, "From the right");
  });

  test("a tab at the node without models gets an answer all the same", async () => {
    await right.getByTestId("models").locator("tr[data-name=magika]").waitFor({ state: "attached" });
    await pick(right, "script", PYTHON);
    assert.equal((await recognized(right, "script")).label, "python");
  });

  test("when its node is gone, a tab goes on alone and returns by itself", async () => {
    await toggle(left, "deviceOnly", true);
    await pick(left, "warm", PYTHON);
    await recognized(left, "warm");
    await near.kill();
    await state(left, "alone");
    await pick(left, "alone", PYTHON);
    assert.equal((await recognized(left, "alone")).tier, "device");
    await write(left, "While the server was down");
    await near.start();
    await state(left, "connected");
    await hasNote(right, "While the server was down");
  });
});
