// What this browser's WebAssembly can do.

/** A module with one function, which uses the fused multiply-add of relaxed SIMD. */
const RELAXED_MADD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, // magic, version
  1, 5, 1, 96, 0, 1, 123, // () -> v128
  3, 2, 1, 0, // one function of that type
  10, 19, 1, 17, 0, // its body
  65, 1, 253, 15, 65, 1, 253, 15, 65, 1, 253, 15, // three times i8x16.splat(1)
  253, 133, 2, 11, // f32x4.relaxed_madd, end
]);

/** Whether relaxed SIMD can be compiled. */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(RELAXED_MADD);
}

/** Why memory cannot be shared between Workers here; undefined where it can. */
export function whyNotShared(): string | undefined {
  if (!self.crossOriginIsolated) {
    return "the page is not cross-origin isolated; it is with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp";
  }
  if (typeof SharedArrayBuffer === "undefined") return "this browser has no SharedArrayBuffer";
  return undefined;
}
