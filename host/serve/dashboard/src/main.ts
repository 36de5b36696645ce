// Wires the stream, the choices of the viewer and the parts of the page.

import "./style.css";
import { Chart } from "./chart";
import { byId, choices, el, reconcile, set, text } from "./dom";
import { History } from "./history";
import { apply, chartWindow, empty, id, streamUrl, windowOf, type Dim, type Event, type Metric, type Sort } from "./state";
import { Stream, type Connection } from "./stream";
import { dimText, drawTable } from "./table";
import { drawTiles } from "./tiles";

/** Without any event for so long, the numbers are marked as stale. */
const QUIET_MS_MAX = 10_000;

let state = empty();
let connection: Connection = "connecting";
let lastEvent = Date.now();
/** The stream broke off since the chart's history was asked for. */
let missed = false;
let chosenWindow = localStorage.getItem("weir.window") ?? "15m";
let selected: string | null = location.hash.slice(1) || null;
let dimensionSet: string[] = [];
let output = "";
let chosenKey: Dim[] | null = null;
let sort: Sort = { column: "", down: true };

const chart = new Chart();
const history = new History(() => schedule());
const stream = new Stream(url, onEvent, (next) => {
  connection = next;
  missed ||= next === "lost";
  schedule();
});

function metricOf(name: string | null): Metric | undefined {
  return state.catalogue.find((metric) => metric.name === name);
}

/** The grand totals of everything, and all keys of what the table and the chart show. */
function url(cautious: boolean): string {
  const selects: [string, string, string][] = [["", "", ""]];
  const metric = cautious ? undefined : metricOf(selected);
  if (metric && dimensionSet.length > 0) {
    const group = dimensionSet.join(",");
    const windows = new Set([windowOf(metric, chosenWindow)]);
    if (chosenKey !== null) windows.add(chartWindow(metric));
    for (const window of windows) selects.push([metric.name, window, group]);
  }
  return streamUrl(selects);
}

function course(metric: Metric) {
  const dims = chosenKey ?? [];
  const group = chosenKey === null ? "" : dimensionSet.join(",");
  return { metric: metric.name, window: chartWindow(metric), set: group, dims };
}

function onEvent(event: Event): void {
  lastEvent = Date.now();
  state = apply(state, event);
  if (event.type === "snapshot" || event.type === "catalogue") keepSelection();
  const metric = metricOf(selected);
  if (metric && missed && event.type === "snapshot") {
    missed = false;
    history.refresh(course(metric));
  }
  if (metric && (event.type === "snapshot" || event.type === "change")) feedChart(metric);
  schedule();
}

/** Continues the chart: with its key's changed value, or a current value that still holds. */
function feedChart(metric: Metric): void {
  const row = state.rows.get(id(course(metric)));
  if (row) history.add(row, state.clock);
}

/** After the catalogue changed: what is selected may have left, and something must be selected. */
function keepSelection(): void {
  if (!metricOf(selected) && state.catalogue[0]) select(state.catalogue[0].name);
  else if (output === "" && selected !== null) select(selected);
}

function select(name: string): void {
  const metric = metricOf(name);
  if (!metric) return;
  selected = name;
  chosenKey = null;
  dimensionSet = metric.dimension_sets.find((group) => group.length === 1) ?? metric.dimension_sets[0] ?? [];
  output = metric.outputs[0]?.name ?? "";
  sort = { column: `out:${output}`, down: true };
  window.history.replaceState(null, "", `#${name}`);
  history.ask(course(metric));
  stream.open();
  schedule();
}

function regroup(group: string[]): void {
  const metric = metricOf(selected);
  if (!metric) return;
  const charted = chosenKey !== null;
  dimensionSet = group;
  chosenKey = null;
  if (sort.column.startsWith("dim:")) sort = { column: `out:${output}`, down: true };
  if (charted) history.ask(course(metric));
  stream.open();
  schedule();
}

function chooseKey(dims: Dim[] | null): void {
  const metric = metricOf(selected);
  if (!metric || dimensionSet.length === 0) return;
  chosenKey = dims;
  history.ask(course(metric));
  stream.open();
  schedule();
}

function sortBy(column: string): void {
  const down = sort.column === column ? !sort.down : column.startsWith("out:");
  sort = { column, down };
  schedule();
}

let scheduled = false;
/** Draws once for all that happens before the next frame. */
function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    draw();
  });
}

function draw(): void {
  const quiet = Math.round((Date.now() - lastEvent) / 1000);
  const silent = connection === "live" && quiet * 1000 >= QUIET_MS_MAX;
  const stale =
    connection === "lost" ? "connection lost; these are the last numbers" : silent ? `no update for ${quiet} s` : null;
  drawBar(stale);
  drawConditions();
  drawTiles({ state, window: chosenWindow, selected, stale }, select);
  const metric = metricOf(selected);
  set(byId("detail"), { hidden: metric === undefined });
  if (metric) {
    drawChart(metric);
    drawDetail(metric);
  }
}

