// What one thread does at most in WebAssembly: a small module written byte by byte, so that no compiler decides what is measured.

/** Chains of multiply-adds that run at the same time: enough to hide the latency, few enough for the registers. */
const CHAINS = 12;
const LANES = 4;
const SAMPLES = 25;
const PAGES = 4096;
/** Bytes that one turn of the reading loop takes in. */
const STRIDE = 64;

const leb = (value) => {
  const bytes = [];
  do {
    const low = value & 127;
    value >>>= 7;
    bytes.push(value ? low | 128 : low);
  } while (value);
  return bytes;
};
/** Signed, of what is not negative. */
const signed = (value) => {
  const bytes = leb(value);
  if (bytes.at(-1) & 64) bytes.splice(-1, 1, bytes.at(-1) | 128, 0);
  return bytes;
};
const vector = (items) => [...leb(items.length), ...items.flat()];
const section = (id, content) => [id, ...leb(content.length), ...content];
const simd = (opcode, ...rest) => [0xfd, ...leb(opcode), ...rest];
const [I32, V128] = [0x7f, 0x7b];
const get = (local) => [0x20, ...leb(local)];
const set = (local) => [0x21, ...leb(local)];
const constant = (value) => simd(12, ...new Uint8Array(new Float32Array(LANES).fill(value).buffer));
const MUL = simd(0xe6);
const ADD = simd(0xe4);
const INTEGER_ADD = simd(0xae);
const RELAXED_MADD = simd(0x105);

/**
 * A function of one i32, the number of turns, that repeats `turn` and gives lane 0 of the sum of its first vectors: what nobody asks
 * for is not computed.
 */
function loop(vectors, results, before, turn) {
  const locals = vector([[...leb(vectors), V128], [1, I32]]);
  const counter = vectors + 1;
  const code = [
    ...locals,
    ...before,
    ...[0x03, 0x40], // loop
    ...turn(counter),
    ...[...get(counter), 0x41, 1, 0x6a, 0x22, ...leb(counter), ...get(0), 0x49], // counter += 1; counter < turns
    ...[0x0d, 0, 0x0b], // again
    ...get(1),
    ...Array.from({ length: results - 1 }, (_, index) => [...get(index + 2), ...ADD]).flat(),
    ...simd(0x1f, 0), // lane 0
    0x0b,
  ];
  return [...leb(code.length), ...code];
}

const chains = (step) =>
  loop(
    CHAINS + 2,
    CHAINS,
    [
      ...Array.from({ length: CHAINS }, (_, index) => [...constant(index), ...set(index + 1)]).flat(),
      ...[...constant(0.999), ...set(CHAINS + 1), ...constant(1e-3), ...set(CHAINS + 2)],
    ],
    () => Array.from({ length: CHAINS }, (_, index) => [...get(index + 1), ...get(CHAINS + 1), ...step, ...set(index + 1)]).flat(),
  );

const reading = loop(4, 4, [], (counter) =>
  [0, 1, 2, 3].flatMap((index) => [
    ...get(index + 1),
    ...[...get(counter), 0x41, ...signed(STRIDE), 0x6c], // counter * STRIDE
    ...simd(0, 4, ...leb(16 * index)),
    ...INTEGER_ADD,
    ...set(index + 1),
  ]),
);

/** A module that exports the function `a` and its memory `m`. */
function build(body) {
  const type = [0x60, 1, I32, 1, 0x7d];
  return new Uint8Array([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([type])),
    ...section(3, vector([[0]])),
    ...section(5, vector([[0, ...leb(PAGES)]])),
    ...section(7, vector([[1, 0x61, 0, 0], [1, 0x6d, 2, 0]])),
    ...section(10, vector([body])),
  ]);
}

/** Of `work` things per call, 10⁹ a second at best. */
function best(work, call) {
  let fastest = Infinity;
  for (let sample = 0; sample < SAMPLES; sample++) {
    const start = performance.now();
    call();
    fastest = Math.min(fastest, performance.now() - start);
  }
  return work / fastest / 1e6;
}

async function multiplyAdds(step) {
  const turns = 400_000;
  const { instance } = await WebAssembly.instantiate(build(chains(step)));
  return best(turns * CHAINS * LANES, () => instance.exports.a(turns));
}

/** `{ exact_gmacs, fast_gmacs, read_gbs }` as `bench-peak` gives them natively; no `fast_gmacs` without relaxed SIMD. */
export async function peak() {
  const exact_gmacs = await multiplyAdds([...MUL, ...get(CHAINS + 2), ...ADD]);
  const fused = [...get(CHAINS + 2), ...RELAXED_MADD];
  const fast_gmacs = WebAssembly.validate(build(chains(fused))) ? await multiplyAdds(fused) : undefined;
  const { instance } = await WebAssembly.instantiate(build(reading));
  const bytes = PAGES << 16;
  // Memory that was never written is one page of zeros, over and over.
  new Uint8Array(instance.exports.m.buffer).fill(1);
  return { exact_gmacs, fast_gmacs, read_gbs: best(bytes, () => instance.exports.a(bytes / STRIDE)) };
}
