// What the page knows, and how each event of the stream changes it. Pure: no page, no clock.

export type Scalar = number | string | boolean | null;
export type Value = Scalar | Scalar[];
export type Dim = string | null;

export interface Output {
  name: string;
  label: string;
  type: string;
  list: boolean;
  unit: string;
  description: string;
}

export interface Metric {
  name: string;
  board: string;
  title: string;
  unit: string;
  description: string;
  version: string;
  dimensions: string[];
  dimension_sets: string[][];
  windows: string[];
  outputs: Output[];
  incarnation: number | string;
  status: string;
}

/** One value, as /latest, /series and the stream give it. */
export interface Row {
  metric: string;
  window: string;
  set: string;
  dims: Dim[];
  start: string;
  end: string;
  label: string;
  at: string;
  outputs: Record<string, Value>;
  display: Record<string, string>;
  final: boolean;
  complete: boolean;
}

export type Key = Pick<Row, "metric" | "window" | "set" | "dims">;

export interface Condition {
  part: string;
  blocking: boolean;
  reason: string;
}

export interface Health {
  ready: boolean;
  conditions: Condition[];
  sources: { name: string; trouble: string | null }[];
  metrics: Record<string, { stale: string | null }>;
}

export interface State {
  epoch: number | null;
  clock: string | null;
  catalogue: Metric[];
  health: Health;
  /** By {@link id}. */
  rows: Map<string, Row>;
}

export type Event =
  | { type: "snapshot"; data: { epoch: number | null; clock: string | null; catalogue: Metric[]; health: Health; rows: Row[] } }
  | { type: "change"; data: { epoch: number; clock: string; rows: Row[]; gone: Key[] } }
  | { type: "alive"; data: { clock: string } }
  | { type: "catalogue"; data: Metric[] }
  | { type: "health"; data: Health };

export function empty(): State {
  const health = { ready: true, conditions: [], sources: [], metrics: {} };
  return { epoch: null, clock: null, catalogue: [], health, rows: new Map() };
}

/** Names a value. */
export function id(key: Key): string {
  return JSON.stringify([key.metric, key.window, key.set, key.dims]);
}

/** Takes over one event. Rows are changed in place, so that an epoch costs what it changes. */
export function apply(state: State, event: Event): State {
  switch (event.type) {
    case "snapshot":
      return { ...event.data, rows: new Map(event.data.rows.map((row) => [id(row), row])) };
    case "change":
      for (const key of event.data.gone) state.rows.delete(id(key));
      for (const row of event.data.rows) state.rows.set(id(row), row);
      return { ...state, epoch: event.data.epoch, clock: event.data.clock };
    case "alive":
      return { ...state, clock: event.data.clock };
    case "catalogue":
      return { ...state, catalogue: event.data, rows: kept(state, event.data) };
    case "health":
      return { ...state, health: event.data };
  }
}

/** Rows of the metrics that stay as they were: one that left or began anew takes its rows along. */
function kept(state: State, catalogue: Metric[]): Map<string, Row> {
  const before = new Map(state.catalogue.map((metric) => [metric.name, metric.incarnation]));
  const same = new Set(
    catalogue.filter((metric) => before.get(metric.name) === metric.incarnation).map((metric) => metric.name),
  );
  return new Map([...state.rows].filter(([, row]) => same.has(row.metric)));
}

/** The window in which a metric is shown: the chosen one, or `now` for a current value. */
export function windowOf(metric: Metric, chosen: string): string {
  return metric.windows.includes(chosen) ? chosen : (metric.windows[0] ?? chosen);
}

/** The window whose course the chart shows: the shortest. */
export function chartWindow(metric: Metric): string {
  return metric.windows.includes("1m") ? "1m" : (metric.windows[0] ?? "1m");
}

export interface Sort {
  /** `dim:0`, `out:count`. */
  column: string;
  down: boolean;
}

/** Rows of a table in order; a missing value stands last, whichever way it is sorted. */
export function sorted(rows: Row[], sort: Sort): Row[] {
  const [kind, name = ""] = sort.column.split(":");
  const value = (row: Row): Value | undefined => (kind === "dim" ? row.dims[Number(name)] : row.outputs[name]);
  const sign = sort.down ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [x, y] = [value(a) ?? null, value(b) ?? null];
    if (x === null || y === null) return Number(x === null) - Number(y === null) || byDims(a, b);
    return sign * compare(x, y) || byDims(a, b);
  });
}

const collator = new Intl.Collator("en", { numeric: true });

function compare(x: Value, y: Value): number {
  if (typeof x === "number" && typeof y === "number") return x - y;
  return collator.compare(String(x), String(y));
}

function byDims(a: Row, b: Row): number {
  for (const [i, dim] of a.dims.entries()) {
    const order = compare(dim ?? "\uffff", b.dims[i] ?? "\uffff");
    if (order !== 0) return order;
  }
  return 0;
}

/** A key's dimensions as they stand in a request: null is `\N`, a backslash is doubled. */
export function canonical(dim: Dim): string {
  return dim === null ? "\\N" : dim.replaceAll("\\", "\\\\");
}

/** Which rows the page asks the stream for. */
export function streamUrl(selects: [metric: string, window: string, set: string][]): string {
  const query = new URLSearchParams();
  for (const select of selects) query.append("select", select.join(";"));
  return `api/v1/stream?${query}`;
}
