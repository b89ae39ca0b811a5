// A real Chromium, and what tests do with the demo page in it.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** How long a condition may take to come true: a cold model on a slow machine counts in tens of seconds. */
export const PATIENCE = 30_000;

export function executable() {
  const known = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const found = known.find((path) => path && existsSync(path));
  if (found === undefined) throw new Error("no Chromium found: install it (`apt-get install chromium`) or set CHROMIUM to its path");
  return found;
}

/** What gives Chromium a GPU for WebGPU that its own software plays; the rest of it goes on without one. */
export const SOFTWARE_GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];

export async function launch(flags = []) {
  return chromium.launch({ executablePath: executable(), args: [...FLAGS, ...flags] });
}

/** A page that keeps what it says on the console and what it throws in `page.complaints`. */
export async function openPage(context, url) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  if (url !== undefined) await page.goto(url);
  return page;
}

/** The demo page, once it is connected to a server. */
export async function openDemo(context, node) {
  const page = await openPage(context, node.url);
  await state(page, "connected");
  return page;
}

export async function state(page, expected) {
  await page.locator(`[data-testid=status][data-state=${expected}]`).waitFor();
}

export async function toggle(page, name, on) {
  await page.getByTestId(`switch-${name}`).setChecked(on);
}

/** Writes a note and waits until it is in the list. */
export async function write(page, text) {
  await page.getByTestId("new-note").fill(text);
  await page.getByTestId("new-note").press("Enter");
  await hasNote(page, text);
}

export async function notes(page) {
  return page.getByTestId("note-text").evaluateAll((fields) => fields.map((field) => field.value));
}

export async function hasNote(page, text, there = true) {
  await page.waitForFunction(
    ([wanted, expected]) =>
      [...document.querySelectorAll("[data-testid=note-text]")].some((field) => field.value === wanted) === expected,
    [text, there],
  );
}

/** The newest result of a file, once it has one. */
export async function recognized(page, name) {
  const result = page.getByTestId("file-result").filter({ hasText: name }).first();
  await result.locator("[data-testid=file-type], [data-testid=file-failure]").waitFor();
  const failure = await result.getByTestId("file-failure").allTextContents();
  assert.deepEqual(failure, [], name);
  return {
    label: await result.getByTestId("file-type").getAttribute("data-label"),
    score: await result.getByTestId("file-score").textContent(),
    tier: await result.getByTestId("file-route-tier").getAttribute("data-tier"),
    time: await result.getByTestId("file-route-time").textContent(),
    reason: await result.getByTestId("file-route-reason").textContent(),
    retried: (await result.getByTestId("file-route-retried").allTextContents()).join(),
  };
}

export async function pick(page, name, buffer) {
  await page.getByTestId("file").setInputFiles({ name, mimeType: "application/octet-stream", buffer });
}

/** Drops a file of this machine onto the page, as a person would. */
export async function dropFile(page, path) {
  const box = await page.getByTestId("drop").boundingBox();
  const client = await page.context().newCDPSession(page);
  const event = {
    x: box.x + box.width / 2,
    y: box.y + box.height / 2,
    data: { items: [], files: [path], dragOperationsMask: 1 },
  };
  for (const type of ["dragEnter", "dragOver", "drop"]) await client.send("Input.dispatchDragEvent", { type, ...event });
  await client.detach();
}

/** Waits until `check` holds; no fixed pauses. */
export async function until(check, what, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    if (await check()) return;
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
