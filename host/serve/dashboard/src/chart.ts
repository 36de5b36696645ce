// The course of one output over the last hour, as SVG.

import { byId, el, set, svg, text } from "./dom";
import { tickText, ticks } from "./scale";
import type { Output, Value } from "./state";

export interface Point {
  /** Milliseconds since the Unix epoch. */
  time: number;
  label: string;
  at: string;
  outputs: Record<string, Value>;
  display: Record<string, string>;
  final: boolean;
}

export const SPAN_MS = 3_600_000;
const STEP_MS = 60_000;
const MARGIN = { top: 12, right: 14, bottom: 24, left: 46 };

interface Place {
  x: number;
  y: number;
  point: Point;
}

export class Chart {
  private readonly root = byId("chart");
  private readonly drawing = svg("svg", { role: "img", tabindex: 0 });
  private readonly tip = el("div", { class: "tip", "aria-live": "polite" });
  private places: Place[] = [];
  private points: Point[] = [];
  private output: Output | null = null;
  private name = "";
  /** Which place is pointed at, as its point's time: the places move as time passes. */
  private at: number | null = null;

  constructor() {
    this.root.append(this.drawing, this.tip);
    new ResizeObserver(() => this.redraw()).observe(this.root);
    this.drawing.addEventListener("pointermove", (event) => {
      const x = event.clientX - this.drawing.getBoundingClientRect().left;
      const near = this.places.reduce<Place | null>(
        (best, place) => (best === null || Math.abs(place.x - x) < Math.abs(best.x - x) ? place : best),
        null,
      );
      this.point(near);
    });
    this.drawing.addEventListener("pointerleave", () => this.point(null));
    this.drawing.addEventListener("blur", () => this.point(null));
    this.drawing.addEventListener("keydown", (event) => this.key(event));
  }

  /** Points ascend by time. */
  draw(name: string, points: Point[], output: Output): void {
    this.name = name;
    this.points = points;
    this.output = output;
    this.redraw();
  }

  private key(event: KeyboardEvent): void {
    const last = this.places.length - 1;
    const now = this.places.findIndex((place) => place.point.time === this.at);
    const next = { ArrowLeft: now < 0 ? last : Math.max(0, now - 1), ArrowRight: now < 0 ? last : Math.min(last, now + 1), Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.point(this.places[next] ?? null);
  }

  private point(place: Place | null): void {
    this.at = place?.point.time ?? null;
    this.drawTip();
  }

  private redraw(): void {
    const output = this.output;
    const { clientWidth: width, clientHeight: height } = this.root;
    if (output === null || width === 0 || height === 0) return;
    const drawn = this.points.flatMap((point) => {
      const value = point.outputs[output.name];
      return typeof value === "number" ? [{ point, value }] : [];
    });
    const values = drawn.map((d) => d.value);
    const marks = ticks(Math.min(...values, 0), Math.max(...values, 0), output.unit, output.type === "int");
    const [low, high] = [marks[0] ?? 0, marks.at(-1) ?? 1];
    const end = Math.max(this.points.at(-1)?.time ?? 0, (this.points[0]?.time ?? 0) + SPAN_MS);
    const x = (time: number) => MARGIN.left + ((time - (end - SPAN_MS)) / SPAN_MS) * (width - MARGIN.left - MARGIN.right);
    const y = (value: number) => height - MARGIN.bottom - ((value - low) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
    this.places = drawn.map((d) => ({ x: x(d.point.time), y: y(d.value), point: d.point }));

    const last = this.places.at(-1);
    set(this.drawing, { viewBox: `0 0 ${width} ${height}`, width, height });
    set(this.drawing, { "aria-label": `${this.name}, ${output.label}, the last hour by the minute. Newest: ${last?.point.display[output.name] ?? "none"}` });
    this.drawing.replaceChildren(
      ...marks.map((mark) => gridLine(width, y(mark), tickText(mark, output.unit))),
      ...timeTicks(this.points, end).map((point) =>
        svg("text", { class: "tick", x: x(point.time), y: height - 6, "text-anchor": "middle" }, point.at),
      ),
      ...this.runs().flatMap((run) => lines(run, y(Math.max(low, 0)))),
      svg("line", { class: "cross", y1: MARGIN.top, y2: height - MARGIN.bottom }),
      svg("circle", { class: "dot", r: 4 }),
    );
    if (last) this.drawing.append(svg("circle", { class: last.point.final ? "last" : "last open", cx: last.x, cy: last.y, r: 4 }));
    this.drawTip();
  }

  /** Neighbours a minute apart: a minute without a value is a gap, not a slope. */
  private runs(): Place[][] {
    const runs: Place[][] = [];
    for (const place of this.places) {
      const run = runs.at(-1);
      const before = run?.at(-1);
      if (run && before && place.point.time - before.point.time <= STEP_MS * 1.5) run.push(place);
      else runs.push([place]);
    }
    return runs;
  }

  private drawTip(): void {
    const place = this.places.find((p) => p.point.time === this.at);
    const shown = place !== undefined && this.output !== null;
    set(this.root, { "data-pointed": shown });
    if (!shown || this.output === null) return;
    set(this.drawing.querySelector(".cross")!, { x1: place.x, x2: place.x });
    set(this.drawing.querySelector(".dot")!, { cx: place.x, cy: place.y });
    const state = place.point.final ? "" : " · provisional";
    text(this.tip, `${place.point.display[this.output.name] ?? "–"}  ·  ${place.point.label}${state}`);
    const half = this.tip.offsetWidth / 2;
    const left = Math.min(Math.max(place.x, half), this.root.clientWidth - half);
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${Math.max(place.y - 40, 0)}px`;
  }
}

function gridLine(width: number, y: number, label: string): SVGElement {
  return svg(
    "g",
    {},
    svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }),
    svg("text", { class: "tick", x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" }, label),
  );
}

/** Every tenth minute that has a point and stands well inside. */
function timeTicks(points: Point[], end: number): Point[] {
  return points.filter((point) => point.at.endsWith("0") && point.time % (10 * STEP_MS) === 0 && end - point.time < SPAN_MS - STEP_MS);
}

function lines(run: Place[], floor: number): SVGElement[] {
  const [first, last] = [run[0]!, run.at(-1)!];
  if (run.length === 1) return [svg("circle", { class: "single", cx: first.x, cy: first.y, r: 2.5 })];
  const path = run.map((p, i) => `${i === 0 ? "M" : "L"}${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join("");
  return [
    svg("path", { class: "area", d: `${path}L${last.x.toFixed(1)} ${floor}L${first.x.toFixed(1)} ${floor}Z` }),
    svg("path", { class: "line", d: path }),
  ];
}
