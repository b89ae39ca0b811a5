// The engine and the Workers that share its work.
import { compile } from "../compile.js";
import { describe } from "../errors.js";
import type { Plan } from "../plan.js";
import type { EngineInfo } from "../types.js";
import type { WasmEngine } from "../wasm/engine.js";
import { modules } from "../wasm/modules.js";
import { urls } from "../wasm/urls.js";
import type { FromHelper, HelpWanted } from "./messages.js";

/** Stack of a helper, in bytes: kernels are shallow. */
const STACK = 1 << 20;

/** What is known of it without the GPU. */
export type CpuInfo = Omit<EngineInfo, "gpu">;

/** The engine, and what is known of it once all helpers have come or failed. */
export interface Started {
  engine: WasmEngine;
  info: Promise<CpuInfo>;
}

/** Starts the engine as planned, or on one thread where that fails. `module` is what the plan's build is compiled to. */
export async function startEngine(plan: Plan, module: Promise<WebAssembly.Module>, alarm: string): Promise<Started> {
  const started = plan.threads > 1 ? await several(plan, module, alarm) : single(await module, plan.reason);
  started.engine.warmUp();
  return started;
}

async function several({ variant, threads, reason }: Plan, compiling: Promise<WebAssembly.Module>, alarm: string): Promise<Started> {
  // Workers start while the module compiles.
  const helpers = Array.from({ length: threads - 1 }, (_, index) => new Helper(index + 1));
  try {
    const bindings = modules[variant];
    if (bindings === undefined) throw new Error(`the package has no ${variant}`);
    const module = await compiling;
    bindings.initSync({ module });
    const engine = new bindings.WasmEngine(threads);
    const work: HelpWanted = { kind: "help", variant, module, memory: bindings.sharedMemory(), stack: STACK, alarm };
    const arrived = helpers.map((helper) => helper.begin(work));
    return { engine, info: report(arrived, reason, engine.canBeFast()) };
  } catch (error) {
    for (const helper of helpers) helper.end();
    const why = `the engine for several threads did not start: ${describe(error).message}`;
    return single(await compile(urls.engine), why);
  }
}

function single(module: WebAssembly.Module, reason: string): Started {
  modules.engine.initSync({ module });
  const engine = new modules.engine.WasmEngine(1);
  return { engine, info: Promise.resolve({ threads: 1, reason, fast: engine.canBeFast() }) };
}

async function report(helpers: Promise<string | undefined>[], reason: string, fast: boolean): Promise<CpuInfo> {
  const failures = (await Promise.all(helpers)).filter((failure) => failure !== undefined);
  const threads = 1 + helpers.length - failures.length;
  if (failures[0] !== undefined) reason = `${failures.length} of ${helpers.length} helpers did not start: ${failures[0]}`;
  return { threads, reason, fast };
}

/** A Worker that shares the engine's work. */
class Helper {
  readonly #worker: Worker | undefined;
  readonly #outcome: Promise<string | undefined>;

  constructor(number: number) {
    try {
      this.#worker = new Worker(new URL("./thread.js", import.meta.url), { type: "module", name: `neuromesh-${number}` });
    } catch (error) {
      this.#outcome = Promise.resolve(describe(error).message);
      return;
    }
    const worker = this.#worker;
    this.#outcome = new Promise((resolve) => {
      const failed = (why: string) => {
        worker.terminate();
        resolve(why);
      };
      worker.onmessage = ({ data }: MessageEvent<FromHelper>) => {
        if (data.kind === "helping") resolve(undefined);
        else failed(data.message);
      };
      worker.onerror = (event) => {
        event.preventDefault();
        failed(event.message || "the helper's script could not be loaded");
      };
    });
  }

  /** Resolves with undefined once it helps, or with the reason why it does not. */
  begin(work: HelpWanted): Promise<string | undefined> {
    try {
      this.#worker?.postMessage(work);
      return this.#outcome;
    } catch (error) {
      this.end();
      return Promise.resolve(describe(error).message);
    }
  }

  end(): void {
    this.#worker?.terminate();
  }
}
