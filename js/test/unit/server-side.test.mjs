import assert from "node:assert/strict";
import { test } from "node:test";

test("on a server the import is harmless and join says what is missing", async () => {
  const { join, NeuromeshError } = await import("../../dist/index.js");
  await assert.rejects(join(), (error) => error instanceof NeuromeshError && error.name === "UnsupportedEnvironment" && /Worker/.test(error.message));
});
