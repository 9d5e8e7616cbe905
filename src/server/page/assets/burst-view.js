// The button of the burst, and what became of its images.

import * as burst from "./burst.js";
import { at, element } from "./dom.js";
import { count, percent, width } from "./numbers.js";
import { fetchSample } from "./picture.js";
import * as server from "./server.js";

const FATES = [
  ["inTime", "in time"],
  ["late", "late"],
  ["refused", "refused"],
  ["failed", "failed"],
];
const REDRAW_MS = 200;

let playing = null;

/** Lets the button play. `subject()` says what against: a model, how many files a request may have, and a sample's name. */
export function build(subject) {
  at("burst").addEventListener("click", async () => {
    if (playing) return playing.abort();
    playing = new AbortController();
    at("burst").textContent = "Stop";
    try {
      await play(subject(), playing.signal);
    } catch (error) {
      at("burst-result").textContent = `The burst did not begin: ${error.message}`;
    }
    playing = null;
    at("burst").textContent = "Play a burst";
  });
}

async function play({ model, maxFiles, sample }, signal) {
  const [picture, { workers, models }] = await Promise.all([fetchSample(sample), server.profile()]);
  const image = await shrunk(picture, model.input);
  const plan = burst.plan(models.find(({ name }) => name === model.name), workers, maxFiles);
  const parameters = { model: model.name, budget_ms: plan.budgetMs, top_k: 1 };
  const bodies = new Map(plan.stages.map(({ images }) => [images, body(image, images)]));
  const send = (images) => server.classify(bodies.get(images), parameters, { signal });
  let drawn = 0;
  const tally = await burst.play(plan, send, (tally) => {
    if (performance.now() - drawn < REDRAW_MS) return;
    drawn = performance.now();
    show(tally, plan);
  }, signal);
  show(tally, plan);
  at("burst-result").append(element("p", { class: "unseen" }, inWords(tally)));
}

/** A picture in the size that a model reads: a burst is to load the network, not the connection and the decoder. */
async function shrunk(picture, { width, height }) {
  const canvas = element("canvas", { width, height });
  canvas.getContext("2d").drawImage(await createImageBitmap(picture), 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** So many copies of an image, as a request's body. */
function body(image, images) {
  if (images === 1) return image;
  const form = new FormData();
  for (let index = 0; index < images; index += 1) form.append("image", image, `${index}.png`);
  return form;
}

function show(tally, { budgetMs }) {
  const ended = FATES.reduce((sum, [fate]) => sum + tally[fate], 0);
  const parts = FATES.filter(([fate]) => tally[fate] > 0).map(([fate, name]) => part(fate, name, tally[fate], ended));
  const note = tally.notSent > 0 ? ` ${count(tally.notSent)} more were due, but the browser did not get to them.` : "";
  at("burst-result").replaceChildren(
    element("div", {},
      element("div", { class: "parts" }, ...parts),
      element("p", { class: "caption" }, `${count(ended)} images; in time is within ${budgetMs} ms.${note}`),
    ),
    histogram(tally.widths),
  );
}

function part(fate, name, images, all) {
  const node = element("span", { class: fate }, element("b", {}, count(images)), ` ${name}`);
  node.style.setProperty("--share", images / all);
  return node;
}

/** How many images ran at which width, as bars. */
function histogram(widths) {
  const most = Math.max(...widths.values(), 1);
  const bars = [...widths].sort(([a], [b]) => a - b).map(([at, images]) => {
    const bar = element("span", { class: "bar" });
    bar.style.setProperty("--share", images / most);
    return element("li", {}, element("span", { class: "label" }, width(at)), bar, element("span", { class: "number" }, count(images)));
  });
  return element("ol", { class: "classes", "aria-label": "Images answered at each width" }, ...bars);
}

function inWords({ inTime, late, refused, failed, widths }) {
  const narrowest = Math.min(...widths.keys());
  const share = percent(inTime / Math.max(inTime + late + refused + failed, 1));
  return `The burst is over: ${share} in time, ${refused} refused, ${late} late; the narrowest width was ${width(narrowest)}.`;
}
