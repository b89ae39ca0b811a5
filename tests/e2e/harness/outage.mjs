// What happens to a machine: a tab is frozen, its process stopped, the network is gone.
import { execFileSync } from "node:child_process";

/** What the system does to a tab in the background, until the returned function is called. */
export async function freeze(page) {
  const client = await page.context().newCDPSession(page);
  await client.send("Page.enable");
  await client.send("Page.setWebLifecycleState", { state: "frozen" });
  return async () => {
    await client.send("Page.setWebLifecycleState", { state: "active" });
    await client.detach();
  };
}

/** Stops everything that runs pages in this browser, as a suspended machine does, until the returned function is called. */
export async function suspend(browser) {
  const client = await browser.newBrowserCDPSession();
  const { processInfo } = await client.send("SystemInfo.getProcessInfo");
  await client.detach();
  const pages = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  const all = (signal) => pages.forEach((id) => process.kill(id, signal));
  all("SIGSTOP");
  return () => all("SIGCONT");
}

const DEVICE = "v0";
const ADDRESS = "10.99.0.1/24";

/** Whether the network is one of the tests' own (`.ci/isolated`), which alone may be taken away. */
export function ownNetwork() {
  try {
    return execFileSync("ip", ["-4", "-o", "addr", "show", "dev", DEVICE], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).includes(ADDRESS);
  } catch {
    return false;
  }
}

/** Pulls the cable, or plugs it in again. */
export function cable(plugged) {
  const ip = (...args) => execFileSync("ip", args);
  ip("link", "set", DEVICE, plugged ? "up" : "down");
  if (plugged) ip("route", "replace", "default", "dev", DEVICE);
}
