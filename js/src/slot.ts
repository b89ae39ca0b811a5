/** The most tabs of one site that have an identity of their own. */
const MAX_SLOTS = 64;
/** How long a reloaded tab waits for the slot that it had; its former page may still be closing. */
const RECLAIM_MS = 1_000;

/** A tab's place among the tabs of its site: each has its own identity, kept over reloads. */
export interface Slot {
  number: number;
  release: () => void;
}

/** Claims a slot for as long as the page lives. */
export async function claimSlot(storeName: string): Promise<Slot> {
  if (!("locks" in navigator)) return { number: Math.floor(Math.random() * MAX_SLOTS), release: () => undefined };
  const memory = `${storeName}.slot`;
  const before = Number(session(() => sessionStorage.getItem(memory)) ?? NaN);
  const candidates = [...Array(MAX_SLOTS).keys()];
  let slot: Slot | undefined;
  if (candidates.includes(before)) slot = await claim(storeName, before, { signal: AbortSignal.timeout(RECLAIM_MS) });
  for (const number of candidates) {
    if (slot !== undefined) break;
    slot = await claim(storeName, number, { ifAvailable: true });
  }
  if (slot === undefined) throw new Error(`${MAX_SLOTS} tabs of this site are open already; close some`);
  const { number } = slot;
  session(() => {
    sessionStorage.setItem(memory, String(number));
    return null;
  });
  return slot;
}

function claim(storeName: string, number: number, how: LockOptions): Promise<Slot | undefined> {
  return new Promise((resolve) => {
    navigator.locks
      .request(`${storeName}:slot:${number}`, how, (lock) => {
        if (lock === null) {
          resolve(undefined);
          return undefined;
        }
        return new Promise<void>((release) => {
          resolve({ number, release });
        });
      })
      .catch(() => {
        resolve(undefined);
      });
  });
}

/** Session storage may be switched off; then a reload gets the next free slot. */
function session(use: () => string | null): string | null {
  try {
    return use();
  } catch {
    return null;
  }
}
