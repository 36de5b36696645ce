// The hour behind the chart: asked for once, continued by the stream.

import type { Point } from "./chart";
import { SPAN_MS } from "./chart";
import { canonical, type Dim, type Row } from "./state";

export interface Course {
  metric: string;
  window: string;
  set: string;
  dims: Dim[];
}

export class History {
  private readonly points = new Map<number, Point>();
  private request: AbortController | null = null;
  /** Why there is only what the stream gave. */
  trouble: string | null = null;

  constructor(private readonly changed: () => void) {}

  /** Starts a new course. */
  ask(course: Course): void {
    this.points.clear();
    this.trouble = null;
    this.refresh(course);
  }

  /** Asks again, keeping what is there: after a break of the stream. */
  refresh(course: Course): void {
    this.request?.abort();
    const request = new AbortController();
    this.request = request;
    this.load(course, request.signal).catch((error: unknown) => {
      if (request.signal.aborted) return;
      this.trouble = error instanceof Error ? error.message : String(error);
      this.changed();
    });
  }

  private async load(course: Course, signal: AbortSignal): Promise<void> {
    const query = new URLSearchParams({ metric: course.metric, window: course.window, set: course.set });
    for (const dim of course.dims) query.append("dim", canonical(dim));
    const answer = await fetch(`api/v1/series?${query}`, { signal });
    const body = (await answer.json()) as { points?: Row[]; detail?: string };
    if (signal.aborted) return;
    if (!answer.ok || !body.points) throw new Error(body.detail ?? `the server answered ${answer.status}`);
    this.trouble = null;
    // What the stream gave meanwhile is newer.
    for (const row of body.points) if (!this.points.has(time(row))) this.points.set(time(row), point(row));
    this.changed();
  }

  /** A value of the course from the stream. */
  add(row: Row, clock: string | null): void {
    // A current value has no window: it stands at the minute of the clock.
    const live = point(row);
    if (row.window === "now" && clock !== null) live.time = Math.floor(Date.parse(clock) / 60_000) * 60_000;
    this.points.set(live.time, live);
  }

  /** The last hour, ascending. */
  course(): Point[] {
    const points = [...this.points.values()].sort((a, b) => a.time - b.time);
    const begin = (points.at(-1)?.time ?? 0) - SPAN_MS;
    for (const old of points) if (old.time < begin) this.points.delete(old.time);
    return points.filter((p) => p.time >= begin);
  }
}

function time(row: Row): number {
  return Date.parse(row.start);
}

function point(row: Row): Point {
  return { time: time(row), label: row.window === "now" ? row.at : row.label, at: row.at, outputs: row.outputs, display: row.display, final: row.final };
}
