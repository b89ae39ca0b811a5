// From the beginning of a navigation to the first answer, in a browser that was just started and has been there before.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

import { browser, open, scratch } from "./processes.mjs";
import { median } from "./statistics.mjs";

/** The profile's first visits fill its caches: of files, and of compiled code, which V8 keeps where enough of it was optimized. */
const PRIMING = 2;
/** What V8 keeps of a module holds at least this many bytes. */
const KEPT = 1_000_000;
/** How long a visit waits for that, in milliseconds. */
const PATIENCE_MS = 5_000;

/**
 * For each engine the times of `loads` page loads, by turns: `{ answer: [ms...], parts: { mark: ms } }`, medians of when each
 * mark was reached. `works` are what `page/cold-worker.js` takes.
 */
export async function coldStarts(server, works, loads) {
  const profiles = works.map((_, index) => scratch(`cold${index}`));
  const found = works.map(() => []);
  for (let load = -PRIMING; load < loads; load++) {
    for (const [index, work] of works.entries()) {
      const context = await browser(profiles[index]);
      try {
        const page = await open(context, `${server.origin}/cold.html#${encodeURIComponent(JSON.stringify(work))}`);
        const { marks, difference, tolerance } = await page.evaluate(() => window.answer);
        if (!(difference <= tolerance)) throw new Error(`${work.name}: the outputs differ by ${difference}`);
        if (load >= 0) found[index].push(marks);
        else await stay(page, profiles[index]);
      } finally {
        await context.close();
      }
    }
  }
  return found.map((loads) => {
    const marks = Object.keys(loads[0]);
    return { answer: loads.map(({ answer }) => answer), parts: Object.fromEntries(marks.map((key) => [key, median(loads.map((one) => one[key]))])) };
  });
}

/** As a visitor who reads the page for some seconds: the engine rehearses, and the browser keeps what it has compiled. */
async function stay(page, profile) {
  await page.evaluate(() => window.rehearse());
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until && keptCode(profile) < KEPT; ) await page.waitForTimeout(100);
}

/** Bytes of compiled WebAssembly in a profile. */
function keptCode(profile) {
  const folder = join(profile, "Default/Code Cache/wasm");
  const sizes = readdirSync(folder, { withFileTypes: true }).map((entry) => (entry.isFile() ? statSync(join(folder, entry.name)).size : 0));
  return sizes.reduce((sum, size) => sum + size, 0);
}
