// What happens to a machine: a tab is frozen, its process stopped, the network is gone.
import { execFileSync, spawn } from "node:child_process";
import { until } from "./browser.mjs";

/** A tab that the system may freeze; those of Playwright's own count as visible and focused, whatever is done to them. */
export class BackgroundTab {
  #send;

  static async open(browser, url) {
    const tab = new BackgroundTab();
    const client = await browser.newBrowserCDPSession();
    const { targetId } = await client.send("Target.createTarget", { url });
    const { sessionId } = await client.send("Target.attachToTarget", { targetId, flatten: false });
    const waiting = new Map();
    client.on("Target.receivedMessageFromTarget", ({ message }) => {
      const { id, result, error } = JSON.parse(message);
      waiting.get(id)?.(error === undefined ? result : Promise.reject(new Error(error.message)));
      waiting.delete(id);
    });
    tab.#send = (method, params = {}) =>
      new Promise((resolve, reject) => {
        const id = (tab.sent = (tab.sent ?? 0) + 1);
        waiting.set(id, resolve);
        client.send("Target.sendMessageToTarget", { sessionId, message: JSON.stringify({ id, method, params }) }).catch(reject);
      });
    return tab;
  }

  /** Calls `body` in the page, with an argument and a result that are JSON. */
  async evaluate(body, argument) {
    const expression = `(${body})(${JSON.stringify(argument ?? null)})`;
    const { result, exceptionDetails } = await this.#send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(`in a background tab: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  }

  async waitForFunction(body, argument) {
    // Until the page is there, so is another one.
    await until(() => this.evaluate(body, argument).catch(() => false), `in a background tab: ${body}`);
  }

  /** As the system does to what is long out of sight, or back. */
  async freeze(frozen) {
    await this.#send("Page.setWebLifecycleState", { state: frozen ? "frozen" : "active" });
  }
}

/** The longest that anything is stopped, should the tests die meanwhile. */
const LONGEST_STOP_S = 300;

/** Stops everything that runs pages in this browser, as a suspended machine does, until the returned function is called. */
export async function suspend(browser) {
  const client = await browser.newBrowserCDPSession();
  const { processInfo } = await client.send("SystemInfo.getProcessInfo");
  await client.detach();
  const pages = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  const all = (signal) => pages.forEach((id) => process.kill(id, signal));
  // A process that is stopped does not notice that its browser has gone.
  const guard = spawn("sh", ["-c", `sleep ${LONGEST_STOP_S}; kill -CONT ${pages.join(" ")}`], { detached: true, stdio: "ignore" });
  guard.unref();
  all("SIGSTOP");
  return () => {
    all("SIGCONT");
    process.kill(-guard.pid, "SIGKILL");
  };
}

const DEVICE = "v0";
const ADDRESS = "10.99.0.1/24";
const ip = (...args) => execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });

/** Whether the network is one of the tests' own (`.ci/isolated`), which alone may be taken away. */
export function ownNetwork() {
  try {
    return ip("-4", "-o", "addr", "show", "dev", DEVICE).includes(ADDRESS);
  } catch {
    return false;
  }
}

/** Takes the machine's address on its network away, as a lost Wi-Fi does, or gives it back. Loopback stays. */
export function network(there) {
  ip("addr", there ? "add" : "del", ADDRESS, "dev", DEVICE);
  ip("link", "set", DEVICE, there ? "up" : "down");
  if (there) ip("route", "replace", "default", "dev", DEVICE);
}
