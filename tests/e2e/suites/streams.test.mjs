// Answers in parts: from a node, from the tab itself, cancelled in the middle, and from two nodes of which one dies.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { barePage } from "../harness/bare-page.mjs";
import { launch, openPage, until } from "../harness/browser.mjs";
import { LONG, decoder } from "../harness/decoder.mjs";
import { TestNode } from "../harness/node.mjs";

// The engine tells of every run that comes to its end.
process.env.NEUROMESH_LOG_LEVEL = "info,neuromesh::engine=debug";

describe("answers in parts", { timeout: 240_000 }, () => {
  let web, model, node, other, browser, page;

  before(async () => {
    [web, model] = await Promise.all([barePage(), decoder()]);
    const options = { models: [model.folder], web: web.folder, args: ["--threads", "1"] };
    [node, other] = [await TestNode.create(options), await TestNode.create(options)];
    browser = await launch();
    page = await openPage(await browser.newContext(), node.url);
    await page.evaluate(
      async ([nodes]) => {
        window.mesh = await window.neuromesh.join({ nodes });
        const holders = async () => (await window.mesh.models()).find(({ name }) => name === "decoder")?.holders.length ?? 0;
        while ((await holders()) < nodes.length) await new Promise((resolve) => window.mesh.on("models", resolve));
        window.tell = (count, options = {}) => {
          const json = { tokens: [5, 6, 7], maxNewTokens: count, temperature: 0.8, seed: 4 };
          return window.mesh.stream("decoder", { json }, { deadline: 60_000, ...options });
        };
        /** Everything that a stream gives, in the order in which it came. */
        window.watch = async (stream) => {
          const order = [];
          const tokens = [];
          let text = "";
          const answered = stream.answer.then((answer) => {
            order.push("answer");
            return answer;
          });
          for await (const part of stream) {
            order.push("part");
            tokens.push(...part.tokens);
            text += part.text;
          }
          const { json, route } = await answered;
          return { order, tokens, text, told: json, route };
        };
      },
      [[node.url, other.url]],
    );
  });

  after(async () => {
    await browser?.close();
    await TestNode.removeAll();
    await Promise.all([web?.remove(), model?.remove()]);
  });

  for (const tier of ["edge", "device"]) {
    test(`the parts come before the answer and make it up: ${tier}`, async () => {
      const seen = await page.evaluate(([tier, count]) => window.watch(window.tell(count, { tier })), [tier, LONG]);
      assert.equal(seen.route.tier, tier);
      assert.equal(seen.tokens.length, LONG);
      assert.deepEqual([seen.tokens, seen.text], [seen.told.tokens, seen.told.text]);
      assert.ok(seen.text.length > LONG / 2);
      assert.equal(seen.order.at(-1), "answer");
      assert.ok(seen.order.length > 3, `${seen.order.length - 1} parts`);
      assert.ok(seen.order.slice(0, -1).every((what) => what === "part"));
    });
  }

  test("mistakes have names, in the iteration and in the answer", async () => {
    const names = await page.evaluate(async () => {
      const name = async (stream) => {
        try {
          for await (const part of stream) return part;
          return "none";
        } catch (error) {
          return error.name;
        }
      };
      return [
        await name(window.mesh.stream("not-there", "x")),
        await name(window.mesh.stream("decoder", new Uint8Array(9))),
        await name(window.mesh.stream("decoder", { json: {} }, { wrong: 1 })),
        await name(window.mesh.stream("decoder", { json: {} }, { signal: AbortSignal.abort() })),
        await window.tell(0).answer.catch((error) => error.name),
      ];
    });
    assert.deepEqual(names, ["ModelNotFound", "InvalidInput", "InvalidInput", "AbortError", "InvalidInput"]);
  });

  test("who aborts or leaves the loop in the middle frees the node", async () => {
    const ends = await page.evaluate(async (count) => {
      const controller = new AbortController();
      const ends = [];
      const aborted = window.tell(count, { tier: "edge", signal: controller.signal });
      try {
        for await (const part of aborted) {
          ends.push(part.tokens.length > 0);
          controller.abort();
        }
      } catch (error) {
        ends.push(error.name);
      }
      const left = window.tell(count, { tier: "edge" });
      for await (const part of left) {
        ends.push(part.tokens.length > 0);
        break;
      }
      ends.push(await left.answer.catch((error) => error.name));
      return ends;
    }, LONG);
    assert.deepEqual([ends[0], ...ends.slice(-3)], [true, "AbortError", true, "AbortError"]);
    // On one thread a run begins when the one before it is over. So once a node has told of this one, of another class of size, it has
    // told of all before it: of the first test's, and never of those that were cancelled.
    const body = JSON.stringify({
      model: "decoder",
      input: { json: { tokens: Array(200).fill(5), maxNewTokens: 2 } },
      options: { tier: "device" },
    });
    await Promise.all([node, other].map(async ({ url }) => {
      const response = await fetch(new URL("v1/run", url), { method: "POST", headers: { "content-type": "application/json" }, body });
      assert.equal(response.status, 200, await response.text());
    }));
    const classes = ({ log }) => [...log.matchAll(/\bran\b.*\bclass=(\d+)/g)].map(([, of]) => Number(of));
    await until(() => [node, other].every((at) => classes(at).includes(9)), "both have told of the last run");
    assert.equal([node, other].flatMap(classes).filter((of) => of !== 9).length, 1);
  });

  test("a node that is killed in the middle is followed by the other without a seam", async () => {
    const ids = { [node.ready.peerId]: node, [other.ready.peerId]: other };
    await page.exposeFunction("kill", (peer) => ids[peer].kill());
    const seen = await page.evaluate(async (count) => {
      const stream = window.tell(count, { tier: "edge" });
      const asked = new Promise((resolve) => window.mesh.on("request", ({ peer }) => resolve(peer)));
      const first = await stream[Symbol.asyncIterator]().next();
      await window.kill(await asked);
      const seen = await window.watch(stream);
      return { ...seen, first: first.value };
    }, LONG);
    assert.deepEqual([...seen.first.tokens, ...seen.tokens], seen.told.tokens);
    assert.equal(seen.first.text + seen.text, seen.told.text);
    assert.deepEqual(seen.route.attempts.map(({ outcome }) => outcome), ["lost", "answered"]);
    assert.ok(seen.first.tokens.length < LONG);
  });
});
