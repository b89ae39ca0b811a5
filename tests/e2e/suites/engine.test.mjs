// The engine without a mesh: `neuromesh/engine` in a page of its own.
import assert from "node:assert/strict";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { barePage } from "../harness/bare-page.mjs";
import { launch, openPage, until } from "../harness/browser.mjs";
import { TestNode, models } from "../harness/node.mjs";

/** ONNX: y = MatMulInteger(x, w), with bytes on the left and these weights. */
function productOfBytes(w, rows, inner, columns) {
  const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >> 7)]);
  const number = (field, value) => [...varint(field << 3), ...varint(value)];
  const bytes = (field, value) => [...varint((field << 3) | 2), ...varint(value.length), ...value];
  const text = (field, value) => bytes(field, new TextEncoder().encode(value));
  const [UINT8, INT8, INT32] = [2, 3, 6];
  const info = (name, type, sizes) => {
    const shape = sizes.flatMap((size) => bytes(1, number(1, size)));
    return [...text(1, name), ...bytes(2, bytes(1, [...number(1, type), ...bytes(2, shape)]))];
  };
  const weights = [...number(1, inner), ...number(1, columns), ...number(2, INT8), ...text(8, "w"), ...bytes(9, new Uint8Array(w.buffer))];
  const node = [...text(1, "x"), ...text(1, "w"), ...text(2, "y"), ...text(4, "MatMulInteger")];
  const graph = [...bytes(1, node), ...text(2, "product"), ...bytes(5, weights), ...bytes(11, info("x", UINT8, [rows, inner])), ...bytes(12, info("y", INT32, [rows, columns]))];
  return Uint8Array.from([...number(1, 8), ...bytes(7, graph), ...bytes(8, number(2, 17))]);
}

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

  test("products of bytes have the same bits in each build", async () => {
    const [rows, inner, columns] = [5, 37, 19];
    // Everything that bytes can be, the ends most of all: what saturates or has another sign shows.
    const x = Uint8Array.from({ length: rows * inner }, (_, i) => (i % 3 === 0 ? 255 : (i * 73) % 256));
    const w = Int8Array.from({ length: inner * columns }, (_, i) => (i % 4 === 0 ? -128 : (i * 91) % 256));
    const expected = Array.from({ length: rows * columns }, (_, at) => {
      const [row, column] = [Math.floor(at / columns), at % columns];
      return Array.from({ length: inner }, (_, k) => x[row * inner + k] * w[k * columns + column]).reduce((sum, product) => sum + product, 0);
    });
    const answers = await page.evaluate(
      async ([model, x, shape]) => {
        const answers = [];
        for (const threads of [1, 2]) {
          const loaded = await window.engine.load(new Uint8Array(model), { threads });
          const { y } = await loaded.run({ x: { shape, data: new Uint8Array(x) } });
          answers.push([...y.data]);
          loaded.close();
        }
        return answers;
      },
      [[...productOfBytes(w, rows, inner, columns)], [...x], [rows, inner]],
    );
    for (const answer of answers) assert.deepEqual(answer, expected);
  });

  test("after its first answer a tab rehearses, once", async () => {
    const context = await browser.newContext();
    const memory = (page) => page.evaluate(() => localStorage.getItem("neuromesh.rehearsed"));
    const first = await openPage(context, node.url);
    await first.evaluate(async () => {
      const { shape, data } = { shape: [1, 2048], data: new Int32Array(2048) };
      window.model = await window.engine.load("/magika.onnx", { threads: 1 });
      await window.model.run({ bytes: { shape, data } });
    });
    await until(() => memory(first), "the rehearsal");
    assert.match(await memory(first), /^engine [0-9a-f]{16} Mozilla/);
    assert.deepEqual(first.complaints, []);
    await context.close();
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
