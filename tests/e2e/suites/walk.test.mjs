// Two tabs and one node: models here and there, notes, files, offline, reload.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { dropFile, hasNote, launch, notes, openDemo, pick, recognized, state, toggle, until, write } from "../harness/browser.mjs";
import { TestNode } from "../harness/node.mjs";
import { PYTHON, largeFile, png } from "../harness/samples.mjs";

describe("two tabs and one node", { timeout: 240_000 }, () => {
  let browser, context, node, first, second;

  before(async () => {
    node = await TestNode.create();
    browser = await launch();
    context = await browser.newContext();
    first = await openDemo(context, node);
    second = await openDemo(context, node);
  });

  after(async () => {
    await browser?.close();
    await TestNode.removeAll();
  });

  test("each tab is a peer of its own and sees the server and the other tab", async () => {
    for (const page of [first, second]) {
      await page.getByTestId("peers").locator("tr[data-tier=edge][data-connected=true]").waitFor({ state: "attached" });
      await page.getByTestId("picture-peer").and(page.locator("[data-tier=edge]")).waitFor({ state: "attached" });
    }
    const you = await Promise.all([first, second].map((page) => page.getByTestId("status").textContent()));
    assert.notEqual(you[0], you[1]);
    await first.getByTestId("peers").locator("tr[data-tier=peer]").waitFor({ state: "attached" });
  });

  test("with “this device only” a file is recognized in the tab", async () => {
    await toggle(first, "deviceOnly", true);
    await pick(first, "anything.dat", PYTHON);
    const { label, score, tier, time, reason } = await recognized(first, "anything.dat");
    assert.deepEqual([label, tier], ["python", "device"]);
    assert.ok(parseFloat(score) > 90, score);
    assert.match(time, /ms|s/);
    assert.ok(reason.length > 10, reason);
    await first.getByTestId("models").locator("tr[data-name=magika][data-local=true]").waitFor({ state: "attached" });
    await toggle(first, "deviceOnly", false);
  });

  test("with “prefer edge” the server recognizes it, with the same answer", async () => {
    await toggle(first, "preferEdge", true);
    await pick(first, "again.dat", PYTHON);
    const { label, score, tier, reason } = await recognized(first, "again.dat");
    assert.deepEqual([label, tier], ["python", "edge"]);
    assert.ok(parseFloat(score) > 90, score);
    assert.ok(reason.length > 10, reason);
    await toggle(first, "preferEdge", false);
  });

  test("a request is seen travelling", async () => {
    await toggle(second, "preferEdge", true);
    const dot = second.locator("[data-testid=dot][data-way=out]").first().waitFor({ state: "attached" });
    await pick(second, "picture.bin", png());
    await dot;
    assert.equal((await recognized(second, "picture.bin")).label, "png");
    await toggle(second, "preferEdge", false);
  });

  test("a file of 200 MB is recognized when it is dropped", async () => {
    const { path, remove } = await largeFile(200_000_000);
    try {
      await dropFile(first, path);
      const { label } = await recognized(first, "large.bin");
      assert.equal(label, "png");
    } finally {
      await remove();
    }
  });

  test("an empty file is no reason to fail", async () => {
    await pick(first, "nothing", Buffer.alloc(0));
    assert.equal((await recognized(first, "nothing")).label, "empty");
  });

  test("notes written in one tab are in the other, edited and deleted too", async () => {
    await write(first, "Feed the cat at seven");
    await hasNote(second, "Feed the cat at seven");
    const field = second.getByTestId("note-text").first();
    await field.fill("Feed the cat at eight");
    await hasNote(first, "Feed the cat at eight");
    await write(second, "To be deleted");
    await hasNote(first, "To be deleted");
    await first.getByRole("button", { name: "Delete the note: To be deleted" }).click();
    await hasNote(second, "To be deleted", false);
    await first.getByTestId("undo").click();
    await hasNote(second, "To be deleted");
    await second.getByRole("button", { name: "Delete the note: To be deleted" }).click();
    await hasNote(first, "To be deleted", false);
  });

  test("notes are found by meaning, and the page says where the question was read", async () => {
    await write(first, "The mortgage rate changes in June");
    await write(first, "Try the new ramen place near the station");
    await toggle(first, "preferEdge", true);
    await first.getByTestId("search").fill("where to eat noodles");
    await until(async () => (await first.getByTestId("match").count()) === 3, "three scored notes");
    assert.equal((await notes(first))[0], "Try the new ramen place near the station");
    assert.equal(await first.getByTestId("search-route-tier").getAttribute("data-tier"), "edge");
    assert.match(await first.getByTestId("search-route-time").textContent(), /\d/);
    assert.ok((await first.getByTestId("search-route-reason").textContent()).length > 10);
    await first.getByTestId("search").fill("my pet");
    await until(async () => (await notes(first))[0] === "Feed the cat at eight", "the cat comes first");
    await toggle(first, "preferEdge", false);
    await first.getByTestId("search").fill("");
  });

  test("edits made offline merge on return", async () => {
    await toggle(first, "offline", true);
    await state(first, "offline");
    await write(first, "Written under ground");
    await write(second, "Written above ground");
    assert.ok(!(await notes(second)).includes("Written under ground"));
    await toggle(first, "offline", false);
    await state(first, "connected");
    for (const page of [first, second]) {
      await hasNote(page, "Written under ground");
      await hasNote(page, "Written above ground");
    }
  });

  test("a reload keeps the notes, and the identity", async () => {
    const before = await notes(first);
    const you = (await first.getByTestId("status").textContent()).match(/you are (\S+)/)[1];
    await first.reload();
    for (const text of before) await hasNote(first, text);
    await state(first, "connected");
    assert.ok((await first.getByTestId("status").textContent()).includes(you));
  });

  test("everything can be done with the keyboard", async () => {
    await second.reload();
    await state(second, "connected");
    const seen = new Set();
    for (let press = 0; press < 40; press += 1) {
      await second.keyboard.press("Tab");
      seen.add(await second.evaluate(() => document.activeElement?.getAttribute("data-testid")));
    }
    for (const id of ["switch-offline", "switch-deviceOnly", "switch-preferEdge", "search", "new-note", "note-text", "delete-note", "file"]) {
      assert.ok(seen.has(id), id);
    }
  });

  test("neither tab complained", () => {
    assert.deepEqual([...first.complaints, ...second.complaints], []);
  });
});
