// Pictures and sounds as the models take them: decoding is the browser's, everything after it the engine's.
import { invalid } from "./errors.js";
import type { AudioSource, ImageSource } from "./types.js";
import type { WireInput, WireTensor } from "./wire.js";

/** The largest file that is decoded, in bytes. */
export const MAX_IMAGE_FILE = 64 * 1024 * 1024;
/** The most pixels of a picture that is decoded. */
export const MAX_DECODED_PIXELS = 64 * 1024 * 1024;

/** A picture's pixels: 3 bytes each, row by row. */
export interface Pixels {
  width: number;
  height: number;
  rgb: Uint8Array<ArrayBuffer>;
}

/** The tensor of a picture, made smaller by a whole factor where it would not fit `limit` bytes. */
export async function imageInput(source: ImageSource, limit: number): Promise<WireInput> {
  const { data, width, height } = await pixelsOf(source);
  const { width: w, height: h, rgb } = reduce(data, width, height, factorFor(width, height, limit));
  return { tensors: [{ name: "image", dtype: "u8", shape: [h, w, 3], data: rgb }] };
}

/** The input of a sound: a WAV file as it is, or samples with their rate. */
export async function audioInput(source: AudioSource, limit: number): Promise<WireInput> {
  if (source instanceof Blob || source instanceof Uint8Array) {
    const len = source instanceof Blob ? source.size : source.byteLength;
    if (len > limit) throw invalid(`a sound file of ${len} bytes is over the limit of ${limit}`);
    const data = source instanceof Blob ? new Uint8Array(await source.arrayBuffer()) : source.slice();
    return { bytes: { len, parts: len === 0 ? [] : [{ offset: 0, data }] } };
  }
  const { samples, rate } = samplesOf(source);
  if (!Number.isInteger(rate) || rate <= 0) throw invalid("the rate of a sound must be a whole number of samples a second");
  if (samples.byteLength > limit) throw invalid(`a sound of ${samples.byteLength} bytes is over the limit of ${limit}`);
  const tensors: WireTensor[] = [
    { name: "samples", dtype: "f32", shape: [samples.length], data: bytesOf(samples) },
    { name: "rate", dtype: "i32", shape: [], data: bytesOf(Int32Array.of(rate)) },
  ];
  return { tensors };
}

/** The smallest factor by which a picture has to shrink to have at most `limit` bytes. */
export function factorFor(width: number, height: number, limit: number): number {
  for (let factor = 1; ; factor += 1) {
    if (Math.ceil(width / factor) * Math.ceil(height / factor) * 3 <= limit) return factor;
  }
}

/**
 * Drops alpha and takes the mean of each square of `factor` pixels, halves rounded up; the last squares may be smaller. The
 * same numbers as the engine's `vision::reduce`.
 */
export function reduce(rgba: Uint8ClampedArray | Uint8Array, width: number, height: number, factor: number): Pixels {
  const w = Math.ceil(width / factor);
  const h = Math.ceil(height / factor);
  const rgb = new Uint8Array(w * h * 3);
  for (let y = 0; y < h; y += 1) {
    for (let x = 0; x < w; x += 1) {
      const bottom = Math.min((y + 1) * factor, height);
      const right = Math.min((x + 1) * factor, width);
      let [red, green, blue] = [0, 0, 0];
      for (let row = y * factor; row < bottom; row += 1) {
        for (let at = (row * width + x * factor) * 4; at < (row * width + right) * 4; at += 4) {
          red += rgba[at] ?? 0;
          green += rgba[at + 1] ?? 0;
          blue += rgba[at + 2] ?? 0;
        }
      }
      const count = (bottom - y * factor) * (right - x * factor);
      const to = (y * w + x) * 3;
      rgb[to] = mean(red, count);
      rgb[to + 1] = mean(green, count);
      rgb[to + 2] = mean(blue, count);
    }
  }
  return { width: w, height: h, rgb };
}

function mean(sum: number, count: number): number {
  return Math.floor((2 * sum + count) / (2 * count));
}

async function pixelsOf(source: ImageSource): Promise<Extract<ImageSource, { data: unknown }>> {
  if (isImageData(source)) return check(source);
  if (typeof createImageBitmap !== "function" || typeof OffscreenCanvas !== "function") {
    throw invalid("pictures cannot be decoded here; give an ImageData, or {data, width, height} with RGBA");
  }
  if (source instanceof Blob && source.size > MAX_IMAGE_FILE) {
    throw invalid(`a picture file of ${source.size} bytes is over the limit of ${MAX_IMAGE_FILE}`);
  }
  let bitmap: ImageBitmap;
  try {
    // No colour management: the plain numbers of the file are what models were trained on.
    bitmap = await createImageBitmap(source, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch (error) {
    throw invalid("the browser cannot decode this picture", error);
  }
  try {
    const { width, height } = check(bitmap);
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    if (context === null) throw invalid("the browser gives no canvas to decode a picture with");
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, width, height);
  } finally {
    bitmap.close();
  }
}

function isImageData(source: ImageSource): source is Extract<ImageSource, { data: unknown }> {
  return "data" in source && "width" in source && "height" in source;
}

function check<T extends { width: number; height: number; data?: ArrayLike<number> }>(image: T): T {
  const { width, height, data } = image;
  if (![width, height].every((side) => Number.isInteger(side) && side > 0) || width * height > MAX_DECODED_PIXELS) {
    throw invalid(`a picture of ${width} x ${height} pixels; 1 to ${MAX_DECODED_PIXELS} are taken`);
  }
  if (data !== undefined && data.length !== width * height * 4) {
    throw invalid(`a picture of ${width} x ${height} pixels needs ${width * height * 4} bytes of RGBA, got ${data.length}`);
  }
  return image;
}

function samplesOf(source: Exclude<AudioSource, Blob | Uint8Array>): { samples: Float32Array; rate: number } {
  if ("samples" in source) {
    if (!(source.samples instanceof Float32Array)) throw invalid("the samples of a sound must be a Float32Array");
    return source;
  }
  // An AudioBuffer: the mean of its channels, as WAV files are mixed.
  const samples = new Float32Array(source.length);
  for (let channel = 0; channel < source.numberOfChannels; channel += 1) {
    source.getChannelData(channel).forEach((sample, at) => (samples[at] = (samples[at] ?? 0) + sample));
  }
  if (source.numberOfChannels > 1) samples.forEach((sum, at) => (samples[at] = sum / source.numberOfChannels));
  return { samples, rate: source.sampleRate };
}

function bytesOf(array: Float32Array | Int32Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength).slice();
}
