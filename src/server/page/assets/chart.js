// A line chart as SVG, drawn at the size of its container. Must not know what its numbers mean.

import { svg } from "./dom.js";

const MARGIN = { left: 44, right: 14, top: 10, bottom: 22 };

export class Chart {
  /**
    * `x` and `y` are axes: `{ from, to, ticks, write }`, where `write` formats a tick. `pick`, if given, is called with the x of a
    * click or drag.
   */
  constructor(place, { height, x, y, pick }) {
    Object.assign(this, { place, height, x, y, lines: [], cells: [], cursor: null, hinted: "" });
    this.root = svg("svg", { role: "img", height, width: "100%" });
    place.append(this.root);
    if (pick) this.#pickable(pick);
    new ResizeObserver(() => this.#render()).observe(place);
  }

  /**
   * Draws lines, each `{ kind, points, filled }`, over cells, each `{ x, y, share }` with the ends of its ranges in `x` and `y`. A
   * point without a y interrupts the line; the larger the share, the darker the cell.
   */
  draw(lines, label, cells = []) {
    Object.assign(this, { lines, cells });
    this.root.setAttribute("aria-label", label);
    this.#render();
  }

  /** Shows a hint in the middle of an empty chart. */
  hint(text) {
    if (this.hinted === text) return;
    this.hinted = text;
    this.#render();
  }

  /** Moves the cursor to an x. */
  mark(x) {
    this.cursor = x;
    this.#renderCursor();
  }

  #across = (x) => MARGIN.left + ((x - this.x.from) / (this.x.to - this.x.from)) * this.inner;

  #down = (y) => {
    const share = (y - this.y.from) / (this.y.to - this.y.from);
    return this.height - MARGIN.bottom - share * (this.height - MARGIN.top - MARGIN.bottom);
  };

  #render() {
    const width = this.place.clientWidth;
    if (width === 0) return;
    this.inner = width - MARGIN.left - MARGIN.right;
    this.root.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    this.root.replaceChildren(...this.#grid(width), ...this.#cells(), ...this.lines.flatMap((line) => this.#line(line)), ...this.#hint(width));
    this.#renderCursor();
  }

  #hint(width) {
    if (!this.hinted) return [];
    return [svg("text", { class: "hint", x: (MARGIN.left + width - MARGIN.right) / 2, y: this.height / 2, "text-anchor": "middle" }, this.hinted)];
  }

  #grid(width) {
    const horizontal = this.y.ticks.flatMap((tick) => {
      const y = this.#down(tick);
      return [
        svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }),
        svg("text", { x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" }, this.y.write(tick)),
      ];
    });
    const vertical = this.x.ticks.map((tick) =>
      svg("text", { x: this.#across(tick), y: this.height - 4, "text-anchor": "middle" }, this.x.write(tick)),
    );
    return [...horizontal, ...vertical];
  }

  #cells() {
    return this.cells.map(({ x, y, share }) => {
      const [left, right] = x.map(this.#across);
      const [bottom, top] = y.map(this.#down);
      const place = { x: left.toFixed(1), y: top.toFixed(1), width: (right - left).toFixed(1), height: (bottom - top).toFixed(1) };
      // Rare values stay visible.
      return svg("rect", { class: "cell", ...place, "fill-opacity": (0.75 * Math.sqrt(share)).toFixed(2) });
    });
  }

  #line({ kind, points, filled }) {
    const runs = parted(points).map((run) => run.map(([x, y]) => [this.#across(x), this.#down(y)]));
    // A run of one point is a dot: the line's round end.
    const path = (run) => `M${run.map((point) => point.map((value) => value.toFixed(1)).join(" ")).join("L")}h0`;
    const floor = this.#down(this.y.from);
    const area = (run) => `${path(run)}L${run.at(-1)[0].toFixed(1)} ${floor}L${run[0][0].toFixed(1)} ${floor}z`;
    const areas = filled ? [svg("path", { class: `area ${kind}`, d: runs.map(area).join("") })] : [];
    return [...areas, svg("path", { class: `line ${kind}`, d: runs.map(path).join("") })];
  }

  #renderCursor() {
    this.root.querySelector(".cursor")?.remove();
    if (this.cursor === null || !this.inner) return;
    const x = this.#across(Math.min(Math.max(this.cursor, this.x.from), this.x.to));
    this.root.append(svg("line", { class: "cursor", x1: x, x2: x, y1: MARGIN.top, y2: this.height - MARGIN.bottom }));
  }

  #pickable(pick) {
    this.root.classList.add("pickable");
    const told = ({ clientX, buttons, type }) => {
      if (type === "pointermove" && buttons === 0) return;
      const share = (clientX - this.root.getBoundingClientRect().left - MARGIN.left) / this.inner;
      pick(this.x.from + Math.min(Math.max(share, 0), 1) * (this.x.to - this.x.from));
    };
    this.root.addEventListener("pointerdown", told);
    this.root.addEventListener("pointermove", told);
  }
}

/** Splits points into runs at those without a y. */
function parted(points) {
  const runs = [[]];
  for (const point of points) {
    if (point[1] !== null) runs.at(-1).push(point);
    else if (runs.at(-1).length > 0) runs.push([]);
  }
  return runs.filter((run) => run.length > 0);
}

/** The end of an axis: the smallest of 1, 2, 5, 10, 20, ... that is at least `value`. */
export function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return [1, 2, 5, 10].map((step) => step * power).find((end) => end >= value * 0.9999);
}
