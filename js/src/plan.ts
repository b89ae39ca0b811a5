import { hasRelaxedSimd, whyNotShared } from "./features.js";
import { urls, type Variant } from "./wasm/urls.js";

/** The most threads: the parts of one operator become too small to be worth sharing among more. */
const MAX_THREADS = 8;

/** Which build of the engine this browser gets, for how many threads, and why. */
export interface Plan {
  variant: Variant;
  threads: number;
  reason: string;
}

/** For at most `wanted` threads, or as many as the machine has processors. */
export function planFor(wanted: number | undefined): Plan {
  const one = (reason: string): Plan => ({ variant: "engine", threads: 1, reason });
  if (wanted === 1) return one("one thread was asked for");
  const obstacle = whyNotShared();
  if (obstacle !== undefined) return one(obstacle);
  const variant = hasRelaxedSimd() && urls["engine-fast"] !== undefined ? "engine-fast" : "engine-threads";
  if (urls[variant] === undefined) return one("this build of the package has no engine for several threads");
  const processors = navigator.hardwareConcurrency || 1;
  const threads = Math.min(wanted ?? processors, MAX_THREADS);
  if (threads === 1) return one("this machine has one processor");
  if (wanted !== undefined && wanted <= MAX_THREADS) return { variant, threads, reason: "as many as were asked for" };
  if (threads === processors) return { variant, threads, reason: `as many as the machine's ${processors} processors` };
  return { variant, threads, reason: `the most that are used; the machine has ${processors} processors` };
}