function drawBar(stale: string | null): void {
  const words = { connecting: "connecting …", live: "live", lost: "reconnecting …" };
  const clock = state.clock === null ? "" : ` · ${state.clock.slice(0, 10)} ${state.clock.slice(11, 19)} UTC`;
  const epoch = state.epoch === null ? "" : ` · epoch ${state.epoch}`;
  const pill = byId("connection");
  set(pill, { "data-state": stale === null ? connection : "lost" });
  text(pill, connection === "live" ? `${words.live}${clock}${epoch}` : words[connection]);

  const all = [...new Set(state.catalogue.flatMap((metric) => metric.windows))].filter((name) => name !== "now");
  if (all.length > 0 && !all.includes(chosenWindow)) chosenWindow = all[0]!;
  const buttons = reconcile(byId("windows"), all, windowButton);
  buttons.forEach((button, i) => {
    const checked = all[i] === chosenWindow;
    set(button, { "aria-checked": String(checked), tabindex: checked ? 0 : -1 });
  });
}

function windowButton(name: string): HTMLButtonElement {
  const button = el("button", { type: "button", role: "radio", "data-testid": `window-${name}` }, name);
  button.addEventListener("click", () => {
    chosenWindow = name;
    localStorage.setItem("weir.window", name);
    stream.open();
    schedule();
  });
  button.addEventListener("keydown", (event) => {
    const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" } as const;
    const other = event.key in step ? button[step[event.key as keyof typeof step]] : null;
    if (!(other instanceof HTMLElement)) return;
    other.focus();
    other.click();
  });
  return button;
}

function drawConditions(): void {
  const troubles = state.health.sources.filter((source) => source.trouble !== null);
  const lines: [key: string, blocking: boolean][] = [
    ...state.health.conditions.map((c): [string, boolean] => [`${c.part}: ${c.reason}`, c.blocking]),
    ...troubles.map((s): [string, boolean] => [`source ${s.name}: ${s.trouble}`, true]),
  ];
  const parts = reconcile(byId("conditions"), lines.map(([line]) => line), (line) => el("p", {}, line));
  parts.forEach((part, i) => set(part, { class: lines[i]![1] ? "blocking" : "warning" }));
}

function drawChart(metric: Metric): void {
  const shown = metric.outputs.find((o) => o.name === output) ?? metric.outputs[0];
  if (!shown) return;
  const key = chosenKey === null ? "" : ` · ${chosenKey.map((dim, i) => `${dimensionSet[i]} ${dimText(dim)}`).join(", ")}`;
  text(byId("chart-title"), metric.title + key);
  const what = chosenKey === null ? "grand total" : "selected key";
  const kind = metric.windows.includes("now") ? "current value" : `windows of ${chartWindow(metric)}`;
  const trouble = history.trouble === null ? "" : ` · history is not available: ${history.trouble}`;
  text(byId("chart-note"), `${what}, last hour, ${kind}${trouble}`);
  const numeric = metric.outputs.filter((o) => !o.list && (o.type === "int" || o.type === "float"));
  const select = byId<HTMLSelectElement>("output");
  choices(select, numeric.map((o) => [o.name, o.label]), shown.name);
  set(select.parentElement!, { hidden: numeric.length < 2 });
  chart.draw(metric.title + key, history.course(), shown);
}

function drawDetail(metric: Metric): void {
  const names = (group: string[]) => (group.length === 0 ? "grand total" : group.join(", ").replaceAll("_", " "));
  const groups = metric.dimension_sets;
  choices(byId<HTMLSelectElement>("set"), groups.map((g) => [g.join(","), names(g)]), dimensionSet.join(","));
  const window = windowOf(metric, chosenWindow);
  const view = { state, metric, window, set: dimensionSet, sort, chosen: chosenKey };
  const [rows, shown] = drawTable(view, { sort: sortBy, choose: chooseKey });
  text(byId("table-title"), dimensionSet.length === 0 ? "In total" : `By ${names(dimensionSet)}`);
  const count = rows === shown ? `${rows} ${rows === 1 ? "row" : "rows"}` : `the first ${shown} of ${rows} rows`;
  const hint = dimensionSet.length > 0 && rows > 0 ? " · select a row to chart it" : "";
  text(byId("table-note"), `${window === "now" ? "current values" : `window ${window}`} · ${count}${hint}`);
}

function theme(): void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const saved = localStorage.getItem("weir.theme");
  const show = (name: string) => (document.documentElement.dataset.theme = name);
  show(saved ?? (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", () => localStorage.getItem("weir.theme") ?? show(dark.matches ? "dark" : "light"));
  byId("theme").addEventListener("click", () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem("weir.theme", next);
    show(next);
  });
}

theme();
byId<HTMLSelectElement>("set").addEventListener("change", (event) => {
  const value = (event.target as HTMLSelectElement).value;
  regroup(value === "" ? [] : value.split(","));
});
byId<HTMLSelectElement>("output").addEventListener("change", (event) => {
  output = (event.target as HTMLSelectElement).value;
  schedule();
});
window.addEventListener("hashchange", () => select(location.hash.slice(1)));
// So that "no update" shows although nothing comes.
setInterval(() => schedule(), 1_000);
stream.open();
schedule();
