// From the beginning of a navigation to the first answer, in a browser that was just started and has been there before.
import { browser, open, scratch } from "./processes.mjs";
import { median } from "./statistics.mjs";

/** The profile's first visits fill its caches: of files, and of compiled code, which V8 keeps once it is optimized. */
const PRIMING = 2;

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
        // Code that was optimized in the meantime is stored while the page is there.
        else await page.waitForTimeout(2000);
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
