// Axis arithmetic of the chart. Pure.

/** Round steps from 0 (or below) to at least `most`, about four of them; seconds in steps of clock faces. */
export function ticks(least: number, most: number, unit: string, whole: boolean): number[] {
  const low = Math.min(0, least);
  const high = most > low ? most : low + 1;
  const rough = (high - low) / 4;
  const step = unit === "s" ? clockStep(rough) : Math.max(decimalStep(rough), whole ? 1 : 0);
  const first = Math.floor(low / step);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

function decimalStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  return (([1, 2, 5].find((m) => m * power >= rough) ?? 10) * power);
}

function clockStep(rough: number): number {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];
  return rough < 1 ? decimalStep(rough) : (steps.find((step) => step >= rough) ?? decimalStep(rough / 86_400) * 86_400);
}

/** A number on the axis. Values themselves are formatted by the server. */
export function tickText(value: number, unit: string): string {
  if (unit === "s" && Math.abs(value) >= 1) {
    if (value % 86_400 === 0) return `${value / 86_400}d`;
    if (value % 3_600 === 0) return `${value / 3_600}h`;
    if (value % 60 === 0) return `${value / 60}m`;
    if (Math.abs(value) > 60) return `${Math.floor(value / 60)}m ${String(value % 60).padStart(2, "0")}s`;
    return `${value}s`;
  }
  if (unit === "s" && value !== 0) return `${Math.round(value * 1000)}ms`;
  const size = Math.abs(value);
  const [by, suffix] = size >= 1e9 ? [1e9, "G"] : size >= 1e6 ? [1e6, "M"] : size >= 1e4 ? [1e3, "k"] : [1, ""];
  return `${Number((value / by).toPrecision(4))}${suffix}`;
}
