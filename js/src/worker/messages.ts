// What the page's thread and the Worker say to each other.
import { describe } from "../errors.js";
import type { Plan } from "../plan.js";
import type { Part } from "../types.js";
import type { Variant } from "../wasm/urls.js";

/** From the page, first of all: how the Worker is to be set up. */
export interface Setup {
  kind: "setup";
  /** Where model files are kept; without it, none are. */
  storeName?: string;
  memory: number;
  /** The build of the engine, whose module follows. */
  plan: Plan;
  /** The name of the channel that helpers call the page on. */
  alarm: string;
}

/** From the page, once: the engine's module, or why there is none. */
export type Compiled = { kind: "compiled"; module: WebAssembly.Module } | { kind: "not-compiled"; error: { name: string; message: string } };

/** From the page: call `method`; answered by a `Reply` with the same id. */
export interface Call {
  kind: "call";
  id: number;
  method: string;
  args: unknown[];
}

/** From the page: give up this job; its call is then rejected. */
export interface CancelJob {
  kind: "cancel";
  jobId: number;
}

export type ToWorker = Setup | Compiled | Call | CancelJob;

/** From the Worker: how a call ended. */
export type Reply =
  | { kind: "reply"; id: number; ok: true; value: unknown }
  | { kind: "reply"; id: number; ok: false; error: { name: string; message: string } };

/** From the Worker: what is new of the output of a call that goes on. */
export interface Told {
  kind: "part";
  id: number;
  part: Part;
}

/** From the Worker: it is of no more use (a trap in the engine, memory at its end). */
export interface Crashed {
  kind: "crashed";
  message: string;
}

export type FromWorker = Reply | Told | Crashed;

/** From the engine's Worker to a helper: what to help with. */
export interface HelpWanted {
  kind: "help";
  variant: Variant;
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  /** Bytes of the helper's stack. */
  stack: number;
  /** As in `Setup`. */
  alarm: string;
}

/** From a helper: whether it came. */
export type FromHelper = { kind: "helping" } | { kind: "failed"; message: string };

/** From a helper to the page: the engine is of no more use. */
export interface Alarm {
  kind: "alarm";
  message: string;
}

/** The buffers in `value` that can be moved instead of copied: arrays that fill theirs. */
export function transferables(value: unknown): ArrayBuffer[] {
  const found = new Set<ArrayBuffer>();
  const visit = (item: unknown, depth: number): void => {
    if (typeof item !== "object" || item === null || depth > 8) return;
    if (item instanceof Uint8Array) {
      const { buffer } = item;
      if (buffer instanceof ArrayBuffer && item.byteLength === buffer.byteLength) found.add(buffer);
    } else if (Array.isArray(item)) {
      for (const entry of item) visit(entry, depth + 1);
    } else if (Object.getPrototypeOf(item) === Object.prototype) {
      for (const entry of Object.values(item)) visit(entry, depth + 1);
    }
  };
  visit(value, 0);
  return [...found];
}

/** The reply to a call that threw. */
export function failure(id: number, thrown: unknown): Reply {
  return { kind: "reply", id, ok: false, error: describe(thrown) };
}

/** An error with any name, for the way out of the Worker. */
export function named(name: string, message: string): Error {
  const error = new Error(message);
  error.name = name;
  return error;
}
