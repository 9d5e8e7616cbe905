// The page's controller: holds the chosen image, model and width, and updates the views.

import * as burst from "./burst-view.js";
import { listen } from "./connection.js";
import * as cost from "./cost.js";
import * as curve from "./curve.js";
import { at, element, say } from "./dom.js";
import * as drawing from "./drawing.js";
import * as live from "./live.js";
import * as network from "./network.js";
import { count, width as written } from "./numbers.js";
import * as image from "./image.js";
import * as result from "./result.js";
import * as server from "./server.js";
import * as snippets from "./snippets.js";
import * as trouble from "./trouble.js";

/** Number of classes requested. */
const TOP = { answer: 5, curve: 10 };
/** The model for drawn digits, if it is served. */
const DIGITS = "mnist";
/** Number of tries, and the pause between them, while the server is busy. */
const TRIES = 8;
const PAUSE_MS = 700;
/** Refresh interval of the profile, and maximum number of classes listed for a model. */
const PROFILE_MS = 5000;
const NAMED = 10;

const looked = { image: null, model: null, at: 0.25, auto: false };
let served = null;
let profiles = null;

/** Requests an answer for the chosen image at the chosen width. */
const ask = latest(async () => {
  if (!looked.image || !looked.model) return;
  const { image: { blob, name }, model, at: chosen, auto } = looked;
  const parameters = { model: model.name, top_k: Math.min(TOP.answer, model.classes) };
  if (!auto) parameters.width = written(chosen);
  snippets.tell(name, parameters);
  const answer = await server.classify(blob, parameters);
  result.show(answer);
  if (looked.auto) showWidth(answer.width);
});

/** Requests the answers at all widths, then the one at the chosen width. */
const askAll = latest(async () => {
  if (!looked.image || !looked.model) return;
  const { image: { blob }, model } = looked;
  const parameters = { model: model.name, all_widths: true, top_k: Math.min(TOP.curve, model.classes) };
  const { all_widths: widths } = await server.classify(blob, parameters);
  curve.draw(widths);
  await ask();
});

/** Wraps `work` so that at most one call runs: calls meanwhile cause one rerun. Retries while the server is busy. */
function latest(work) {
  let running = null;
  let again = false;
  const run = async () => {
    result.wait(true);
    let tries = TRIES;
    do {
      again = false;
      const isBusy = await work().then(trouble.clear, fail);
      if (isBusy && !again && (tries -= 1) > 0) {
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
        again = true;
      }
    } while (again);
    running = null;
    result.wait(false);
  };
  return () => {
    again = running !== null;
    running ??= run();
    return running;
  };
}

/** Shows an error. Returns whether the server is busy. */
function fail(error) {
  if (!(error instanceof server.Unreachable) && !(error instanceof server.Refusal)) console.error(error);
  trouble.show(error);
  if (error instanceof server.Refusal && error.status < 500) {
    result.clear();
    curve.clear();
  }
  return error.status === 503 || error.status === 504;
}

async function look(given) {
  if (given.model) choose(given.model);
  if (given.drawn) choose(DIGITS);
  looked.image = given;
  image.mark(given.drawn ? "draw" : given.name);
  if (!given.drawn) {
    // The results shown are of another image.
    result.clear();
    curve.clear();
    await image.show(given);
  }
  const most = served?.limits.max_body_bytes ?? Infinity;
  if (given.blob.size > most) {
    looked.image = null;
    result.clear();
    curve.clear();
    trouble.tooLarge(given.blob.size, most);
  } else {
    await askAll();
  }
}

/** Clears the page for a new drawing. */
function blank() {
  looked.image = null;
  image.mark("draw");
  choose(DIGITS);
  result.clear();
  curve.clear();
}

/** Selects a model by name, if it is served. */
function choose(name) {
  const model = served?.models.find((model) => model.name === name);
  if (!model) return;
  looked.model = model;
  at("model").value = name;
  const least = Math.min(...model.widths);
  at("width").min = written(Math.ceil(least * 100) / 100);
  cost.draw(model, profiles.models.find((profiled) => profiled.name === name));
  say(at("model-knows"), knows(model));
  go(Math.max(looked.at, least));
}

