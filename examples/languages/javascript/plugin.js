// The component: calls of the contract, on the one metric that this instance was opened for.

import { ALL } from "./metrics.js";
import { EMPTY, Reader, Wrong, i64s, offsets, packU32s, u32s } from "./packed.js";

const MOST_SLOTS = 1 << 26;

// The instance's metric, and its states by slot; a slot that is not there is empty.
let metric;
let State;
const slots = [];

/** What is wrong with a call is its answer, not a crash: the call throws a text. */
const told = (call) => (...args) => {
  try {
    return call(...args);
  } catch (why) {
    throw why instanceof Wrong ? why.text : why;
  }
};

/** Slots that are about to be written. */
function writable(list) {
  for (const slot of list) if (slot === 0 || slot >= MOST_SLOTS) throw new Wrong(`slot ${slot} cannot be written`);
  return list;
}

const at = (slot) => (slots[slot] ??= new State());

export const metricApi = {
  describe: () => ALL.map((each) => each.info),

  open: told((name, config) => {
    const Metric = ALL.find((each) => each.info.name === name);
    if (Metric === undefined) throw new Wrong(`no metric is called ${name}`);
    metric = new Metric(config);
    State = Metric.state;
  }),

  observe: told((input, changes) => {
    if (input !== 0 || metric.observe === undefined) throw new Wrong(`no input of events has the number ${input}`);
    return metric.observe(changes);
  }),

  observeImage: told((input, images) => {
    if (input !== 0 || metric.observeImage === undefined) throw new Wrong(`no input of rows has the number ${input}`);
    return metric.observeImage(images);
  }),

  accumulate: told((packedSlots, packedWeights, packedTimes, packedUntils, values) => {
    const into = writable(u32s("slots", packedSlots));
    const n = into.length;
    const weights = i64s("weights", packedWeights, n);
    const times = packedTimes.length > 0 ? i64s("times", packedTimes, n) : new BigInt64Array(n);
    const untils = packedUntils.length > 0 ? i64s("untils", packedUntils, n) : times;
    if (values.length !== State.values) throw new Wrong(`${values.length} columns of values`);
    const columns = values.map((column) => i64s("values", column.values, n));
    if (!State.retracts && weights.some((weight) => weight < 0n)) throw new Wrong("the metric takes no sample back");
    State.addAll(at, into, { weights, times, untils, columns });
  }),

  merge: told((packedInto, packedFrom) => {
    const into = writable(u32s("into", packedInto));
    const from = u32s("from", packedFrom, into.length);
    for (let i = 0; i < into.length; i++) {
      const source = slots[from[i]];
      if (source !== undefined) at(into[i]).merge(source);
    }
  }),

  evaluate: told((packedSlots) => {
    const nothing = new State();
    const states = Array.from(u32s("slots", packedSlots), (slot) => slots[slot] ?? nothing);
    const columns = State.columns(states);
    return { columns, dictionaries: columns.map(() => ({ offsets: EMPTY, bytes: EMPTY })) };
  }),

  save: told((packedSlots) => {
    const out = [];
    const ends = [0];
    for (const slot of u32s("slots", packedSlots)) {
      const state = slots[slot];
      if (state !== undefined && !state.isEmpty()) state.save(out);
      ends.push(out.length);
    }
    return { offsets: packU32s(ends), bytes: Uint8Array.from(out) };
  }),

  load: told((packedSlots, states, version) => {
    if (version !== 1) throw new Wrong(`state version ${version} is none that this metric reads`);
    const into = writable(u32s("slots", packedSlots));
    const ends = offsets("states", states.offsets, into.length, states.bytes.length);
    for (let i = 0; i < into.length; i++) {
      slots[into[i]] = undefined;
      if (ends[i] === ends[i + 1]) continue;
      const reader = new Reader(states.bytes.subarray(ends[i], ends[i + 1]));
      at(into[i]).load(reader);
      reader.end();
    }
  }),

  release: told((packedSlots) => {
    for (const slot of u32s("slots", packedSlots)) if (slot < slots.length) slots[slot] = undefined;
  }),
};
