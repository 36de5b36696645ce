// The contract's packed byte lists. 64-bit values are BigInt: a Number is exact below 2⁵³ only. Typed arrays read in
// the machine's order, which WebAssembly makes little-endian.

/** What is wrong with a call: `plugin.js` makes the call's error of it. */
export class Wrong {
  constructor(text) {
    this.text = text;
  }
}

/** Bytes as a typed array of n entries (of as many as there are, without n). */
function entries(Type, what, bytes, n) {
  const size = Type.BYTES_PER_ELEMENT;
  if (bytes.length % size !== 0 || (n !== undefined && bytes.length !== n * size)) {
    throw new Wrong(`${what}: ${bytes.length} bytes are no list of ${n ?? "whole"} entries`);
  }
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return new Type(aligned.buffer, aligned.byteOffset, bytes.length / size);
}

export const i64s = (what, bytes, n) => entries(BigInt64Array, what, bytes, n);
export const u32s = (what, bytes, n) => entries(Uint32Array, what, bytes, n);

/** Numbers of dictionary entries: the low halves of their 64 bits. A dictionary has fewer than 2³² entries. */
export function codes(what, bytes, n) {
  const halves = u32s(what, bytes, 2 * n);
  return (row) => halves[2 * row];
}

/** A bit list as a function of the entry; an empty one is all ones. */
export function bits(what, bytes, n) {
  if (bytes.length === 0) return () => true;
  if (bytes.length !== (n + 7) >> 3) throw new Wrong(`${what}: ${bytes.length} bytes for ${n} bits`);
  return (i) => ((bytes[i >> 3] >> (i & 7)) & 1) === 1;
}

/** Offsets of n entries that together have `total` bytes. */
export function offsets(what, bytes, n, total) {
  const ends = u32s(what, bytes, n + 1);
  for (let i = 0; i < n; i++) if (ends[i] > ends[i + 1]) throw new Wrong(`${what}: they fall`);
  if (ends[0] !== 0 || ends[n] !== total) throw new Wrong(`${what}: they do not go from 0 to ${total}`);
  return ends;
}

/** The entries of a dictionary. Each byte becomes a character, which is right for the ASCII words looked for. */
export function texts({ offsets: packed, bytes }) {
  if (packed.length === 0) return [];
  const n = packed.length / 4 - 1;
  const ends = offsets("dictionary", packed, n, bytes.length);
  return Array.from({ length: n }, (_, i) => String.fromCharCode(...bytes.subarray(ends[i], ends[i + 1])));
}

const packed = (array) => new Uint8Array(array.buffer);
export const EMPTY = new Uint8Array(0);
export const packI64s = (values) => packed(BigInt64Array.from(values));
export const packF64s = (values) => packed(Float64Array.from(values));
export const packU32s = (values) => packed(Uint32Array.from(values));

/** Bits, or nothing where all are ones. */
export function packBits(values) {
  if (values.every((value) => value)) return EMPTY;
  const out = new Uint8Array((values.length + 7) >> 3);
  values.forEach((value, i) => {
    if (value) out[i >> 3] |= 1 << (i & 7);
  });
  return out;
}

const LEAST = -(1n << 63n);
const GREATEST = (1n << 63n) - 1n;

/** A difference of two times as the nearest i64: a nonsense time in a row must not end the metric. */
export const saturated = (value) => (value > GREATEST ? GREATEST : value < LEAST ? LEAST : value);

/** Appends an unsigned number in groups of 7 bits, least significant first. */
export function putVarint(out, value) {
  while (value >= 0x80n) {
    out.push(Number(value & 0x7fn) | 0x80);
    value >>= 7n;
  }
  out.push(Number(value));
}

/** Appends a signed number, small magnitudes short. */
export const putSigned = (out, value) => putVarint(out, value >= 0n ? value << 1n : (-value << 1n) - 1n);

/** Reads what the two functions above have written. */
export class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  byte() {
    if (this.at >= this.bytes.length) throw new Wrong("the state ends early");
    return this.bytes[this.at++];
  }
  varint() {
    let value = 0n;
    for (let shift = 0n; shift < 128n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new Wrong("a number in the state is too long");
  }
  signed() {
    const raw = this.varint();
    return (raw & 1n) === 1n ? -((raw + 1n) >> 1n) : raw >> 1n;
  }
  end() {
    if (this.at !== this.bytes.length) throw new Wrong("a state has bytes too many");
  }
}