/** Describes a model's classes: a model of digits classifies a ship as a digit. */
function knows({ classes, labels }) {
  const named = labels.slice(0, NAMED).join(", ");
  const rest = labels.length > NAMED ? ` and ${count(labels.length - NAMED)} more` : "";
  return `The model knows only ${count(classes)} classes and answers with one of them for any image: ${named}${rest}.`;
}

/** Refreshes the profile, whose correction changes with the machine's load. */
async function learn() {
  if (!served || document.hidden) return;
  profiles = await server.profile();
  const profiled = profiles.models.find(({ name }) => name === looked.model.name);
  if (profiled) cost.tellCorrection(profiled.correction);
}

/** Selects a width. */
function go(width) {
  looked.at = width;
  at("width").value = width;
  showWidth(Number(at("width").value));
}

function showWidth(width) {
  const text = written(width);
  say(at("width-value"), text);
  say(at("width-share"), width >= 1 ? "every channel" : `the first ${Math.round(width * 100)} % of the channels`);
  say(at("width-cost"), cost.describe(width));
  at("width").value = width;
  at("width").setAttribute("aria-valuetext", `${text}, ${cost.describe(width)}`);
  for (const shown of [curve, cost]) shown.mark(width);
  network.light(width);
}

function pick(width) {
  at("auto").checked = looked.auto = false;
  go(Math.round(Math.max(width, Number(at("width").min)) * 100) / 100);
  ask();
}

/** Loads models and profile, also after a reconnect, when another server may answer. */
async function meet() {
  [served, profiles] = await Promise.all([server.models(), server.profile()]);
  const option = ({ name, labels }) => element("option", { value: name, title: labels.slice(0, 20).join(", ") }, name);
  at("model").replaceChildren(...served.models.map(option));
  const known = served.models.some(({ name }) => name === looked.model?.name);
  choose(known ? looked.model.name : served.default);
}

/** Runs when the server is reached, at first and after each reconnect. */
async function found() {
  status("ready", "connected");
  await meet().then(trouble.clear, fail);
  if (looked.image) await askAll();
  else await begin();
}

/** Classifies the default model's sample, or else the first sample. */
async function begin() {
  const fitting = document.querySelector(`[data-model="${looked.model?.name}"]`) ?? document.querySelector("[data-sample]");
  const name = fitting.dataset.sample;
  await look({ blob: await image.fetchSample(name), name });
}

function status(state, text) {
  at("status").dataset.state = state;
  say(at("status"), text);
}

/** Ignores errors: the event stream detects a lost connection. */
const learnQuietly = () => learn().catch(() => {});

function build() {
  network.build();
  curve.build(pick);
  cost.build(pick);
  curve.clear();
  live.build();
  snippets.build();
  image.offer(look);
  drawing.offer(look, blank);
  burst.build(() => ({
    model: looked.model,
    maxFiles: served.limits.max_files,
    sample: document.querySelector(`[data-model="${looked.model.name}"]`)?.dataset.sample ?? "ship.png",
  }), learnQuietly);
  setInterval(learnQuietly, PROFILE_MS);
  at("width").addEventListener("input", ({ target }) => pick(Number(target.value)));
  at("auto").addEventListener("change", ({ target }) => {
    looked.auto = target.checked;
    if (!looked.auto) go(Number(at("width").value));
    ask();
  });
  at("model").addEventListener("change", ({ target }) => {
    choose(target.value);
    askAll();
  });
}

build();
listen({
  told: (event) => {
    status(event.ready ? "ready" : "waiting", event.ready ? "connected" : "warming up");
    live.tell(event);
  },
  lost: () => {
    status("lost", "connection lost");
    live.part();
    trouble.show(new server.Unreachable());
  },
  refused: () => {
    status("waiting", "no live view");
    live.part();
    if (!served) found();
  },
  found,
});
