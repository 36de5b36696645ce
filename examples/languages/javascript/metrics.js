// The four metrics: what each is called and reads, and which rows give samples.

import { BusinessHours } from "./business.js";
import { EMPTY, Wrong, bits, codes, i64s, packI64s, packU32s, saturated, texts } from "./packed.js";
import { Count, Spent, Waits, ints } from "./states.js";

const MINUTE = 60_000_000;
const DAY = 86_400_000_000n;
const tumbling = (minutes) => ({ tag: "tumbling", val: minutes * MINUTE });
const PERIODS = [tumbling(1), tumbling(15), tumbling(60), { tag: "day" }];

/** Fields are written as `queue_id:int assignee_id:int?`, with ? where null may be. */
const fields = (text) =>
  text.split(" ").map((word) => {
    const [name, type] = word.split(":");
    return { name, valueType: type.replace("?", ""), nullable: type.endsWith("?") };
  });
const output = (field, unit, description) => ({ ...fields(field)[0], isList: false, unit, description });
const COUNT = output("count:int", "1", "How many samples there are.");

const describe = (name, title, description, source, asked, dimensions, outputs, other) => {
  const { watches = [], ...rest } = other;
  return {
    name,
    title,
    description,
    inputs: [{ source, fields: fields(asked), watches }],
    dimensions,
    outputs,
    unit: "1",
    owner: "service-desk",
    version: "0.1.0",
    deprecated: null,
    replacedBy: null,
    dimensionSets: [],
    windows: PERIODS,
    values: [],
    computedDimensions: [],
    timeVarying: false,
    rows: "live",
    stateVersion: 1,
    stateVersionsRead: [1],
    meaningVersion: 1,
    extra: [],
    ...rest,
  };
};

/** Samples of weight 1, all with the dimensions of the after image or all with those of the before image. */
const samples = (rows, times, { values = [], untils = [], before = false, rejects = [] } = {}) => ({
  rows: packU32s(rows),
  weights: EMPTY,
  images: before ? new Uint8Array((rows.length + 7) >> 3) : EMPTY,
  times: packI64s(times),
  timesValidity: EMPTY,
  untils: packI64s(untils),
  values: values.map(ints),
  computed: [],
  dictionaries: values.map(() => ({ offsets: EMPTY, bytes: EMPTY })),
  rejects,
});

/** Rows inserted, at their created_at. */
class Created {
  static state = Count;
  static info = describe(
    "ticket.created",
    "Tickets created",
    "New tickets: rows inserted, at their created_at.",
    "ticket",
    "queue_id:int channel:text priority:int created_at:time",
    ["queue_id", "channel", "priority"],
    [COUNT],
    { watches: ["created_at"] },
  );

  observe({ rows: n, beforePresent, afterPresent, after }) {
    const before = bits("before-present", beforePresent, n);
    const there = bits("after-present", afterPresent, n);
    const created = i64s("created_at", after[3].values, n);
    const rows = [];
    for (let row = 0; row < n; row++) if (there(row) && !before(row)) rows.push(row);
    return samples(rows, rows.map((row) => created[row]));
  }
}

/** Rows whose status is new, open or pending. */
class Backlog {
  static state = Count;
  static info = describe(
    "ticket.backlog",
    "Ticket backlog",
    "Tickets that wait for someone: status new, open or pending.",
    "ticket",
    "queue_id:int priority:int status:text",
    ["queue_id", "priority"],
    [COUNT],
    { windows: [{ tag: "now" }], extra: [["form", "table"]] },
  );

  observeImage({ rows: n, columns, dictionaries }) {
    const code = codes("status", columns[2].values, n);
    // Texts are compared once for a batch, rows by number.
    const waits = texts(dictionaries[2]).map((text) => ["new", "open", "pending"].includes(text));
    const rows = [];
    for (let row = 0; row < n; row++) if (waits[code(row)]) rows.push(row);
    return samples(rows, []);
  }
}

