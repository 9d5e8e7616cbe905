// The answer to one image: its likeliest classes, and what it took.

import { at, element, say } from "./dom.js";
import { duration, percent, width } from "./numbers.js";

/** What the server's reasons mean. */
const REASONS = {
  requested: "the width that was asked for",
  full: "full width: there was time for all of it",
  load: "narrowed, so that all who wait are answered in time",
  budget: "as wide as the budget allows",
  accuracy: "as narrow as the accuracy allows",
  confident: "sure enough at this width",
};

/** How long a screen reader waits for the last of several answers. */
const PAUSE_MS = 600;
let timer = 0;

/** Shows an answer of `/classify`. */
export function show({ width: ran, reason, predictions, timing_ms: timing }) {
  const [first] = predictions;
  say(at("answer-label"), first.label);
  say(at("answer-probability"), percent(first.probability));
  at("answer-classes").replaceChildren(...predictions.map(row));
  const took = `${duration(timing.inference)} in the network`;
  say(at("answer-time"), `${took} · ${duration(timing.decode)} decoding · ${duration(timing.total)} in all`);
  say(at("answer-reason"), `Width ${width(ran)}: ${REASONS[reason] ?? reason}.`);
  clearTimeout(timer);
  const said = `${first.label}, ${percent(first.probability)}, at width ${width(ran)}, ${took}`;
  timer = setTimeout(() => say(at("answer-said"), said), PAUSE_MS);
}

/** Shows that there is none. */
export function clear() {
  clearTimeout(timer);
  say(at("answer-label"), "–");
  for (const id of ["answer-probability", "answer-said"]) say(at(id), "");
  for (const id of ["answer-time", "answer-reason"]) say(at(id), "\u00a0");
  at("answer-classes").replaceChildren();
}

/** Says whether an answer is on its way. */
export const wait = (waits) => at("answer").setAttribute("aria-busy", String(waits));

function row({ label, probability }) {
  const bar = element("span", { class: "bar" });
  bar.style.setProperty("--share", probability);
  return element("li", {}, element("span", { class: "label" }, label), bar, element("span", { class: "number" }, percent(probability)));
}
