// One tile for each metric: its grand total, how sure it is, and whether it moves.

import { byId, el, reconcile, set, text } from "./dom";
import { id, windowOf, type Metric, type Row, type State } from "./state";

export interface TilesView {
  state: State;
  window: string;
  selected: string | null;
  /** Why nothing moves, whatever the metric. */
  stale: string | null;
}

export function drawTiles(view: TilesView, select: (metric: string) => void): void {
  const metrics = new Map(view.state.catalogue.map((metric) => [metric.name, metric]));
  const tiles = reconcile(byId("tiles"), [...metrics.keys()], (name) => make(name, select));
  for (const tile of tiles) {
    const metric = metrics.get(tile.dataset.key ?? "");
    if (metric) update(tile, metric, view);
  }
  const root = byId("tiles");
  set(root, { "data-empty": metrics.size === 0 });
}

function make(name: string, select: (metric: string) => void): HTMLButtonElement {
  const part = (kind: string) => el("span", { class: kind, "data-testid": `${kind}-${name}` });
  const head = el("span", { class: "tile-head" }, part("tile-title"), part("mark"));
  const tile = el(
    "button",
    { type: "button", class: "tile", "data-testid": `tile-${name}` },
    head,
    part("value"),
    part("label"),
    el("span", { class: "others" }),
    part("stale"),
  );
  tile.addEventListener("click", () => select(name));
  return tile;
}

function find(tile: Element, kind: string): HTMLElement {
  const element = tile.querySelector<HTMLElement>(`.${kind}`);
  if (element === null) throw new Error(`a tile has no ${kind}`);
  return element;
}

/** How sure a value is, in a word, and in a sentence. */
export function mark(row: Row | undefined, window: string): [kind: string, word: string, why: string] {
  if (!row) return ["none", "empty", "No sample in this window"];
  if (window === "now") return ["now", "now", "The current value"];
  if (!row.complete) return ["partial", "partial", "The metric was loaded after this window had begun"];
  if (row.final) return ["final", "final", "The window is over; only late events can correct it"];
  return ["provisional", "provisional", "The window is still running"];
}

function update(tile: HTMLButtonElement, metric: Metric, view: TilesView): void {
  const window = windowOf(metric, view.window);
  const row = view.state.rows.get(id({ metric: metric.name, window, set: "", dims: [] }));
  const [first, ...rest] = metric.outputs;
  const shown = (first && row?.display[first.name]) ?? "–";
  const stale = view.stale ?? view.state.health.metrics[metric.name]?.stale ?? null;
  const [kind, word, why] = mark(row, window);

  text(find(tile, "tile-title"), metric.title);
  set(tile, { title: metric.description, "aria-pressed": String(view.selected === metric.name) });
  const badge = find(tile, "mark");
  text(badge, word);
  set(badge, { class: `mark mark-${kind}`, title: why });
  const value = find(tile, "value");
  if (text(value, shown)) flash(value);
  set(value, { "data-value": first && row ? String(row.outputs[first.name]) : undefined });
  const label = first && rest.length > 0 ? `${first.label} · ` : "";
  text(find(tile, "label"), label + (row ? windowLabel(row) : window));
  drawOthers(find(tile, "others"), rest.slice(0, 3), row);
  set(tile, { "data-stale": stale !== null });
  text(find(tile, "stale"), stale ?? "");
}

function windowLabel(row: Row): string {
  return row.window === "now" ? "current value" : `${row.window} · ${row.label}`;
}

function drawOthers(parent: HTMLElement, outputs: Metric["outputs"], row: Row | undefined): void {
  const items = reconcile(parent, outputs.map((output) => output.name), () => el("span", {}, el("i"), el("b")));
  items.forEach((item, i) => {
    const output = outputs[i];
    if (!output) return;
    text(item.children[0] as Element, output.label);
    text(item.children[1] as Element, row?.display[output.name] ?? "–");
    set(item, { title: output.description });
  });
}

function flash(element: HTMLElement): void {
  element.classList.remove("flash");
  void element.offsetWidth; // starts the animation anew
  element.classList.add("flash");
}
