// Values as they cross between the page, the WebAssembly module and the Worker.
import type { DType, Receipt, Route } from "./types.js";

export interface WireTensor {
  name: string;
  dtype: DType;
  shape: number[];
  /** Little-endian. */
  data: Uint8Array;
}

export interface WireBytes {
  len: number;
  parts: { offset: number; data: Uint8Array }[];
}

export type WireInput = { text: string } | { json: string } | { bytes: WireBytes } | { tensors: WireTensor[] };
export type WireOutput = WireInput;

export interface WireAnswer {
  output: WireOutput;
  receipt: Receipt;
  route: Route;
}
