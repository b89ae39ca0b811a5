/**
 * How often the engine warms up in one rehearsal. A browser has then optimized more than a megabyte of its code: V8 puts what it has
 * optimized into its cache at once from 1,000,000 bytes on (`--wasm-caching-hard-threshold`); less than that waits for minutes.
 */
const TIMES = 1_000;
/** How long a stretch of it may keep others waiting, in milliseconds. */
const STRETCH_MS = 8;

/**
 * Runs the engine's own small model again and again, so that the browser optimizes the engine's code and keeps it: the next visit
 * begins with that. Takes seconds; before each stretch `idle` lets others go first.
 */
export async function rehearse(engine: { warmUp(): void }, idle: () => Promise<void>): Promise<void> {
  for (let done = 0; done < TIMES; ) {
    await idle();
    const begin = performance.now();
    do {
      engine.warmUp();
      done += 1;
    } while (done < TIMES && performance.now() - begin < STRETCH_MS);
  }
}
