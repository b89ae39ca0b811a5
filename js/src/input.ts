import { invalid } from "./errors.js";
import type { DType, Input, RunOptions, TensorData, TensorInput, Tier } from "./types.js";
import type { WireBytes, WireInput, WireTensor } from "./wire.js";

/** The most bytes that one input may carry over the wire; the core has the same bound. */
export const MAX_INPUT_BYTES = 16 * 1024 * 1024;
/** The most tensors in one input. */
export const MAX_TENSORS = 64;
/** The most dimensions of a tensor. */
export const MAX_RANK = 8;
/** What is read of a file while the model's manifest is not known here. */
export const DEFAULT_READS: Reads = { head: 4096, tail: 4096 };

/** How many bytes from the beginning and from the end of a file a model reads. */
export interface Reads {
  head: number;
  tail: number;
}

const SIZES: Record<DType, number> = { f32: 4, f16: 2, i64: 8, i32: 4, i8: 1, u8: 1, bool: 1 };
const TIERS: readonly Tier[] = ["device", "peer", "edge", "cloud"];

/** Whether the model's reads window matters for this input. */
export function readsFile(input: Input): input is Blob | Uint8Array {
  return input instanceof Uint8Array || (typeof Blob !== "undefined" && input instanceof Blob);
}

/** Brings what a caller may pass into the one form that the core takes. */
export async function normalizeInput(input: Input, reads: Reads = DEFAULT_READS): Promise<WireInput> {
  if (typeof input === "string") return normalizeText(input);
  if (readsFile(input)) return { bytes: await readEnds(input, reads) };
  if (typeof input === "object" && input !== null && "tensors" in input) {
    return { tensors: normalizeTensors(input.tensors) };
  }
  throw invalid(`an input is a string, a Blob or File, a Uint8Array or {tensors: […]}; got ${kindOf(input)}`);
}

function normalizeText(text: string): WireInput {
  // Three bytes a UTF-16 unit at most: only texts near the bound are worth encoding to know.
  if (text.length * 3 > MAX_INPUT_BYTES && new TextEncoder().encode(text).length > MAX_INPUT_BYTES) {
    throw invalid(`the text is over the limit of ${MAX_INPUT_BYTES} bytes`);
  }
  return { text };
}

/** The windows of a file of `size` bytes that a model with these `reads` looks at: one when they meet. */
export function windows(size: number, { head, tail }: Reads): { offset: number; length: number }[] {
  if (head + tail >= size) return size === 0 ? [] : [{ offset: 0, length: size }];
  return [
    { offset: 0, length: head },
    { offset: size - tail, length: tail },
  ].filter(({ length }) => length > 0);
}

async function readEnds(source: Blob | Uint8Array, reads: Reads): Promise<WireBytes> {
  const len = source instanceof Uint8Array ? source.byteLength : source.size;
  const cuts = windows(len, reads);
  const total = cuts.reduce((sum, { length }) => sum + length, 0);
  if (total > MAX_INPUT_BYTES) {
    throw invalid(`the model reads ${total} bytes of this input, over the limit of ${MAX_INPUT_BYTES}`);
  }
  const parts = cuts.map(async ({ offset, length }) => {
    // Copies in both cases: the caller's bytes are never transferred away.
    if (source instanceof Uint8Array) return { offset, data: source.slice(offset, offset + length) };
    try {
      return { offset, data: new Uint8Array(await source.slice(offset, offset + length).arrayBuffer()) };
    } catch (error) {
      throw invalid("the file could not be read; it may have changed or been removed since it was chosen", error);
    }
  });
  return { len, parts: await Promise.all(parts) };
}

function normalizeTensors(tensors: unknown): WireTensor[] {
  if (!Array.isArray(tensors) || tensors.length === 0) throw invalid("tensors must be an array with at least one tensor");
  if (tensors.length > MAX_TENSORS) throw invalid(`${tensors.length} tensors, over the limit of ${MAX_TENSORS}`);
  const wire = (tensors as TensorInput[]).map(normalizeTensor);
  const total = wire.reduce((sum, { data }) => sum + data.byteLength, 0);
  if (total > MAX_INPUT_BYTES) throw invalid(`the tensors have ${total} bytes, over the limit of ${MAX_INPUT_BYTES}`);
  return wire;
}