/** The wait, when first_reply_at becomes set. */
class FirstReplyTime {
  static state = Waits;
  static info = describe(
    "ticket.first_reply_time",
    "First reply time",
    "Time from creation to the first reply, at the first reply: when first_reply_at becomes set.",
    "ticket",
    "queue_id:int assignee_id:int? created_at:time first_reply_at:time?",
    ["queue_id", "assignee_id"],
    [
      output("mean:float?", "s", "The arithmetic mean."),
      output("p50:float?", "s", "50 % of the values are at most this; within 1 %."),
      output("p90:float?", "s", "90 % of the values are at most this; within 1 %."),
      output("max:float?", "s", "The greatest value."),
      COUNT,
      output("mean_business:float?", "s", "The arithmetic mean in business hours."),
    ],
    {
      watches: ["first_reply_at"],
      unit: "s",
      values: fields("wait:int business_wait:int"),
      extra: [["form", "table"]],
    },
  );

  constructor(config) {
    const [, text] = config.find(([key]) => key === "business_hours") ?? ["", "Mon-Fri 09:00-18:00 UTC"];
    try {
      this.hours = new BusinessHours(text);
    } catch (why) {
      if (!(why instanceof Wrong)) throw why;
      throw new Wrong(`config key business_hours cannot be ${JSON.stringify(text)}: ${why.text}`);
    }
  }

  observe({ rows: n, beforePresent, afterPresent, before, after }) {
    const was = bits("before-present", beforePresent, n);
    const there = bits("after-present", afterPresent, n);
    const wasSet = bits("first_reply_at", before[3].validity, n);
    const isSet = bits("first_reply_at", after[3].validity, n);
    const created = i64s("created_at", after[2].values, n);
    const replied = i64s("first_reply_at", after[3].values, n);
    const [rows, times, waits, business] = [[], [], [], []];
    for (let row = 0; row < n; row++) {
      if (!there(row) || !isSet(row) || (was(row) && wasSet(row))) continue;
      const from = created[row];
      const to = replied[row];
      rows.push(row);
      times.push(to);
      waits.push(saturated(to - from));
      business.push(this.hours.between(from, to));
    }
    return samples(rows, times, { values: [waits, business] });
  }
}

const STATES = ["available", "on_contact", "wrapup", "break", "error"];

/** The span that ends with a change of state, for the state that was left. */
class StateTime {
  static state = Spent;
  static info = describe(
    "agent.state_time",
    "Agent state time",
    "Time that agents spent in each state: the span from one change to the next, for the state left.",
    "agent_state",
    "agent_id:int queue_id:int state:text since:time",
    ["queue_id", "agent_id"],
    STATES.map((name) => output(`${name}:float`, "s", `Seconds in the state ${name}.`)),
    {
      watches: ["state", "since"],
      unit: "s",
      windows: [tumbling(15), tumbling(60), { tag: "day" }],
      values: fields("state:int"),
      extra: [
        ["board", "team"],
        ["form", "table"],
        ["correct_for", "26h"],
      ],
    },
  );

  observe({ rows: n, beforePresent, afterPresent, before, after, dictionaries }) {
    const was = bits("before-present", beforePresent, n);
    const there = bits("after-present", afterPresent, n);
    const code = codes("state", before[2].values, n);
    const left = i64s("since", before[3].values, n);
    const entered = i64s("since", after[3].values, n);
    // The number of each text's output; -1 is offline, -2 a state that nobody knows.
    const known = texts(dictionaries[2]).map((text) => ["offline", ...STATES].indexOf(text) - 1);
    const [rows, starts, untils, states, rejects] = [[], [], [], [], []];
    for (let row = 0; row < n; row++) {
      if (!was(row) || !there(row)) continue;
      const state = known[code(row)];
      const start = left[row];
      const end = entered[row];
      if (!(state >= -1)) {
        rejects.push({ row, reason: "its state is none that an agent has" });
        continue;
      }
      if (state < 0 || end <= start) continue;
      if (end - start > DAY) {
        rejects.push({ row, reason: "more than 24 hours in one state" });
        continue;
      }
      rows.push(row);
      starts.push(start);
      untils.push(end);
      states.push(BigInt(state));
    }
    return samples(rows, starts, { values: [states], untils, before: true, rejects });
  }
}

export const ALL = [Created, Backlog, FirstReplyTime, StateTime];
