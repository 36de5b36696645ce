import { describe, expect, it } from "vitest";
import { apply, canonical, empty, sorted, streamUrl, windowOf, type Metric, type Row, type State } from "./state";

function metric(name: string, incarnation = 1): Metric {
  return {
    name, board: "ticket", title: name, unit: "1", description: "", version: "1.0.0", dimensions: ["queue_id"],
    dimension_sets: [[], ["queue_id"]], windows: ["1m", "day"], outputs: [], incarnation, status: "live",
  };
}

function row(metric: string, queue: string | null, count: number | null, start = "2026-11-23T08:00:00Z"): Row {
  return {
    metric, window: "1m", set: "queue_id", dims: [queue], start, end: start, label: "", at: "",
    outputs: { count }, display: { count: String(count) }, final: false, complete: true,
  };
}

function started(): State {
  const health = empty().health;
  const rows = [row("a.x", "1", 5), row("a.y", "1", 7)];
  return apply(empty(), {
    type: "snapshot",
    data: { epoch: 1, clock: "c", catalogue: [metric("a.x"), metric("a.y")], health, rows },
  });
}

const counts = (state: State) => [...state.rows.values()].map((r) => [r.metric, r.dims[0], r.outputs.count]);

describe("the state", () => {
  it("takes a snapshot in place of everything before", () => {
    const again = apply(started(), {
      type: "snapshot",
      data: { epoch: 9, clock: "d", catalogue: [metric("a.x")], health: empty().health, rows: [row("a.x", "2", 1)] },
    });
    expect(again.epoch).toBe(9);
    expect(counts(again)).toEqual([["a.x", "2", 1]]);
  });

  it("replaces changed values, adds new ones and removes those that are gone", () => {
    const gone = [row("a.y", "1", 0)];
    const rows = [row("a.x", "1", 6), row("a.x", null, 1)];
    const state = apply(started(), { type: "change", data: { epoch: 2, clock: "d", rows, gone } });
    expect(counts(state)).toEqual([["a.x", "1", 6], ["a.x", null, 1]]);
    expect([state.epoch, state.clock]).toEqual([2, "d"]);
  });

  it("keeps values and epoch of an engine that has nothing to tell but the time", () => {
    const state = apply(started(), { type: "alive", data: { clock: "e" } });
    expect([counts(state), state.epoch, state.clock]).toEqual([counts(started()), started().epoch, "e"]);
  });

  it("drops the rows of a metric that left or began anew", () => {
    const state = apply(started(), { type: "catalogue", data: [metric("a.x", 2), metric("a.y"), metric("a.z")] });
    expect(counts(state)).toEqual([["a.y", "1", 7]]);
    expect(state.catalogue.map((m) => m.name)).toEqual(["a.x", "a.y", "a.z"]);
  });
});

describe("a table", () => {
  const rows = [row("a.x", "10", 3), row("a.x", "9", null), row("a.x", null, 7), row("a.x", "2", 3)];
  const order = (column: string, down: boolean) => sorted(rows, { column, down }).map((r) => r.dims[0]);

  it("puts missing values last, whichever way it is sorted", () => {
    expect(order("out:count", true)).toEqual([null, "2", "10", "9"]);
    expect(order("out:count", false)).toEqual(["2", "10", null, "9"]);
  });

  it("sorts numbers in text as numbers", () => {
    expect(order("dim:0", false)).toEqual(["2", "9", "10", null]);
  });
});

it("shows a current value whichever window is chosen", () => {
  expect(windowOf({ ...metric("a.n"), windows: ["now"] }, "1h")).toBe("now");
  expect(windowOf(metric("a.x"), "day")).toBe("day");
});

it("tells null from the text that looks like it", () => {
  expect([canonical(null), canonical("\\N")]).toEqual(["\\N", "\\\\N"]);
});

it("asks the stream for what it shows", () => {
  expect(streamUrl([["", "", ""], ["a.x", "1m", "queue_id,channel"]])).toBe(
    "api/v1/stream?select=%3B%3B&select=a.x%3B1m%3Bqueue_id%2Cchannel",
  );
});
