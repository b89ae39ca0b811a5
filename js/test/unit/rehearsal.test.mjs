import assert from "node:assert/strict";
import { test } from "node:test";
import { rehearse } from "../../dist/worker/rehearsal.js";

test("it warms up often, in stretches that each wait for the engine to be idle", async () => {
  let times = 0;
  let asked = 0;
  let release;
  const engine = { warmUp: () => void (times += 1) };
  const busy = new Promise((resolve) => (release = resolve));
  const done = rehearse(engine, () => {
    asked += 1;
    return busy;
  });
  // Whatever else is due now comes first.
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([times, asked], [0, 1]);
  release();
  await done;
  assert.equal(times, 1000);
});

test("an engine that fails ends it", async () => {
  const engine = {
    warmUp() {
      throw new Error("out of memory");
    },
  };
  await assert.rejects(
    rehearse(engine, () => Promise.resolve()),
    /out of memory/,
  );
});