function normalizeTensor(tensor: TensorInput, index: number): WireTensor {
  const name: unknown = (tensor as TensorInput | null)?.name;
  if (typeof name !== "string" || name === "") throw invalid(`tensor ${index} needs a name`);
  const { shape, data } = tensor;
  const dims = Array.isArray(shape) && shape.length <= MAX_RANK && shape.every((dim) => Number.isInteger(dim) && dim >= 0);
  if (!dims) throw invalid(`tensor ${name}: shape must be an array of at most ${MAX_RANK} whole numbers`);
  const natural = dtypeOf(data);
  if (natural === undefined) {
    throw invalid(`tensor ${name}: data must be a typed array (Float32Array, BigInt64Array, …), got ${kindOf(data)}`);
  }
  const dtype = tensor.dtype ?? natural;
  if (!Object.hasOwn(SIZES, dtype)) throw invalid(`tensor ${name}: unknown type ${JSON.stringify(dtype)}`);
  if (SIZES[dtype] !== data.BYTES_PER_ELEMENT) {
    throw invalid(`tensor ${name}: elements of ${data.BYTES_PER_ELEMENT} bytes cannot be ${dtype}`);
  }
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (count !== data.length) {
    throw invalid(`tensor ${name}: shape [${shape.join(", ")}] needs ${count} elements, got ${data.length}`);
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  return { name, dtype, shape: [...shape], data: bytes };
}

function dtypeOf(data: unknown): DType | undefined {
  if (data instanceof Float32Array) return "f32";
  if (data instanceof BigInt64Array) return "i64";
  if (data instanceof Int32Array) return "i32";
  if (data instanceof Uint16Array) return "f16";
  if (data instanceof Int8Array) return "i8";
  if (data instanceof Uint8Array) return "u8";
  return undefined;
}

/** The elements of a tensor as a typed array of its own. */
export function tensorData({ name, dtype, data }: WireTensor): TensorData {
  // A view needs its offset aligned, which bytes cut out of a message are not.
  const { buffer } = data.slice();
  switch (dtype) {
    case "f32":
      return new Float32Array(buffer);
    case "f16":
      return new Uint16Array(buffer);
    case "i64":
      return new BigInt64Array(buffer);
    case "i32":
      return new Int32Array(buffer);
    case "i8":
      return new Int8Array(buffer);
    case "u8":
    case "bool":
      return new Uint8Array(buffer);
    default:
      throw invalid(`tensor ${name}: unknown type ${JSON.stringify(dtype)}`);
  }
}

/** Checks the options and leaves out what is absent: the core refuses fields that it does not know. */
export function normalizeOptions(options: RunOptions): Record<string, string | number> {
  if (typeof options !== "object" || options === null) throw invalid("options must be an object");
  const wire: Record<string, string | number> = {};
  const known = new Set(["tier", "prefer", "deadline", "privacy", "numerics", "signal"]);
  for (const key of Object.keys(options)) {
    if (!known.has(key)) throw invalid(`unknown option ${JSON.stringify(key)}; known are ${[...known].join(", ")}`);
  }
  for (const key of ["tier", "prefer"] as const) {
    const tier = options[key];
    if (tier === undefined) continue;
    if (!TIERS.includes(tier)) throw invalid(`${key} must be one of ${TIERS.join(", ")}; got ${JSON.stringify(tier)}`);
    wire[key] = tier;
  }
  const { deadline, privacy, numerics, signal } = options;
  if (deadline !== undefined) {
    if (!Number.isFinite(deadline) || deadline <= 0) throw invalid("deadline must be a number of milliseconds above 0");
    wire.deadlineMs = Math.ceil(deadline);
  }
  if (privacy !== undefined) {
    if (privacy !== "any" && privacy !== "device") throw invalid('privacy must be "any" or "device"');
    wire.privacy = privacy;
  }
  if (numerics !== undefined) {
    if (numerics !== "exact" && numerics !== "fast") throw invalid('numerics must be "exact" or "fast"');
    wire.numerics = numerics;
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalid("signal must be an AbortSignal");
  return wire;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  return (value.constructor as { name?: string } | undefined)?.name ?? "object";
}
