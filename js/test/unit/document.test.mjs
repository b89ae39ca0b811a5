import assert from "node:assert/strict";
import { test } from "node:test";
import { MeshDocument } from "../../dist/document.js";
import { sameJson, toJson } from "../../dist/json.js";

/** A document of one writer, as the WebAssembly class behaves: a version for every change. */
class Store {
  version = 0;
  value_ = { notes: {} };
  applied = [];
  listener = () => undefined;
  failure;
  async value() {
    return { heads: [`v${this.version}`], value: structuredClone(this.value_) };
  }
  async apply(heads, value) {
    await new Promise(setImmediate);
    if (this.failure) throw this.failure;
    this.applied.push(heads[0]);
    this.elsewhere(value);
  }
  elsewhere(value) {
    this.version += 1;
    this.value_ = value;
    this.listener();
  }
  subscribe(listener) {
    this.listener = listener;
  }
}

const open = (store, init = {}) => new MeshDocument("notes", init, Promise.resolve(store));

test("init shows until the document is loaded", async () => {
  const doc = open(new Store(), { notes: { x: 1 } });
  assert.deepEqual(doc.value, { notes: { x: 1 } });
  await doc.ready;
  assert.deepEqual(doc.value, { notes: {} });
});

test("changes are made one after the other, each on the newest value and version", async () => {
  const store = new Store();
  const doc = open(store);
  await Promise.all(["a", "b", "c"].map((key) => doc.change((draft) => void (draft.notes[key] = true))));
  assert.deepEqual(store.value_, { notes: { a: true, b: true, c: true } });
  assert.deepEqual(store.applied, ["v0", "v1", "v2"]);
});

test("a change shows at once, and is taken back when it cannot be stored", async () => {
  const store = new Store();
  const doc = await open(store).ready;
  const seen = [];
  doc.on("change", (value) => seen.push(Object.keys(value.notes)));
  store.failure = Object.assign(new Error("full"), { name: "QuotaExceeded" });
  await assert.rejects(doc.change((draft) => void (draft.notes.a = 1)), { name: "QuotaExceeded" });
  await doc.change(() => { throw new Error("mine"); }).catch(() => undefined);
  assert.deepEqual(seen, [["a"], []]);
  assert.deepEqual(doc.value, { notes: {} });
});

test("what others change arrives", async () => {
  const store = new Store();
  const doc = await open(store).ready;
  const changed = new Promise((resolve) => doc.on("change", resolve));
  store.elsewhere({ notes: { theirs: 1 } });
  assert.deepEqual(await changed, { notes: { theirs: 1 } });
});

test("an edit that throws, waits or makes no document changes nothing", async () => {
  const store = new Store();
  const doc = open(store);
  await assert.rejects(doc.change(() => { throw new RangeError("mine"); }), RangeError);
  await assert.rejects(doc.change(async () => undefined), { name: "InvalidInput" });
  await assert.rejects(doc.change((draft) => void (draft.when = new Date())), { name: "InvalidInput", message: /document\.when.*Date/ });
  await assert.rejects(doc.change("no"), { name: "InvalidInput" });
  assert.deepEqual(store.applied, []);
  assert.deepEqual(doc.value, { notes: {} });
});

test("a document that cannot be opened says so to everybody", async () => {
  const doc = new MeshDocument("x", {}, Promise.reject(new Error("no storage")));
  await assert.rejects(doc.ready, { name: "StorageError" });
  await assert.rejects(doc.change(() => undefined), { name: "StorageError" });
});

test("what an edit returns does not matter", async () => {
  const store = new Store();
  await open(store).change((draft) => (draft.notes.a = { text: "x" }));
  assert.deepEqual(store.value_, { notes: { a: { text: "x" } } });
});

test("the order of fields makes no difference", () => {
  assert.ok(sameJson({ a: 1, b: [{ c: null }] }, { b: [{ c: null }], a: 1 }));
  for (const other of [{ a: 1 }, { a: 1, b: [{ c: 0 }] }, { a: 1, b: { 0: { c: null } } }, { a: 1, d: [{ c: null }] }, null, 7]) {
    assert.ok(!sameJson({ a: 1, b: [{ c: null }] }, other));
  }
});

test("documents hold JSON only", () => {
  assert.deepEqual(toJson({ a: [1, null, "x", { b: true }], c: undefined }), { a: [1, null, "x", { b: true }] });
  const circle = {};
  circle.self = circle;
  for (const wrong of [NaN, 1n, () => 1, Symbol("s"), new Map(), circle, [undefined]]) {
    assert.throws(() => toJson({ wrong }), { name: "InvalidInput" });
  }
});
