import { NeuromeshError } from "./errors.js";

/** Fetches and compiles a WebAssembly module, while it arrives if the server lets us. */
export async function compile(url: URL): Promise<WebAssembly.Module> {
  const response = await fetch(url);
  if (!response.ok) throw new NeuromeshError("NetworkError", `${url}: HTTP ${response.status}`);
  // A server that does not know the type of .wasm files must not stop us.
  if (response.headers.get("content-type")?.startsWith("application/wasm")) return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}
