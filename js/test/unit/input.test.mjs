import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_INPUT_BYTES, normalizeInput, normalizeOptions, tensorData, windows } from "../../dist/input.js";

const invalid = { name: "InvalidInput" };

test("windows are the two ends, or one when they meet", () => {
  assert.deepEqual(windows(200_000_000, { head: 4096, tail: 4096 }), [
    { offset: 0, length: 4096 },
    { offset: 199_995_904, length: 4096 },
  ]);
  assert.deepEqual(windows(8192, { head: 4096, tail: 4096 }), [{ offset: 0, length: 8192 }]);
  assert.deepEqual(windows(8193, { head: 4096, tail: 4096 }).length, 2);
  assert.deepEqual(windows(0, { head: 4096, tail: 4096 }), []);
  assert.deepEqual(windows(100, { head: 10, tail: 0 }), [{ offset: 0, length: 10 }]);
});

test("text passes as it is, up to the bound in bytes", async () => {
  assert.deepEqual(await normalizeInput("grüße"), { text: "grüße" });
  assert.deepEqual(await normalizeInput(""), { text: "" });
  await assert.rejects(normalizeInput("ü".repeat(MAX_INPUT_BYTES / 2 + 1)), invalid);
});

test("of a large Blob only the ends are read", async () => {
  let read = 0;
  class Counted extends Blob {
    slice(start, end) {
      read += end - start;
      return super.slice(start, end);
    }
  }
  const blob = new Counted([new Uint8Array(1_000_000).fill(7)]);
  const { bytes } = await normalizeInput(blob);
  assert.equal(bytes.len, 1_000_000);
  assert.deepEqual(bytes.parts.map(({ offset, data }) => [offset, data.length]), [[0, 4096], [995_904, 4096]]);
  assert.equal(read, 8192);
});

test("a Uint8Array is copied, never kept", async () => {
  const mine = new Uint8Array([1, 2, 3]);
  const { bytes } = await normalizeInput(mine);
  mine[0] = 9;
  assert.deepEqual([...bytes.parts[0].data], [1, 2, 3]);
});

test("a file that cannot be read any more is an error with a cause", async () => {
  class Gone extends Blob {
    slice() {
      return { arrayBuffer: () => Promise.reject(new DOMException("gone", "NotReadableError")) };
    }
  }
  await assert.rejects(normalizeInput(new Gone(["x"])), (error) => error.name === "InvalidInput" && error.cause.name === "NotReadableError");
});

test("a window over the bound is refused before it is read", async () => {
  const blob = new Blob([new Uint8Array(MAX_INPUT_BYTES + 2)]);
  await assert.rejects(normalizeInput(blob, { head: MAX_INPUT_BYTES, tail: 1 }), invalid);
});

test("tensors become little-endian bytes and come back", async () => {
  const data = new Float32Array([0, 1.5, -2, 4]).subarray(1);
  const { tensors } = await normalizeInput({ tensors: [{ name: "x", shape: [1, 3], data }] });
  assert.deepEqual(tensors[0], { name: "x", dtype: "f32", shape: [1, 3], data: new Uint8Array(new Float32Array([1.5, -2, 4]).buffer) });
  assert.deepEqual(tensorData(tensors[0]), new Float32Array([1.5, -2, 4]));
  const ids = await normalizeInput({ tensors: [{ name: "ids", shape: [], data: new BigInt64Array([7n]) }] });
  assert.equal(tensorData(ids.tensors[0])[0], 7n);
  const flags = await normalizeInput({ tensors: [{ name: "b", dtype: "bool", shape: [2], data: new Uint8Array([0, 1]) }] });
  assert.equal(flags.tensors[0].dtype, "bool");
});

test("bytes cut out of a message at an odd offset still make a tensor", () => {
  const message = new Uint8Array(9);
  message.set(new Uint8Array(new Float32Array([3, 4]).buffer), 1);
  assert.deepEqual(tensorData({ name: "x", dtype: "f32", shape: [2], data: message.subarray(1) }), new Float32Array([3, 4]));
});

for (const [why, input] of Object.entries({
  nothing: undefined,
  null: null,
  "a number": 7,
  "an array": [1, 2],
  "no tensors": { tensors: [] },
  "tensors that are none": { tensors: "x" },
  "a null tensor": { tensors: [null] },
  "no name": { tensors: [{ shape: [1], data: new Float32Array(1) }] },
  "a wrong shape": { tensors: [{ name: "x", shape: [2], data: new Float32Array(1) }] },
  "a negative dimension": { tensors: [{ name: "x", shape: [-1], data: new Float32Array(1) }] },
  "too many dimensions": { tensors: [{ name: "x", shape: Array(9).fill(1), data: new Float32Array(1) }] },
  "a plain array": { tensors: [{ name: "x", shape: [1], data: [1] }] },
  "doubles": { tensors: [{ name: "x", shape: [1], data: new Float64Array(1) }] },
  "a type of another size": { tensors: [{ name: "x", dtype: "i64", shape: [1], data: new Float32Array(1) }] },
  "a type that is none": { tensors: [{ name: "x", dtype: "toString", shape: [1], data: new Uint8Array(1) }] },
  "too many tensors": { tensors: Array(65).fill({ name: "x", shape: [1], data: new Uint8Array(1) }) },
})) {
  test(`refused: ${why}`, async () => {
    await assert.rejects(normalizeInput(input), invalid);
  });
}

test("options keep what is given and nothing else", () => {
  const { signal } = new AbortController();
  assert.deepEqual(normalizeOptions({ tier: "edge", deadline: 10.2, privacy: "device", numerics: "fast", signal }), {
    tier: "edge",
    deadlineMs: 11,
    privacy: "device",
    numerics: "fast",
  });
  assert.deepEqual(normalizeOptions({ prefer: undefined }), {});
  const wrong = [{ tier: "moon" }, { prefer: 1 }, { deadline: 0 }, { deadline: NaN }, { privacy: "none" }, { numerics: "quick" }, { signal: {} }, { teir: "edge" }, null];
  for (const options of wrong) assert.throws(() => normalizeOptions(options), invalid);
});
