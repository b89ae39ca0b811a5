// The reference data's format: a length (u32, little-endian), a JSON header, then the tensors that the header names.
const WIDTHS = { f32: 4, i64: 8, i32: 4, f16: 2, u8: 1, i8: 1, bool: 1 };

/** All cases of a fixtures file: `{ name, tolerance, inputs, outputs }`, tensors as `{ name, dtype, shape, data }`. */
export function cases(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = [];
  let at = 0;
  const take = (count) => {
    if (at + count > bytes.byteLength) throw new Error("the fixtures are cut short");
    at += count;
    // A copy, so that it is aligned.
    return bytes.slice(at - count, at);
  };
  const tensor = ({ name, type, shape }) => {
    const count = shape.reduce((product, dim) => product * dim, 1);
    return { name, dtype: type, shape, data: take(count * WIDTHS[type]) };
  };
  while (at < bytes.byteLength) {
    const length = view.getUint32(at, true);
    at += 4;
    const header = JSON.parse(new TextDecoder().decode(take(length)));
    take(header.model);
    const inputs = header.inputs.map(tensor);
    const outputs = header.outputs.map(tensor);
    found.push({ name: header.name, tolerance: header.tolerance, inputs, outputs });
  }
  return found;
}

function half(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : (fraction / 1024) * 2 ** -14);
}

const NUMBERS = {
  f32: (buffer) => new Float32Array(buffer),
  f16: (buffer) => Float32Array.from(new Uint16Array(buffer), half),
};

/**
 * How far the floats of some outputs are from the reference's, as a part of the largest of the reference; infinite where a
 * shape or an integer differs.
 */
export function difference(found, expected) {
  let worst = 0;
  for (const reference of expected) {
    const ours = found.find(({ name }) => name === reference.name);
    if (!ours || ours.dtype !== reference.dtype || `${ours.shape}` !== `${reference.shape}`) return Infinity;
    const numbers = NUMBERS[reference.dtype];
    if (!numbers) {
      if (ours.data.some((byte, index) => byte !== reference.data[index])) return Infinity;
      continue;
    }
    const [a, b] = [ours, reference].map(({ data }) => numbers(data.slice().buffer));
    let [largest, off] = [1e-30, 0];
    for (let index = 0; index < b.length; index++) {
      largest = Math.max(largest, Math.abs(b[index]));
      const distance = Math.abs(a[index] - b[index]);
      if (Number.isNaN(distance) && !(Number.isNaN(a[index]) && Number.isNaN(b[index]))) return Infinity;
      off = Math.max(off, distance || 0);
    }
    worst = Math.max(worst, off / largest);
  }
  return worst;
}
