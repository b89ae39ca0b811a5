import type { Answer } from "./answer.js";
import { toError, type NeuromeshError } from "./errors.js";
import type { Part } from "./types.js";

/**
 * An answer in parts, as they are made: `for await (const part of stream) …`. Joined, the parts are the text and the tokens of
 * the answer; a model whose answer is no generated text has none. Who is slow gets fewer and longer parts. Leaving the loop
 * before its end cancels the run. Each part is given once, also where several loops share the stream.
 */
export class AnswerStream implements AsyncIterable<Part> {
  /** The whole answer, once it is there; nobody has to wait for it. Rejected with what the iteration throws. */
  readonly answer: Promise<Answer>;
  readonly #cancel: () => void;
  #waiting: Part | undefined;
  #wake: (() => void) | undefined;
  #end: { error?: NeuromeshError } | undefined;

  /** @internal */
  constructor(run: (onPart: (part: Part) => void) => Promise<Answer>, cancel: () => void) {
    this.#cancel = cancel;
    this.answer = run((part) => {
      this.#push(part);
    }).catch((error: unknown) => {
      throw toError(error);
    });
    this.answer.then(
      () => {
        this.#finish({});
      },
      (error: unknown) => {
        this.#finish({ error: toError(error) });
      },
    );
  }

  [Symbol.asyncIterator](): AsyncIterator<Part, undefined> {
    return {
      next: () => this.#next(),
      return: () => {
        if (this.#end === undefined) this.#cancel();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  async #next(): Promise<IteratorResult<Part, undefined>> {
    for (;;) {
      const part = this.#waiting;
      if (part !== undefined) {
        this.#waiting = undefined;
        return { done: false, value: part };
      }
      if (this.#end !== undefined) {
        const { error } = this.#end;
        // Told once; whoever goes on iterating finds the end.
        this.#end = {};
        if (error !== undefined) throw error;
        return { done: true, value: undefined };
      }
      const before = this.#wake;
      await new Promise<void>((resolve) => {
        this.#wake = () => {
          before?.();
          resolve();
        };
      });
    }
  }

  #push({ text, tokens }: Part): void {
    const waiting = this.#waiting;
    this.#waiting = waiting === undefined ? { text, tokens } : { text: waiting.text + text, tokens: waiting.tokens.concat(tokens) };
    this.#notify();
  }

  #finish(end: { error?: NeuromeshError }): void {
    this.#end = end;
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
