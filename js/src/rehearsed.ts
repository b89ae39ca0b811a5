import { builds, type Variant } from "./wasm/urls.js";

const MEMORY = "neuromesh.rehearsed";

/** Whether this browser keeps compiled code that only a rehearsal makes it keep, and was there none with this build. */
export function wantsRehearsal(variant: Variant): boolean {
  if (!navigator.userAgent.includes("Chrome/")) return false;
  try {
    return localStorage.getItem(MEMORY) !== occasion(variant);
  } catch {
    // A page that remembers nothing keeps no code either.
    return false;
  }
}

/** Has the rehearsal unless another tab of this site is at it; whether it was had. */
export async function alone(rehearsal: () => Promise<unknown>): Promise<boolean> {
  const begin = async (lock?: Lock | null) => {
    if (lock === null) return false;
    await rehearsal();
    return true;
  };
  return "locks" in navigator ? navigator.locks.request(MEMORY, { ifAvailable: true }, begin) : begin();
}

/** There was one. */
export function noteRehearsal(variant: Variant): void {
  try {
    localStorage.setItem(MEMORY, occasion(variant));
  } catch {
    // Then the next visit has another.
  }
}

/** Another build has other code, and another browser does not read what this one has kept. */
function occasion(variant: Variant): string {
  return `${variant} ${builds[variant]} ${navigator.userAgent}`;
}
