import { invalid } from "./errors.js";
import type { Json } from "./types.js";

/** The deepest nesting of a document. */
const MAX_DEPTH = 64;

/** A copy of `value` that holds nothing but JSON; `undefined` fields are left out. Throws for what a document cannot hold. */
export function toJson(value: unknown, path = "document", depth = 0): Json {
  if (depth > MAX_DEPTH) throw invalid(`${path}: nested deeper than ${MAX_DEPTH} levels, or in a circle`);
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (!Number.isFinite(value)) throw invalid(`${path}: ${value} is no JSON number`);
      return value;
    case "object":
      break;
    default:
      throw invalid(`${path}: a document cannot hold a ${typeof value}`);
  }
  if (value === null) return null;
  if (Array.isArray(value)) return value.map((item, index) => toJson(item, `${path}[${index}]`, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    const kind = (value.constructor as { name?: string } | undefined)?.name ?? "object";
    throw invalid(`${path}: a document holds plain objects and arrays, not a ${kind}`);
  }
  const copy: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) copy[key] = toJson(item, `${path}.${key}`, depth + 1);
  }
  return copy;
}

/** Whether two JSON values are equal, in whatever order their fields are. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [Object.entries(a), Object.entries(b)];
  const other = b as Record<string, unknown>;
  return left.length === right.length && left.every(([key, value]) => Object.hasOwn(other, key) && sameJson(value, other[key]));
}
