// What a slot holds, for each kind of metric. Sums are integers, so that any order and grouping gives the same bytes;
// division happens once, in `columns`.

import { EMPTY, Wrong, packBits, packF64s, packI64s, putSigned, putVarint } from "./packed.js";
import { bucket, quantiles } from "./quantiles.js";

export const ints = (values) => ({ validity: EMPTY, values: packI64s(values), offsets: EMPTY });

/** null where there is no value; -0 and 0 are one number, so they are one bit pattern. */
const floats = (values) => ({
  validity: packBits(values.map((value) => value !== null)),
  values: packF64s(values.map((value) => (value ?? 0) + 0)),
  offsets: EMPTY,
});

/** How many samples. */
export class Count {
  static values = 0;
  static retracts = true;
  n = 0n;

  static addAll(at, into, { weights }) {
    for (let i = 0; i < into.length; i++) at(into[i]).n += weights[i];
  }
  merge(other) {
    this.n += other.n;
  }
  isEmpty() {
    return this.n === 0n;
  }
  save(out) {
    putSigned(out, this.n);
  }
  load(reader) {
    this.n = reader.signed();
  }
  static columns(states) {
    return [ints(states.map((state) => state.n))];
  }
}

/** Mean, median, ninth decile, maximum and number of waits, and their mean in business hours. */
export class Waits {
  static values = 2;
  static retracts = false;
  sum = 0n;
  business = 0n;
  n = 0n;
  greatest = null;
  counts = new Map();

  static addAll(at, into, { weights, columns: [waits, business] }) {
    for (let i = 0; i < into.length; i++) {
      const state = at(into[i]);
      const wait = waits[i];
      const weight = weights[i];
      state.sum += wait * weight;
      state.business += business[i] * weight;
      state.n += weight;
      if (state.greatest === null || wait > state.greatest) state.greatest = wait;
      state.count(bucket(wait), weight);
    }
  }
  count(number, weight) {
    this.counts.set(number, (this.counts.get(number) ?? 0n) + weight);
  }
  merge(other) {
    if (other.n === 0n) return;
    this.sum += other.sum;
    this.business += other.business;
    this.n += other.n;
    if (this.greatest === null || other.greatest > this.greatest) this.greatest = other.greatest;
    for (const [number, count] of other.counts) this.count(number, count);
  }
  isEmpty() {
    return this.n === 0n;
  }
  save(out) {
    putSigned(out, this.sum);
    putSigned(out, this.n);
    putVarint(out, BigInt(this.counts.size));
    let last = 0;
    for (const [number, count] of [...this.counts].sort((a, b) => a[0] - b[0])) {
      putSigned(out, BigInt(number - last));
      putSigned(out, count);
      last = number;
    }
    out.push(1);
    for (const value of [this.greatest, this.n, this.business, this.n]) putSigned(out, value);
  }
  load(reader) {
    this.sum = reader.signed();
    this.n = reader.signed();
    let last = 0;
    for (let left = reader.varint(); left > 0n; left -= 1n) {
      last += Number(reader.signed());
      this.counts.set(last, reader.signed());
    }
    if (reader.byte() !== 1) throw new Wrong("a state of waits without a greatest one");
    this.greatest = reader.signed();
    const n = reader.signed();
    this.business = reader.signed();
    if (n !== this.n || reader.signed() !== n) throw new Wrong("a state whose numbers of samples differ");
  }

  static columns(states) {
    const seconds = (value) => (value === null ? null : Number(value) / 1e6);
    // In this order: another one would be rounded in another way.
    const mean = (sum, n) => (n > 0n ? Number(sum) / Number(n) / 1e6 : null);
    const found = states.map((state) => quantiles(state.counts, [500_000n, 900_000n]).map(seconds));
    return [
      floats(states.map((state) => mean(state.sum, state.n))),
      floats(found.map(([p50]) => p50)),
      floats(found.map(([, p90]) => p90)),
      floats(states.map((state) => seconds(state.greatest))),
      ints(states.map((state) => state.n)),
      floats(states.map((state) => mean(state.business, state.n))),
    ];
  }
}

const STATES = 5;

/** Time spent in each of five states. */
export class Spent {
  static values = 1;
  static retracts = true;
  micros = new Array(STATES).fill(0n);

  static addAll(at, into, { weights, times, untils, columns: [states] }) {
    for (let i = 0; i < into.length; i++) {
      const state = Number(states[i]);
      if (!(state >= 0 && state < STATES)) throw new Wrong(`there is no state ${state}`);
      at(into[i]).micros[state] += (untils[i] - times[i]) * weights[i];
    }
  }
  merge(other) {
    for (let i = 0; i < STATES; i++) this.micros[i] += other.micros[i];
  }
  isEmpty() {
    return this.micros.every((micros) => micros === 0n);
  }
  save(out) {
    for (const micros of this.micros) putSigned(out, micros);
  }
  load(reader) {
    for (let i = 0; i < STATES; i++) this.micros[i] = reader.signed();
  }
  static columns(states) {
    return Array.from({ length: STATES }, (_, i) => floats(states.map((state) => Number(state.micros[i]) / 1e6)));
  }
}
