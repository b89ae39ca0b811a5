// The Worker that the GPU's module lives in: it is started when the first run may go there, and ended when anything fails.
import { compile } from "../compile.js";
import type { WasmFile } from "../wasm/engine.js";
import { gpu as bindings } from "../wasm/gpu-module.js";
import type { WasmGpu } from "../wasm/gpu.js";
import { gpu as url } from "../wasm/urls.js";
import type { WireInput } from "../wire.js";
import { failure, named, transferables, type Call, type FromGpu, type GpuAnswer, type ToGpu } from "./messages.js";

/** How long operators are handed to the GPU before the Worker listens again, in milliseconds. */
const SLICE_MS = 8;

let opened: WasmGpu | undefined;
/** Files of the model that is being loaded. */
let files: { role: string; data: WasmFile }[] = [];
let isCancelled = false;

/** What this Worker needs of WebGPU's interfaces. */
interface Device extends EventTarget {
  readonly lost: Promise<{ reason: string; message: string }>;
}
interface Adapter {
  requestDevice(...args: unknown[]): Promise<Device>;
}
declare const GPUAdapter: { prototype: Adapter };

/** The module keeps its device to itself, and stops without many words when it fails: the browser tells why. */
function watchDevices(): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is called with its adapter
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await request.apply(this, args);
    void device.lost.then(({ message }) => {
      crashed(`the device was lost: ${message || "the browser does not say why"}`);
    });
    device.addEventListener("uncapturederror", (event) => {
      crashed((event as unknown as { error: Error }).error.message);
    });
    return device;
  };
}

function crashed(message: string): void {
  post({ kind: "crashed", message });
}

async function open(): Promise<void> {
  if (bindings === undefined || url === undefined) throw named("DeviceFailed", "this build has no GPU module");
  // Compilers are registered by constructors, which nothing else runs.
  bindings.initSync({ module: await compile(url) }).__wasm_call_ctors();
  watchDevices();
  opened = await bindings.WasmGpu.open();
}

function gpu(): WasmGpu {
  if (opened === undefined) throw named("DeviceFailed", "the GPU is not open");
  return opened;
}

function begin(role: string, size: number, memory: number): void {
  files.push({ role, data: role === "graph" ? gpu().graph(size, memory) : gpu().file(size) });
}

function append(piece: Uint8Array): void {
  files.at(-1)?.data.append(piece);
}

function drop(): void {
  for (const { data } of files) data.free();
  files = [];
}

function load(manifest: string): string {
  const all = files;
  files = [];
  return gpu().load(manifest, all);
}

async function run(digest: string, input: WireInput): Promise<GpuAnswer> {
  isCancelled = false;
  const begin = performance.now();
  const run = gpu().start(digest, input);
  try {
    for (;;) {
      const output = await run.step(SLICE_MS);
      if (output !== undefined) {
        return { output, serviceMs: performance.now() - begin, onGpu: run.onGpu(), onCpu: run.onCpu(), memory: gpu().memory() };
      }
      await breathe();
      if (isCancelled) throw named("AbortError", "the run was cancelled");
    }
  } finally {
    run.free();
  }
}

function perform({ method, args }: Call): unknown {
  switch (method) {
    case "open":
      return open();
    case "begin":
      begin(...(args as [string, number, number]));
      return;
    case "append":
      append(...(args as [Uint8Array]));
      return;
    case "drop":
      drop();
      return;
    case "load":
      return load(...(args as [string]));
    case "unload":
      return gpu().unload(...(args as [string]));
    case "run":
      return run(...(args as [string, WireInput]));
    default:
      throw named("InvalidInput", `the GPU's worker has no method ${method}`);
  }
}

function post(message: FromGpu): void {
  self.postMessage(message, { transfer: message.kind === "reply" && message.ok ? transferables(message.value) : [] });
}

async function answer(call: Call): Promise<void> {
  try {
    post({ kind: "reply", id: call.id, ok: true, value: await perform(call) });
  } catch (error) {
    // A module that trapped is in no known state.
    if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) crashed(`its module stopped: ${error.message}`);
    else post(failure(call.id, error));
  }
}

self.onmessage = ({ data }: MessageEvent<ToGpu>) => {
  if (data.kind === "cancel") isCancelled = true;
  else void answer(data);
};

const channel = new MessageChannel();
let wake: (() => void) | undefined;
channel.port1.onmessage = () => wake?.();

/** Lets waiting messages in. */
function breathe(): Promise<void> {
  return new Promise((resolve) => {
    wake = resolve;
    channel.port2.postMessage(null);
  });
}
