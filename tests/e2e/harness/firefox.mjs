// A real Firefox, driven by WebDriver (W3C) through geckodriver; of a page as much as the suites use of Playwright's.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { PATIENCE, until } from "./browser.mjs";
import { cache } from "./node.mjs";

const PREFERENCES = {
  // Firefox hides a machine's addresses behind names that only multicast DNS resolves, which is not everywhere.
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  // Without leave for camera or microphone a page gets candidates only for the address by which it reached its server: here, loopback.
  "media.peerconnection.ice.loopback": true,
  // What pages say goes to standard output.
  "devtools.console.stdout.content": true,
  "browser.dom.window.dump.enabled": true,
  // It asks nobody outside.
  "network.connectivity-service.enabled": false,
  "network.captive-portal-service.enabled": false,
};
/** How long one call into a page may take. */
const SCRIPT_MS = 120_000;
const MAX_LOG = 20_000;

function firefox() {
  const known = [process.env.FIREFOX, "/usr/bin/firefox-esr", "/usr/bin/firefox"];
  const found = known.find((path) => path && existsSync(path));
  if (found === undefined) throw new Error("no Firefox found: install it (`.ci/setup/setup browsers`) or set FIREFOX to its path");
  return found;
}

/** Where set-up puts it, or from PATH. */
function geckodriver() {
  const own = join(cache, "tools/bin/geckodriver");
  return existsSync(own) ? own : "geckodriver";
}

/** Its `close` ends everything that it began. */
export async function launchFirefox() {
  const driver = spawn(geckodriver(), ["--port", "0", "--websocket-port", "0", "--binary", firefox()], { stdio: ["ignore", "pipe", "pipe"] });
  const exited = once(driver, "exit");
  const said = { log: "" };
  const port = await new Promise((resolve, reject) => {
    driver.on("error", (error) => reject(new Error(`geckodriver does not start (\`.ci/setup/setup browsers\`): ${error.message}`)));
    exited.then(([code]) => reject(new Error(`geckodriver ended with ${code}\n${said.log}`)), () => undefined);
    for (const output of [driver.stdout, driver.stderr]) {
      createInterface({ input: output }).on("line", (line) => {
        said.log = `${said.log}${line}\n`.slice(-MAX_LOG);
        const [, found] = /Listening on [^ ]*:(\d+)/.exec(line) ?? [];
        if (found !== undefined) resolve(found);
      });
    }
  });
  const call = async (method, path, body) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`WebDriver ${path}: ${value.error}: ${value.message}`);
    return value;
  };
  const stop = async () => {
    driver.kill();
    await exited;
  };
  try {
    const options = { args: ["-headless"], prefs: PREFERENCES };
    const timeouts = { script: SCRIPT_MS, pageLoad: PATIENCE };
    const { sessionId } = await call("POST", "/session", {
      capabilities: { alwaysMatch: { browserName: "firefox", timeouts, "moz:firefoxOptions": options } },
    });
    const session = (method, path, body) => call(method, `/session/${sessionId}${path}`, body);
    return {
      page: new FirefoxPage(session, said),
      close: async () => {
        // The session ends with the browser; geckodriver would leave it behind.
        await session("DELETE", "").catch(() => undefined);
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The one page of a Firefox. */
class FirefoxPage {
  #call;
  #said;

  constructor(call, said) {
    this.#call = call;
    this.#said = said;
  }

  /** The end of what the browser and its pages said. */
  get log() {
    return this.#said.log;
  }

  async goto(url) {
    await this.#call("POST", "/url", { url });
  }

  /** Calls `body` in the page, with an argument and a result that are JSON. */
  async evaluate(body, argument) {
    // By the page's own `eval`: what WebDriver's sandbox makes is not of the page's classes.
    const inside = `(async () => {
      try {
        const value = await (${body})(JSON.parse(${JSON.stringify(JSON.stringify(argument ?? null))}));
        return JSON.stringify({ value });
      } catch (error) {
        return JSON.stringify({ thrown: String(error), stack: String(error?.stack) });
      }
    })()`;
    const result = await this.#call("POST", "/execute/sync", { script: `return window.eval(${JSON.stringify(inside)});`, args: [] });
    const { value, thrown, stack } = JSON.parse(result);
    if (thrown !== undefined) throw new Error(`in Firefox: ${thrown}\n${stack}`);
    return value;
  }

  async waitForFunction(body, argument) {
    await until(() => this.evaluate(body, argument), `in Firefox: ${body}`);
  }
}
