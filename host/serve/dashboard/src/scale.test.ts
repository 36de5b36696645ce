import { expect, it } from "vitest";
import { tickText, ticks } from "./scale";

it("steps by round numbers and covers the greatest value", () => {
  expect(ticks(0, 63, "1", true)).toEqual([0, 20, 40, 60, 80]);
  expect(ticks(0, 3, "1", true)).toEqual([0, 1, 2, 3]);
  expect(ticks(-4, 4, "1", false)).toEqual([-4, -2, 0, 2, 4]);
  expect(ticks(0, 0, "1", true)).toEqual([0, 1]);
});

it("steps by clock faces for durations", () => {
  expect(ticks(0, 250, "s", false)).toEqual([0, 120, 240, 360]);
  expect(ticks(0, 250, "s", false).map((t) => tickText(t, "s"))).toEqual(["0", "2m", "4m", "6m"]);
  expect([90, 0.25, 5400, 7200].map((t) => tickText(t, "s"))).toEqual(["1m 30s", "250ms", "90m", "2h"]);
});

it("shortens great numbers", () => {
  expect([1500, 20_000, 2_500_000].map((t) => tickText(t, "1"))).toEqual(["1500", "20k", "2.5M"]);
});
