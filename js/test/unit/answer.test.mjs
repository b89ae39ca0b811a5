import assert from "node:assert/strict";
import { test } from "node:test";
import { Answer } from "../../dist/answer.js";

const answer = (output) => new Answer(1, { output, receipt: {}, route: {} });
const unexpected = { name: "UnexpectedOutput" };

test("each kind of output has its accessor, and the others say what it is", () => {
  const json = answer({ json: '{"label":"png"}' });
  assert.deepEqual([json.kind, json.value], ["json", { label: "png" }]);
  assert.throws(() => json.tensor(), unexpected);
  assert.throws(() => json.text, unexpected);
  assert.equal(answer({ text: "hi" }).value, "hi");
  const bytes = answer({ bytes: { len: 3, parts: [{ offset: 0, data: new Uint8Array([1, 2, 3]) }] } });
  assert.deepEqual(bytes.value, new Uint8Array([1, 2, 3]));
  assert.throws(() => bytes.json, unexpected);
});

test("a tensor is found by name, the first without", () => {
  const data = new Uint8Array(new Float32Array([0.5]).buffer);
  const tensors = answer({ tensors: [{ name: "embedding", dtype: "f32", shape: [1], data }] });
  assert.deepEqual(tensors.tensor().data, new Float32Array([0.5]));
  assert.deepEqual(tensors.tensor("embedding").shape, [1]);
  assert.throws(() => tensors.tensor("other"), /embedding/);
});
