// The drawing of a network at a width: the channels of its layers, the active ones highlighted, and the fan-in of each.

import { at, svg } from "./dom.js";

const LAYERS = 4;
const CHANNELS = 16;
const CELL = { width: 34, height: 9, apart: 3.4 };
/** Horizontal distance between layers. */
const STRIDE = 118;
/** Active channels are coloured by the width that first needs them, as in the project's figures. */
const BANDS = 4;

/** Draws the network once. */
export function build() {
  const [fans, cells] = [[], []];
  for (let layer = 0; layer < LAYERS; layer += 1) {
    for (let channel = 0; channel < CHANNELS; channel += 1) {
      cells.push(cell(layer, channel));
      if (layer > 0) fans.push(fan(layer, channel));
    }
  }
  const size = `${(LAYERS - 1) * STRIDE + CELL.width} ${top(CHANNELS) - CELL.apart}`;
  at("network").append(svg("svg", { viewBox: `0 0 ${size}` }, ...fans, ...cells));
}

/** Highlights the active channels of a width: channel `c` of `C` is active if `c / C` is below the width. */
export function light(width) {
  for (const part of at("network").querySelectorAll("[data-channel]")) {
    part.classList.toggle("on", Number(part.dataset.channel) / CHANNELS < width);
  }
}

const top = (channel) => channel * (CELL.height + CELL.apart);

function cell(layer, channel) {
  const band = Math.floor((channel / CHANNELS) * BANDS);
  const place = { x: layer * STRIDE, y: top(channel), width: CELL.width, height: CELL.height, rx: 2.5 };
  return svg("rect", { ...place, class: `channel k${band}`, "data-channel": channel });
}

/** The polygon from the channels of the previous layer that a channel reads to the channel. */
function fan(layer, channel) {
  const [from, to] = [(layer - 1) * STRIDE + CELL.width, layer * STRIDE];
  const bottom = top(channel) + CELL.height;
  const points = [[from, 0], [to, top(channel)], [to, bottom], [from, bottom]];
  return svg("polygon", { points: points.join(" "), class: "fan", "data-channel": channel });
}
