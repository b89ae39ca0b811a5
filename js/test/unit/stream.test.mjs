import assert from "node:assert/strict";
import { test } from "node:test";
import { NeuromeshError } from "../../dist/errors.js";
import { AnswerStream } from "../../dist/stream.js";

/** A run that goes as the test says. */
function scripted() {
  const script = { cancelled: 0 };
  const run = (onPart) => {
    script.tell = (text, ...tokens) => onPart({ text, tokens });
    return new Promise((resolve, reject) => Object.assign(script, { resolve, reject }));
  };
  script.stream = new AnswerStream(run, () => {
    script.cancelled += 1;
    script.reject(new NeuromeshError("AbortError", "the request was aborted"));
  });
  return script;
}

test("parts come in order, and then the answer", async () => {
  const { stream, tell, resolve } = scripted();
  const seen = [];
  const loop = (async () => {
    for await (const part of stream) seen.push(part);
    seen.push("end");
  })();
  tell("a", 1);
  await new Promise(setImmediate);
  tell("b", 2);
  await new Promise(setImmediate);
  resolve("answer");
  await loop;
  assert.deepEqual(seen, [{ text: "a", tokens: [1] }, { text: "b", tokens: [2] }, "end"]);
  assert.equal(await stream.answer, "answer");
});

test("what nobody takes waits as one part, and comes before the end", async () => {
  const { stream, tell, resolve } = scripted();
  tell("a", 1);
  tell("", 2);
  tell("b", 3);
  resolve("answer");
  await stream.answer;
  const seen = [];
  for await (const part of stream) seen.push(part);
  assert.deepEqual(seen, [{ text: "ab", tokens: [1, 2, 3] }]);
});

test("what goes wrong is thrown once by the iteration, and rejects the answer", async () => {
  const { stream, tell, reject } = scripted();
  tell("a", 1);
  reject(new NeuromeshError("Diverged", "another text"));
  const seen = [];
  await assert.rejects(
    async () => {
      for await (const part of stream) seen.push(part.text);
    },
    { name: "Diverged" },
  );
  assert.deepEqual(seen, ["a"]);
  await assert.rejects(stream.answer, { name: "Diverged" });
  for await (const part of stream) assert.fail(`after the end: ${part.text}`);
});

test("leaving the loop cancels the run; leaving it at its end does not", async () => {
  const left = scripted();
  left.tell("a", 1);
  for await (const part of left.stream) {
    assert.equal(part.text, "a");
    break;
  }
  assert.equal(left.cancelled, 1);
  await assert.rejects(left.stream.answer, { name: "AbortError" });

  const ended = scripted();
  ended.tell("a", 1);
  ended.resolve("answer");
  await ended.stream.answer;
  for await (const part of ended.stream) if (part.text === "a") break;
  assert.equal(ended.cancelled, 0);
});

test("nobody has to look at a stream that fails", async () => {
  const { stream, reject } = scripted();
  reject(new Error("no"));
  await new Promise(setImmediate);
  void stream;
});
