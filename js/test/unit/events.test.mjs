import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "../../dist/events.js";
import { NeuromeshError, describe, toError } from "../../dist/errors.js";

test("listeners are called until they are taken away, each addition on its own", () => {
  const emitter = new Emitter();
  const seen = [];
  const listener = (event) => seen.push(event);
  const first = emitter.on("a", listener);
  emitter.on("a", listener);
  emitter.emit("a", 1);
  first();
  first();
  emitter.emit("a", 2);
  emitter.emit("b", 3);
  assert.deepEqual(seen, [1, 1, 2]);
});

test("a listener may leave, and add others, while it is called", () => {
  const emitter = new Emitter();
  const seen = [];
  const off = emitter.on("a", () => {
    off();
    emitter.on("a", (event) => seen.push(event));
  });
  emitter.emit("a", 1);
  emitter.emit("a", 2);
  assert.deepEqual(seen, [2]);
});

test("one that throws does not keep the others from being called", async () => {
  const emitter = new Emitter();
  const seen = [];
  emitter.on("a", () => {
    throw new Error("mine");
  });
  emitter.on("a", (event) => seen.push(event));
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  const thrown = new Promise((resolve) => process.once("uncaughtException", resolve));
  emitter.emit("a", 1);
  assert.deepEqual(seen, [1]);
  assert.equal((await thrown).message, "mine");
  for (const listener of before) process.on("uncaughtException", listener);
});

test("only a function can listen", () => {
  assert.throws(() => new Emitter().on("a", "no"), TypeError);
});

test("whatever was thrown gets a stable name and keeps its cause", () => {
  const quota = toError(new DOMException("full", "QuotaExceededError"));
  assert.deepEqual([quota.name, quota.message, quota instanceof Error], ["QuotaExceeded", "full", true]);
  assert.equal(toError({ name: "NoCandidate", message: "m" }).name, "NoCandidate");
  assert.equal(toError(new TypeError("odd")).name, "RunFailed");
  assert.equal(toError("text", "StorageError").message, "text");
  const error = new NeuromeshError("Closed", "m");
  assert.equal(toError(error), error);
  assert.deepEqual(describe(null), { name: "Error", message: "null" });
});
