// The npm package in a page without anything else, made by a bundler with its default settings.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

export async function barePage() {
  const folder = await mkdtemp(join(tmpdir(), "neuromesh-page-"));
  const root = fileURLToPath(new URL("../page", import.meta.url));
  await build({ root, base: "./", configFile: false, logLevel: "error", build: { outDir: folder, emptyOutDir: true } });
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}
