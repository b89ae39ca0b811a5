// A Worker that shares the engine's work: an instance of its module over its memory. It says that it has come, and then hears
// nothing any more; it ends with the Worker that started it.
import { describe } from "../errors.js";
import { modules } from "../wasm/modules.js";
import type { Alarm, FromHelper, HelpWanted } from "./messages.js";

function post(message: FromHelper): void {
  self.postMessage(message);
}

function begin({ variant, module, memory, stack }: HelpWanted): () => void {
  const bindings = modules[variant];
  if (bindings === undefined) throw new Error(`the package has no ${variant}`);
  bindings.initSync({ module, memory, thread_stack_size: stack });
  return () => bindings.help();
}

self.onmessage = ({ data }: MessageEvent<HelpWanted>) => {
  let help;
  try {
    help = begin(data);
  } catch (error) {
    post({ kind: "failed", message: describe(error).message });
    return;
  }
  post({ kind: "helping" });
  try {
    help();
  } catch (error) {
    // The engine waits for this helper and can hear nothing: the page is told.
    const channel = new BroadcastChannel(data.alarm);
    channel.postMessage({ kind: "alarm", message: describe(error).message } satisfies Alarm);
    channel.close();
  }
};
