import { NeuromeshError } from "./errors.js";
import { tensorData } from "./input.js";
import type { Receipt, Route, Tensor } from "./types.js";
import type { WireAnswer, WireOutput } from "./wire.js";

/** What a model said, who said it and why it ran there. */
export class Answer {
  /** The request's number, the `requestId` of its events. */
  readonly requestId: number;
  /** Who ran what, signed. */
  readonly receipt: Receipt;
  /** Why it ran there. */
  readonly route: Route;
  readonly #output: WireOutput;

  /** @internal */
  constructor(requestId: number, { output, receipt, route }: WireAnswer) {
    this.requestId = requestId;
    this.receipt = receipt;
    this.route = route;
    this.#output = output;
  }

  /** What kind of output it is. */
  get kind(): "text" | "json" | "tensors" | "bytes" {
    return kindOf(this.#output);
  }

  /** The output in its natural form: text as a string, JSON parsed, tensors as a list, bytes as a `Uint8Array`. */
  get value(): unknown {
    switch (this.kind) {
      case "text":
        return this.text;
      case "json":
        return this.json;
      case "tensors":
        return this.tensors;
      case "bytes":
        return this.bytes;
    }
  }

  /** The output of a model that answers with text. */
  get text(): string {
    if ("text" in this.#output) return this.#output.text;
    throw this.#unexpected("text");
  }

  /** The parsed output of a model that answers with JSON. */
  get json(): unknown {
    if ("json" in this.#output) return JSON.parse(this.#output.json) as unknown;
    throw this.#unexpected("json");
  }

  /** The output of a model that answers with tensors. */
  get tensors(): Tensor[] {
    if (!("tensors" in this.#output)) throw this.#unexpected("tensors");
    return this.#output.tensors.map((tensor) => ({ ...tensor, data: tensorData(tensor) }));
  }

  /** One tensor of the output: the first, or the one of this name. */
  tensor(name?: string): Tensor {
    const { tensors } = this;
    const found = name === undefined ? tensors[0] : tensors.find((tensor) => tensor.name === name);
    if (found !== undefined) return found;
    const names = tensors.map((tensor) => tensor.name).join(", ");
    throw new NeuromeshError("UnexpectedOutput", `the answer has no tensor ${name ?? ""}; it has ${names || "none"}`);
  }

  /** The output of a model that answers with bytes. */
  get bytes(): Uint8Array {
    if (!("bytes" in this.#output)) throw this.#unexpected("bytes");
    const { len, parts } = this.#output.bytes;
    const bytes = new Uint8Array(len);
    for (const { offset, data } of parts) bytes.set(data, offset);
    return bytes;
  }

  #unexpected(wanted: string): NeuromeshError {
    return new NeuromeshError("UnexpectedOutput", `the model answered with ${this.kind}, not with ${wanted}`);
  }
}

function kindOf(output: WireOutput): "text" | "json" | "tensors" | "bytes" {
  if ("text" in output) return "text";
  if ("json" in output) return "json";
  return "tensors" in output ? "tensors" : "bytes";
}
