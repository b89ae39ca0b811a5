// Sentence embeddings, kept by text: a note is embedded once, however often the page is opened.
import type { Answer } from "neuromesh";
import { ask } from "./mesh";

export const MODEL = "all-minilm-l6-v2";
/** The most texts kept in memory. */
const MAX_KEPT = 2_000;
const DATABASE = "neuromesh-demo";
const STORE = "embeddings";

const kept = new Map<string, Float32Array>();
let database: Promise<IDBDatabase | undefined> | undefined;

function open(): Promise<IDBDatabase | undefined> {
  return (database ??= new Promise((resolve) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => {
      resolve(request.result);
    };
    // The cache is a convenience: without it everything is computed anew.
    request.onerror = () => {
      resolve(undefined);
    };
  }));
}

async function load(text: string): Promise<Float32Array | undefined> {
  const db = await open();
  if (db === undefined) return undefined;
  return new Promise((resolve) => {
    const request = db.transaction(STORE).objectStore(STORE).get(text);
    request.onsuccess = () => {
      resolve(request.result instanceof Float32Array ? request.result : undefined);
    };
    request.onerror = () => {
      resolve(undefined);
    };
  });
}

async function save(text: string, vector: Float32Array): Promise<void> {
  const db = await open();
  db?.transaction(STORE, "readwrite").objectStore(STORE).put(vector, text);
}

function keep(text: string, vector: Float32Array): void {
  const oldest = kept.size >= MAX_KEPT ? kept.keys().next().value : undefined;
  if (oldest !== undefined) kept.delete(oldest);
  kept.set(text, vector);
}

function vectorOf(answer: Answer): Float32Array {
  const { data } = answer.tensor("embedding");
  if (!(data instanceof Float32Array)) throw new Error("the model's embedding is not of type f32");
  return data;
}

/** The embedding of a note, from the cache or from the mesh. */
export async function embedNote(text: string, signal?: AbortSignal): Promise<Float32Array> {
  const known = kept.get(text) ?? (await load(text));
  if (known !== undefined) {
    keep(text, known);
    return known;
  }
  const vector = vectorOf(await ask(`Read the note “${excerpt(text)}”`, MODEL, text, signal));
  keep(text, vector);
  await save(text, vector);
  return vector;
}

/** The embedding of a question, always asked for, with the account of where it ran. */
export async function embedQuery(text: string, signal: AbortSignal): Promise<{ vector: Float32Array; answer: Answer }> {
  const answer = await ask(`Search for “${excerpt(text)}”`, MODEL, text, signal);
  return { vector: vectorOf(answer), answer };
}

/** How alike two texts are; the embeddings have length 1. */
export function similarity(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

export function excerpt(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length > 42 ? `${line.slice(0, 40)}…` : line;
}
