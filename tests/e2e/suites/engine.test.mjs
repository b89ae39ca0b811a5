// The engine without a mesh: `neuromesh/engine` in a page of its own.
import assert from "node:assert/strict";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { barePage } from "../harness/bare-page.mjs";
import { launch, openPage } from "../harness/browser.mjs";
import { TestNode, models } from "../harness/node.mjs";

describe("the engine alone", { timeout: 120_000 }, () => {
  let folder, node, browser, page;

  before(async () => {
    folder = await barePage();
    await copyFile(join(models, "magika/model.onnx"), join(folder.folder, "magika.onnx"));
    node = await TestNode.create({ models: [], web: folder.folder });
    browser = await launch();
    page = await openPage(await browser.newContext(), node.url);
    // The bytes of a file as the model takes them: 1024 of its beginning, 1024 of its end, and 256 for what is not there.
    await page.evaluate(() => {
      window.bytesOf = (text) => {
        const data = new Int32Array(2048).fill(256);
        const bytes = new TextEncoder().encode(text);
        data.set(bytes.subarray(0, 1024), 0);
        data.set(bytes.subarray(-1024), 2048 - Math.min(bytes.length, 1024));
        return { bytes: { shape: [1, 2048], data } };
      };
    });
  });

  after(async () => {
    await browser?.close();
    await TestNode.removeAll();
    await folder?.remove();
  });

  test("from a URL, a Response and bytes, the answer is the same", async () => {
    const answers = await page.evaluate(async () => {
      const sources = [
        "/magika.onnx",
        await fetch("/magika.onnx"),
        new Uint8Array(await (await fetch("/magika.onnx")).arrayBuffer()),
      ];
      const answers = [];
      for (const source of sources) {
        const model = await window.engine.load(source, { threads: 2 });
        const outputs = await model.run(window.bytesOf("#!/usr/bin/env python3\nimport sys\nprint(sys.argv)\n"));
        answers.push({ engine: model.engine, shape: outputs.target_label.shape, dtype: outputs.target_label.dtype, data: [...outputs.target_label.data] });
        model.close();
      }
      return answers;
    });
    assert.equal(answers[0].dtype, "f32");
    assert.equal(answers[0].shape[0], 1);
    assert.ok(Math.abs(answers[0].data.reduce((sum, x) => sum + x, 0) - 1) < 1e-3, "probabilities");
    assert.deepEqual(answers[1].data, answers[0].data);
    assert.deepEqual(answers[2].data, answers[0].data);
  });

  test("fast numbers are near the exact ones", async () => {
    const [exact, fast] = await page.evaluate(async () => {
      const model = await window.engine.load("/magika.onnx");
      const input = window.bytesOf("{\"a\": [1, 2, 3]}");
      const answers = [await model.run(input), await model.run(input, { numerics: "fast" })];
      model.close();
      return answers.map(({ target_label }) => [...target_label.data]);
    });
    assert.ok(exact.every((x, i) => Math.abs(x - fast[i]) < 1e-4));
  });

  test("what goes wrong has a name", async () => {
    const names = await page.evaluate(async () => {
      const name = (promise) => promise.then(() => "none").catch((error) => error.name);
      const model = await window.engine.load("/magika.onnx");
      const names = [
        await name(window.engine.load(new Uint8Array([1, 2, 3]))),
        await name(window.engine.load("/not-there.onnx")),
        await name(window.engine.load("/magika.onnx", { threads: 0 })),
        await name(window.engine.load("/magika.onnx", { signal: AbortSignal.abort() })),
        await name(model.run({ wrong: { shape: [1], data: new Float32Array(1) } })),
        await name(model.run(window.bytesOf("x"), { signal: AbortSignal.abort() })),
      ];
      model.close();
      return [...names, await name(model.run(window.bytesOf("x")))];
    });
    assert.deepEqual(names, ["ModelInvalid", "NetworkError", "InvalidInput", "AbortError", "InvalidInput", "AbortError", "Closed"]);
  });
});
