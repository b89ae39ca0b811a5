// What a user of the mesh waits for: the first answer, another tab's edit, a node under load.
import { Agent, request } from "node:http";

import { browser, open, scratch } from "./processes.mjs";
import { median, quantile, round } from "./statistics.mjs";

const COLD_LOADS = 5;
const WARM_LOADS = 10;
const EDITS = 300;
const LOAD_SECONDS = 10;
const CONNECTIONS = 8;

async function answer(context, origin) {
  const page = await open(context, `${origin}/`);
  await page.waitForFunction(() => window.loaded);
  const { elapsed, numbers, tier } = await page.evaluate(() => window.firstAnswer());
  if (numbers !== 384 || tier !== "device") throw new Error(`${numbers} numbers from tier ${tier}`);
  await page.close();
  return elapsed;
}

/** From the beginning of the navigation to MiniLM's first answer in the tab, with an empty and with a filled profile. */
export async function firstAnswers({ report }, origin) {
  const cold = [];
  const warm = [];
  for (let load = 0; load < COLD_LOADS; load++) {
    const profile = scratch("profile");
    const context = await browser(profile);
    cold.push(await answer(context, origin));
    if (load === COLD_LOADS - 1) for (let again = 0; again < WARM_LOADS; again++) warm.push(await answer(context, origin));
    await context.close();
  }
  const show = (times) => `${round(median(times))} ms (${round(Math.min(...times))} to ${round(Math.max(...times))})`;
  report(`first answer in the tab: cold ${show(cold)}, warm ${show(warm)}`);
  return { first_answer_cold_ms: median(cold), first_answer_warm_ms: median(warm) };
}

/** From an edit in one tab until the other one shows it, through the node. */
export async function editPropagation({ report }, origin) {
  const context = await browser();
  const tabs = [await open(context, `${origin}/`), await open(context, `${origin}/`)];
  for (const tab of tabs) {
    await tab.waitForFunction(() => window.loaded);
    await tab.evaluate(() => window.openDocument("bench"));
  }
  const times = [];
  for (let count = 1; count <= EDITS; count++) {
    const at = await tabs[0].evaluate((count) => window.edit(count), count);
    const seen = await tabs[1].waitForFunction((count) => window.seen.get(count), count, { polling: 5, timeout: 10_000 });
    // The first ones find the way: the document is announced and loaded.
    if (count > EDITS / 10) times.push((await seen.jsonValue()) - at);
  }
  await context.close();
  report(`an edit in the other tab: median ${round(median(times))} ms, p99 ${round(quantile(times, 0.99))} ms of ${times.length}`);
  return { edit_propagation_p99_ms: quantile(times, 0.99) };
}

function post(agent, url, body) {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": body.length };
    const outgoing = request(url, { method: "POST", agent, headers }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => {
        const text = Buffer.concat(parts).toString();
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`HTTP ${response.statusCode}: ${text.slice(0, 300)}`));
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** Magika on a file of 16 KiB, asked over a few kept connections; requests and answers share the machine. */
export async function requestsPerSecond({ report }, origin) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const source = "fn main() {\n    println!(\"{}\", 1 + 1);\n}\n".repeat(400).slice(0, 16 << 10);
  const body = JSON.stringify({ model: "magika", input: { bytesBase64: Buffer.from(source).toString("base64") } });
  const first = JSON.stringify(JSON.parse(await post(agent, `${origin}/v1/run`, body)));
  if (!first.includes("rust")) throw new Error(`Magika does not see Rust: ${first.slice(0, 500)}`);
  const times = [];
  let answers = 0;
  const started = performance.now();
  const client = async () => {
    while (performance.now() - started < LOAD_SECONDS * 1000) {
      const at = performance.now();
      await post(agent, `${origin}/v1/run`, body);
      times.push(performance.now() - at);
      answers += 1;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, client));
  const rate = answers / ((performance.now() - started) / 1000);
  agent.destroy();
  report(`a node answers ${round(rate)} Magika requests per second over ${CONNECTIONS} connections, p50 ${round(median(times))} ms, p99 ${round(quantile(times, 0.99))} ms`);
  return { http_rps: rate };
}
