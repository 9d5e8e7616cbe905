// The answer to one image: its top classes and its timing.

import { at, element, say } from "./dom.js";
import { duration, percent, width } from "./numbers.js";

/** Texts for the `reason` of an answer. */
const REASONS = {
  requested: "the width that was requested",
  full: "full width, because time allowed it",
  load: "narrowed so that everyone waiting is answered in time",
  gain: "more width would hardly change the answer, and others wait",
  budget: "as wide as the budget allows",
  accuracy: "as narrow as the minimum accuracy allows",
  confident: "confident enough at this width",
};

/** Delay of the announcement to screen readers, so that only the last of several answers is read. */
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

/** Clears the answer. */
export function clear() {
  clearTimeout(timer);
  say(at("answer-label"), "–");
  for (const id of ["answer-probability", "answer-said"]) say(at(id), "");
  for (const id of ["answer-time", "answer-reason"]) say(at(id), "\u00a0");
  at("answer-classes").replaceChildren();
}

/** Marks the answer as pending or complete. */
export const wait = (waits) => at("answer").setAttribute("aria-busy", String(waits));

function row({ label, probability }) {
  const bar = element("span", { class: "bar" });
  bar.style.setProperty("--share", probability);
  return element("li", {}, element("span", { class: "label" }, label), bar, element("span", { class: "number" }, percent(probability)));
}
