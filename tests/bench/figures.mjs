// What both benches do with their measurements: choose by name, go on after a failure, merge into one file.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** In place of a figure that this build or this machine does not have. */
export class Absent {
  constructor(reason) {
    this.reason = reason;
  }
}

/**
 * `measurements` are `[keys, measure]`: the figures that go by a name, and what gives them (and others) as `{ key: number }`. With
 * `wanted` keys only theirs are measured and merged into what `path` holds; else it begins anew. Gives the exit code.
 */
export async function record(measurements, path, wanted) {
  const known = measurements.flatMap(([keys]) => keys);
  const unknown = wanted.filter((key) => !known.includes(key));
  if (unknown.length > 0) {
    console.error(`bench: unknown figure ${unknown.join(", ")}; known are ${known.join(", ")}`);
    return 2;
  }
  mkdirSync(dirname(path), { recursive: true });
  const figures = wanted.length > 0 && existsSync(path) ? JSON.parse(readFileSync(path)) : {};
  let failed = 0;
  const lack = (key, why) => {
    delete figures[key];
    console.error(`  ${key}: not measured: ${why}`);
  };
  for (const [keys, measure] of measurements) {
    if (wanted.length > 0 && !keys.some((key) => wanted.includes(key))) continue;
    try {
      const found = await measure();
      for (const [key, value] of Object.entries(found)) {
        if (value instanceof Absent) lack(key, value.reason);
        else if (Number.isFinite(value)) figures[key] = Number(value.toPrecision(4));
        else throw new Error(`${key} is ${value}`);
      }
    } catch (error) {
      failed += 1;
      keys.forEach((key) => lack(key, error.stack ?? error));
    }
    writeFileSync(path, `${JSON.stringify(figures, null, 2)}\n`);
  }
  console.log(`\n${path}`);
  console.log(Object.keys(figures).length > 0 ? readFileSync(path, "utf8") : "no figures");
  return failed === 0 ? 0 : 1;
}
