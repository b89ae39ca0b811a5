// Fast runs on the tab's GPU, which Chromium's SwiftShader plays on the CPU, and their way back where there is none.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { barePage } from "../harness/bare-page.mjs";
import { SOFTWARE_GPU, launch, openPage } from "../harness/browser.mjs";
import { modelFolder, referenceCase, referenceModel } from "../harness/fixtures.mjs";
import { TestNode, root } from "../harness/node.mjs";
import { PYTHON } from "../harness/samples.mjs";

/** What the GPU may be off, as a part of the largest number. */
const TOLERANCE = 1e-3;
/** The CPU and the GPU are tried in an order drawn by lot, the first of each uncounted: so many runs try both. */
const TRIALS = 8;
const SENTENCE = "The quick brown fox jumps over the lazy dog, and the dog does not mind.";
/** A model as it is, under a name of its own. */
const GRAPHS = ["magika", "mobilenetv2"];

const built = existsSync(join(root, "js/dist/wasm/gpu_bg.wasm"));
const notBuilt = !built && "the package was built without the module for GPUs";

describe("the GPU behind a tab", { timeout: 280_000 }, () => {
  let folder, node, picture, speech;

  before(async () => {
    folder = await barePage();
    picture = await modelFolder("mobilenetv2", { kind: "image", resize: { exact: [224, 224] } });
    speech = await modelFolder("silero-16k-op15", { kind: "voice-activity" });
    const graphs = Object.fromEntries(GRAPHS.map((name) => [`${name}-graph`, referenceModel(name)]));
    graphs.picture = picture.path;
    graphs.speech = speech.path;
    node = await TestNode.create({ models: ["all-minilm-l6-v2", "magika"], graphs, web: folder.folder });
  });

  after(async () => {
    await TestNode.removeAll();
    for (const made of [folder, picture, speech]) await made?.remove();
  });

  /** A page that has joined; `asked` are the paths that it fetched. */
  async function joined(browser, gpu) {
    const context = await browser.newContext();
    const asked = [];
    context.on("request", (request) => asked.push(new URL(request.url()).pathname));
    const page = await openPage(context, node.url);
    page.setDefaultTimeout(240_000);
    page.asked = asked;
    await page.evaluate(async (options) => {
      // One thread of the CPU: one candidate beside the GPU.
      window.mesh = await window.neuromesh.join({ threads: 1, ...options });
      const arrays = { f32: Float32Array, i64: BigInt64Array, i32: Int32Array };
      const typed = ({ data, dtype, ...rest }) => ({ ...rest, dtype, data: arrays[dtype].from(data, dtype === "i64" ? BigInt : undefined) });
      window.run = async (model, input, numerics) => {
        const given = typeof input === "object" && "tensors" in input ? { tensors: input.tensors.map(typed) } : input;
        const answer = await window.mesh.run(model, given, { tier: "device", deadline: 120_000, numerics });
        return { data: [...answer.tensor().data], exactness: answer.receipt.exactness };
      };
    }, gpu === undefined ? {} : { gpu });
    return page;
  }

  const run = (page, model, input, numerics) => page.evaluate((args) => window.run(...args), [model, input, numerics]);
  const gpuOf = (page) => page.evaluate(async () => (await window.mesh.engine()).gpu);
  const fetchedModule = ({ asked }) => asked.some((path) => /gpu_bg.*\.wasm$/.test(path));

  function assertClose(found, expected) {
    assert.equal(found.length, expected.length);
    const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const off = found.reduce((most, x, index) => Math.max(most, Number.isNaN(x) ? Infinity : Math.abs(x - expected[index])), 0);
    assert.ok(off <= TOLERANCE * largest, `off by ${off} of ${largest}`);
    return off / largest;
  }

  /** The page asks, and nothing is there: the CPU answers, exactly as it would, and the reason is told. */
  async function withoutOne(flags, gpu, reason) {
    const browser = await launch(flags);
    try {
      const page = await joined(browser, gpu);
      const exact = await run(page, "all-minilm-l6-v2", SENTENCE, "exact");
      const fast = await run(page, "all-minilm-l6-v2", SENTENCE, "fast");
      assert.deepEqual(fast, exact, "one thread without relaxed SIMD has only exact kernels");
      const state = await gpuOf(page);
      assert.deepEqual([state.used, state.name, state.runs, state.memory], [false, null, 0, 0]);
      assert.match(state.reason, reason);
      assert.ok(!fetchedModule(page));
    } finally {
      await browser.close();
    }
  }

  test("a page that does not ask has none", () => withoutOne(SOFTWARE_GPU, undefined, /did not ask/));

  test("without an adapter the CPU answers", { skip: notBuilt }, () => withoutOne([], true, /WebGPU/));

  test("without the module the CPU answers", { skip: built && "the module was built" }, () =>
    withoutOne(SOFTWARE_GPU, true, /this build has no GPU module/));

  describe("with one", { skip: notBuilt }, () => {
    let browser, page;

    before(async () => {
      browser = await launch(SOFTWARE_GPU);
      page = await joined(browser, true);
    });

    after(() => browser?.close());

    test("exact runs stay on the CPU, and nothing is fetched for them", async () => {
      const { exactness } = await run(page, "all-minilm-l6-v2", SENTENCE, "exact");
      assert.equal(exactness, "exact");
      const { used, name, runs } = await gpuOf(page);
      assert.deepEqual([used, runs], [true, 0]);
      assert.match(name, /swiftshader/i);
      assert.ok(!fetchedModule(page));
    });

    const cases = [
      ["all-minilm-l6-v2", async () => ({ input: SENTENCE })],
      ...GRAPHS.map((name) => [
        `${name}-graph`,
        async () => {
          const { inputs, outputs } = await referenceCase(name);
          return { input: { tensors: inputs }, reference: outputs[0].data };
        },
      ]),
    ];
    for (const [model, load] of cases) {
      test(`${model}: fast runs are tried on both, and agree`, async () => {
        const { input, reference } = await load();
        const exact = await run(page, model, input, "exact");
        assert.equal(exact.exactness, "exact");
        const before = await gpuOf(page);
        const answers = [];
        for (let trial = 0; trial < TRIALS; trial += 1) answers.push(await run(page, model, input, "fast"));
        const there = answers.filter(({ exactness }) => exactness === "approximate");
        const here = answers.filter(({ exactness }) => exactness === "exact");
        const state = await gpuOf(page);
        assert.ok(there.length > 0 && here.length > 0, `${there.length} there, ${here.length} here: ${JSON.stringify(state)}`);
        for (const answer of here) assert.deepEqual(answer.data, exact.data);
        const off = there.map(({ data }) => assertClose(data, exact.data));
        if (reference !== undefined) there.forEach(({ data }) => assertClose(data, reference));
        assert.equal(state.used, true);
        assert.equal(state.runs, before.runs + there.length);
        assert.ok(state.operators.gpu > before.operators.gpu);
        // Integers, shapes and masks are the CPU's.
        assert.ok(state.operators.cpu >= before.operators.cpu);
        assert.ok(state.memory > 0 && fetchedModule(page));
        console.log(`${model} on ${state.name}: ${there.length} of ${TRIALS} runs, off by ${Math.max(...off).toExponential(1)}, operators ${JSON.stringify(state.operators)}`);
      });
    }

    test("what the GPU has not got, the CPU executes in the same run", async () => {
      const { operators } = await gpuOf(page);
      assert.ok(operators.gpu > 0 && operators.cpu > 0, JSON.stringify(operators));
    });

    test("a plugin runs its graph there, too, and says the same of a file", async () => {
      const answers = await page.evaluate(
        async ([text, count]) => {
          const answers = [];
          for (let trial = 0; trial <= count; trial += 1) {
            const numerics = trial === 0 ? "exact" : "fast";
            const answer = await window.mesh.run("magika", new Blob([text]), { tier: "device", deadline: 120_000, numerics });
            answers.push({ ...answer.json, exactness: answer.receipt.exactness });
          }
          return answers;
        },
        [PYTHON.toString(), TRIALS],
      );
      for (const { label, score } of answers) {
        assert.equal(label, "python");
        assert.ok(Math.abs(score - answers[0].score) <= TOLERANCE, `${score}, not ${answers[0].score}`);
      }
      const there = answers.filter(({ exactness }) => exactness === "approximate").length;
      assert.ok(there > 0 && there < TRIALS, JSON.stringify([there, await gpuOf(page)]));
    });

    test("a picture goes there as it does to the CPU", async () => {
      const [exact, ...fast] = await page.evaluate(async (count) => {
        const data = Uint8ClampedArray.from({ length: 96 * 64 * 4 }, (_, index) => (index * 37) % 251);
        const answers = [];
        for (let trial = 0; trial <= count; trial += 1) {
          answers.push(await window.run("picture", { image: { data, width: 96, height: 64 } }, trial === 0 ? "exact" : "fast"));
        }
        return answers;
      }, TRIALS);
      for (const { data } of fast) assertClose(data, exact.data);
      assert.ok(fast.some(({ exactness }) => exactness === "approximate"), JSON.stringify(await gpuOf(page)));
    });

    test("a pipeline that is the CPU's alone is answered there, and the reason is told", async () => {
      const [digest, ...answers] = await page.evaluate(async (count) => {
        const samples = Float32Array.from({ length: 16_000 }, (_, index) => Math.sin(index / 20) / 4);
        const answers = [];
        for (let trial = 0; trial <= count; trial += 1) {
          const numerics = trial === 0 ? "exact" : "fast";
          const answer = await window.mesh.run("speech", { audio: { samples, rate: 16_000 } }, { tier: "device", deadline: 120_000, numerics });
          if (trial === 0) answers.push(answer.receipt.model);
          answers.push([answer.receipt.exactness, answer.json]);
        }
        return answers;
      }, TRIALS);
      for (const answer of answers) assert.deepEqual(answer, ["exact", answers[0][1]]);
      const { used, refused } = await gpuOf(page);
      assert.equal(used, true);
      assert.match(refused[digest], /voice activity/);
    });

    test("a run that is given up ends, and the next one is answered", async () => {
      const { inputs } = await referenceCase("mobilenetv2");
      const name = await page.evaluate(async () => {
        const stop = new AbortController();
        const answer = window.mesh.run("all-minilm-l6-v2", "given up", { tier: "device", numerics: "fast", signal: stop.signal });
        stop.abort();
        return answer.then(() => "none").catch((error) => error.name);
      });
      assert.equal(name, "AbortError");
      const exact = await run(page, "mobilenetv2-graph", { tensors: inputs }, "exact");
      assertClose((await run(page, "mobilenetv2-graph", { tensors: inputs }, "fast")).data, exact.data);
    });

    test("when the GPU is lost the CPU goes on, and the reason is told", async () => {
      const { inputs } = await referenceCase("magika");
      // Of another size than before, so that both are tried anew.
      const sentence = SENTENCE.repeat(3);
      const exact = await run(page, "all-minilm-l6-v2", sentence, "exact");
      const several = page.evaluate(
        async ([model, input, count]) => {
          const answers = [];
          while (answers.length < count) answers.push(await window.run(model, input, "fast"));
          return answers;
        },
        ["all-minilm-l6-v2", sentence, TRIALS],
      );
      const session = await browser.newBrowserCDPSession();
      await session.send("Browser.crashGpuProcess");
      for (const { data } of await several) assertClose(data, exact.data);
      const { used, reason, memory } = await gpuOf(page);
      assert.deepEqual([used, memory], [false, 0]);
      assert.match(reason, /the device was lost/);
      assert.equal((await run(page, "magika-graph", { tensors: inputs }, "fast")).exactness, "exact");
    });
  });
});
