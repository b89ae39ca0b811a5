// The demo's tabs answer each other: one borrows from its neighbour, with the server stopped.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, openDemo, pick, recognized, state, toggle } from "../harness/browser.mjs";
import { TestNode } from "../harness/node.mjs";
import { PYTHON } from "../harness/samples.mjs";

describe("borrowing from a neighbour", { timeout: 120_000 }, () => {
  let node, browsers, lender, borrower;

  before(async () => {
    node = await TestNode.create({ models: ["magika"] });
    browsers = [await launch(), await launch()];
    lender = await openDemo(await browsers[0].newContext(), node);
    borrower = await openDemo(await browsers[1].newContext(), node);
  });

  after(async () => {
    await Promise.all((browsers ?? []).map((browser) => browser.close()));
    await TestNode.removeAll();
  });

  test("a tab without the model is answered by one that has it, with no server", async () => {
    await toggle(lender, "deviceOnly", true);
    await pick(lender, "own", PYTHON);
    assert.equal((await recognized(lender, "own")).tier, "device");
    const tabs = "[data-testid=peer][data-tier=peer][data-connected=true]";
    for (const page of [lender, borrower]) await page.locator(tabs).waitFor({ state: "attached" });
    assert.equal(await borrower.locator(tabs).locator("td").nth(3).textContent(), "direct");
    await node.kill();
    await state(borrower, "alone");
    await pick(borrower, "borrowed", PYTHON);
    const answer = await recognized(borrower, "borrowed");
    assert.deepEqual([answer.label, answer.tier], ["python", "peer"]);
    await borrower.getByText("This tab and 1 other tab.").waitFor();
  });
});
