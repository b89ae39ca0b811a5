// The npm package in a page without anything else, made by a bundler with its default settings.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

/** In a folder of its own; with `beside`, another page of this workspace in a folder of that name in it. */
export async function barePage(beside) {
  const folder = await mkdtemp(join(tmpdir(), "neuromesh-page-"));
  const page = (name, outDir) =>
    build({ root: fileURLToPath(new URL(`../${name}`, import.meta.url)), base: "./", configFile: false, logLevel: "error", build: { outDir, emptyOutDir: true } });
  await page("page", folder);
  if (beside !== undefined) await page(beside, join(folder, beside));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
