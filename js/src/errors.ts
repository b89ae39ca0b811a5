/** The stable names of the errors that this package throws. */
export type ErrorName =
  | "AbortError"
  | "Closed"
  | "DeadlineExceeded"
  | "Diverged"
  | "InvalidInput"
  | "ModelInvalid"
  | "ModelNotFound"
  | "NetworkError"
  | "NoCandidate"
  | "PluginFailed"
  | "QuotaExceeded"
  | "RoomDenied"
  | "RunFailed"
  | "StorageError"
  | "UnsupportedEnvironment"
  | "UnexpectedOutput";

const NAMES: ReadonlySet<string> = new Set<ErrorName>([
  "AbortError",
  "Closed",
  "DeadlineExceeded",
  "Diverged",
  "InvalidInput",
  "ModelInvalid",
  "ModelNotFound",
  "NetworkError",
  "NoCandidate",
  "PluginFailed",
  "QuotaExceeded",
  "RoomDenied",
  "RunFailed",
  "StorageError",
  "UnsupportedEnvironment",
  "UnexpectedOutput",
]);

/** Every error of this package: an `Error` whose `name` is stable and whose `message` says what to do. */
export class NeuromeshError extends Error {
  override readonly name: ErrorName;

  constructor(name: ErrorName, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = name;
  }
}

/** The error of a call whose argument breaks a rule; nothing was done. */
export function invalid(message: string, cause?: unknown): NeuromeshError {
  return new NeuromeshError("InvalidInput", message, cause === undefined ? undefined : { cause });
}

/** Gives whatever was thrown a stable name. */
export function toError(thrown: unknown, fallback: ErrorName = "RunFailed"): NeuromeshError {
  if (thrown instanceof NeuromeshError) return thrown;
  const { name, message } = describe(thrown);
  const known = name === "QuotaExceededError" ? "QuotaExceeded" : NAMES.has(name) ? (name as ErrorName) : fallback;
  return new NeuromeshError(known, message, { cause: thrown });
}

/** Name and message of whatever was thrown: what crosses from the Worker, which keeps neither class nor name. */
export function describe(thrown: unknown): { name: string; message: string } {
  if (typeof thrown === "object" && thrown !== null && "message" in thrown) {
    const { name, message } = thrown as { name?: unknown; message: unknown };
    return { name: typeof name === "string" ? name : "Error", message: String(message) };
  }
  return { name: "Error", message: String(thrown) };
}

/** What a call rejects with when its signal is aborted. */
export function aborted(signal: AbortSignal): NeuromeshError {
  return new NeuromeshError("AbortError", "the request was aborted", { cause: signal.reason });
}
