// Words and numbers for people.
import type { Attempt, Tier } from "neuromesh";

export const TIER_NAMES: Record<Tier, string> = {
  device: "This device",
  peer: "Another tab",
  edge: "Edge server",
  cloud: "Cloud",
};

export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  const units = ["kB", "MB", "GB"];
  let value = count;
  let unit = "B";
  for (const next of units) {
    if (value < 1000) break;
    value /= 1000;
    unit = next;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

export function millis(ms: number): string {
  if (ms < 10) return `${ms.toFixed(ms < 1 ? 1 : 0)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** The end of a peer id: enough for a person to tell peers apart. */
export function short(id: string): string {
  return id.slice(-6);
}

/** What an unanswered try was, in words. */
export function attemptText({ tier, peer, outcome }: Attempt): string {
  const where = tier === "device" ? "this device" : tier === "peer" ? `tab ${short(peer)}` : `server ${short(peer)}`;
  if (outcome === "lost") return `${where} was lost`;
  if (outcome === "late") return `${where} was late`;
  return `${where} ${outcome}`;
}

/** What to tell a person about an error. */
export function errorText(error: unknown): string {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  switch (name) {
    case "AbortError":
      return "Stopped.";
    case "ModelNotFound":
      return "No peer in reach has this model, and it is not on this device yet. Connect to a server once, then it works offline too.";
    case "NoCandidate":
      return `Nobody may or can run this now: ${message}.`;
    case "DeadlineExceeded":
      return "No answer came in time. Try again.";
    case "QuotaExceeded":
      return "The browser has no storage left for the model. Free some space, or switch off “This device only” so that a server answers.";
    case "NetworkError":
      return `The network failed: ${message}.`;
    default:
      return message;
  }
}
