// The values of one dimension set as a table, sortable by any column.

import { byId, el, reconcile, set, text } from "./dom";
import { id, sorted, type Dim, type Metric, type Row, type Sort, type State } from "./state";

/** More rows than anybody reads would only slow the page. */
const ROWS_MAX = 200;

export interface TableView {
  state: State;
  metric: Metric;
  window: string;
  set: string[];
  sort: Sort;
  /** The key that the chart shows. */
  chosen: Dim[] | null;
}

export interface TableActions {
  sort: (column: string) => void;
  choose: (dims: Dim[] | null) => void;
}

/** How a dimension's value is shown. */
export function dimText(dim: Dim | undefined): string {
  return dim === null || dim === undefined ? "none" : dim === "" ? "(empty)" : dim;
}

/** Draws the table; gives back how many rows there are and how many are shown. */
export function drawTable(view: TableView, actions: TableActions): [rows: number, shown: number] {
  const table = byId<HTMLTableElement>("table");
  const columns = columnsOf(view);
  const head = table.tHead ?? table.createTHead().appendChild(el("tr")).parentElement!;
  drawHead(head.firstElementChild!, columns, view.sort, actions);
  const body = table.tBodies[0] ?? table.createTBody();
  // Cells of another shape cannot be reused.
  const shape = JSON.stringify([view.metric.name, view.set, columns]);
  if (body.dataset.shape !== shape) {
    body.replaceChildren();
    body.dataset.shape = shape;
  }
  const set = view.set.join(",");
  const { metric, window, state } = view;
  const own = [...state.rows.values()].filter(
    (row) => row.metric === metric.name && row.window === window && row.set === set,
  );
  const rows = sorted(own, view.sort).slice(0, ROWS_MAX);
  const lines = reconcile(body, rows.map(id), () => line(columns.length, actions));
  rows.forEach((row, i) => update(lines[i]!, row, columns, view));
  return [own.length, rows.length];
}

interface Column {
  key: string;
  label: string;
  title: string;
  numeric: boolean;
}

function columnsOf(view: TableView): Column[] {
  const dims = view.set.map((name, i) => ({ key: `dim:${i}`, label: name.replaceAll("_", " "), title: name, numeric: false }));
  const outputs = view.metric.outputs.map((output) => ({
    key: `out:${output.name}`,
    label: output.label,
    title: output.description,
    numeric: true,
  }));
  return [...dims, ...outputs];
}

function drawHead(parent: Element, columns: Column[], sort: Sort, actions: TableActions): void {
  const cells = reconcile(parent, columns.map((c) => c.key), (key) => {
    const button = el("button", { type: "button", "data-testid": `sort-${key}` });
    button.addEventListener("click", () => actions.sort(key));
    return el("th", { scope: "col" }, button);
  });
  cells.forEach((cell, i) => {
    const column = columns[i]!;
    const sortedBy = sort.column === column.key;
    text(cell.firstElementChild!, column.label);
    set(cell, {
      class: column.numeric ? "number" : undefined,
      title: column.title,
      "aria-sort": sortedBy ? (sort.down ? "descending" : "ascending") : undefined,
    });
  });
}

function line(columns: number, actions: TableActions): HTMLTableRowElement {
  const row = el("tr");
  for (let i = 0; i < columns; i += 1) row.append(el("td"));
  const toggle = () => {
    const dims = JSON.parse(row.dataset.dims ?? "null") as Dim[] | null;
    actions.choose(row.getAttribute("aria-current") === "true" ? null : dims);
  };
  row.addEventListener("click", toggle);
  row.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    toggle();
  });
  return row;
}

function update(line: HTMLTableRowElement, row: Row, columns: Column[], view: TableView): void {
  const dims = JSON.stringify(row.dims);
  line.dataset.dims = dims;
  const choosable = view.set.length > 0;
  set(line, {
    "data-testid": "table-row",
    tabindex: choosable ? 0 : undefined,
    "aria-current": choosable && JSON.stringify(view.chosen) === dims ? "true" : undefined,
    "data-final": row.final,
    title: row.window === "now" ? undefined : row.label,
  });
  columns.forEach((column, i) => {
    const cell = line.children[i]!;
    const [kind, name = ""] = column.key.split(":");
    const dim = row.dims[Number(name)];
    text(cell, kind === "dim" ? dimText(dim) : (row.display[name] ?? "–"));
    const quiet = kind === "dim" && (dim === null || dim === "");
    set(cell, { class: column.numeric ? "number" : quiet ? "quiet" : undefined });
  });
}
