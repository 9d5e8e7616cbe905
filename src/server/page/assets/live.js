// The live view: four charts of the server's events over the last minute.

import { Chart, ceiling } from "./chart.js";
import { at, say } from "./dom.js";
import { count, three, width } from "./numbers.js";

const SECONDS = 60;
/** Below this peak rate in images per second, the lines are hardly visible and a hint is shown. */
const FEW = 20;

/** The charts: the lines drawn from an event, the distribution behind them, and the format of the latest value. */
const SHOWN = [
  {
    id: "width",
    name: "Width",
    lines: [
      { kind: "ceiling", of: (event) => event.width_ceiling },
      { kind: "c0", of: (event) => event.width },
    ],
    shares: (event) => event.widths,
    now: (event) => (event.width === null ? "–" : width(event.width)),
    fixed: 1,
  },
  {
    id: "rate",
    name: "Images per second",
    lines: [
      { kind: "c1", of: (event) => event.images_per_s, filled: true },
      { kind: "bad", of: (event) => event.refused_per_s + event.late_per_s },
    ],
    now: (event) => count(event.images_per_s),
    least: 10,
  },
  {
    id: "latency",
    name: "Latency in milliseconds",
    lines: [
      { kind: "ceiling", of: (event) => event.latency_ms?.p99 ?? null },
      { kind: "c0", of: (event) => event.latency_ms?.p50 ?? null },
    ],
    now: (event) => (event.latency_ms ? `${three(event.latency_ms.p50)} · p99 ${three(event.latency_ms.p99)}` : "–"),
    least: 1,
  },
  {
    id: "queue",
    name: "Queued images",
    lines: [{ kind: "c0", of: (event) => event.queue_length, filled: true }],
    now: (event) => count(event.queue_length),
    least: 10,
  },
];

const charts = new Map();
const seen = [];

export function build() {
  const x = { from: -SECONDS, to: 0, ticks: [-60, -30, 0], write: (seconds) => (seconds === 0 ? "now" : `${seconds} s`) };
  for (const { id } of SHOWN) {
    const y = { from: 0, to: 1, ticks: [0, 0.5, 1], write: (value) => (value >= 1000 ? `${value / 1000}k` : String(value)) };
    charts.set(id, new Chart(at(`chart-${id}`), { height: 120, x, y }));
  }
  redraw();
}

/** Adds an event. */
export function tell(event) {
  seen.push({ at: performance.now() / 1000, event });
  redraw();
}

/** Marks a gap after the connection is lost. */
export function part() {
  if (seen.at(-1)?.event) seen.push({ at: performance.now() / 1000, event: null });
  for (const { id } of SHOWN) say(at(`now-${id}`), "–");
}

function redraw() {
  const now = performance.now() / 1000;
  while (seen.length > 0 && seen[0].at < now - SECONDS) seen.shift();
  const latest = seen.at(-1)?.event;
  const most = Math.max(0, ...seen.map(({ event }) => (event ? event.images_per_s + event.refused_per_s + event.late_per_s : 0)));
  const hint = most === 0 ? "no requests yet" : most < FEW ? "few requests yet" : "";
  for (const { id, name, lines, shares, now: write, fixed, least } of SHOWN) {
    const drawn = lines.map(({ of, ...line }) => ({
      ...line,
      points: seen.map(({ at, event }) => [at - now, event ? of(event) : null]),
    }));
    const chart = charts.get(id);
    chart.hint(hint);
    scale(chart.y, fixed ?? ceiling(Math.max(least, ...drawn.flatMap(({ points }) => points.map(([, y]) => y ?? 0)))));
    chart.draw(drawn, `${name}, last minute; now ${latest ? write(latest) : "not known"}`, shares ? cells(shares, now) : []);
    if (latest) say(at(`now-${id}`), write(latest));
  }
}

/** The cells of a distribution over time: a column for each second, as an event covers one. */
function cells(shares, now) {
  const columns = [];
  let last = Infinity;
  for (const { at, event } of [...seen].reverse()) {
    if (!event || last - at < 1) continue;
    last = at;
    columns.push(...(shares(event) ?? []).map((share, bin, all) => (
      { x: [at - now - 1, at - now], y: [bin / all.length, (bin + 1) / all.length], share }
    )).filter(({ share }) => share > 0));
  }
  return columns.filter(({ x }) => x[0] >= -SECONDS);
}

function scale(axis, to) {
  Object.assign(axis, { to, ticks: [0, to / 2, to] });
}
