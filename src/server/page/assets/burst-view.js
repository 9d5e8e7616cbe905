// The burst's button and result. Images missed by the server and images not sent by the browser are counted separately.

import * as burst from "./burst.js";
import { at, element } from "./dom.js";
import { count, percent, width } from "./numbers.js";
import { fetchSample } from "./image.js";
import * as server from "./server.js";

const FATES = [
  ["inTime", "in time"],
  ["late", "late"],
  ["refused", "refused"],
  ["failed", "failed"],
];
const REDRAW_MS = 200;
/** Number of full-width requests after which the server's profile correction has converged. */
const CORRECTIONS = 40;
/** Host names under which browser and server share a machine. */
const HERE = /^(localhost|127\..*|\[::1\])$/;

let playing = null;

/** Connects the button. `subject()` returns the model, the maximum number of files per request, and a sample's name. */
export function build(subject, ended) {
  at("burst-here").hidden = !HERE.test(location.hostname);
  at("burst").addEventListener("click", async () => {
    if (playing) return playing.abort();
    playing = new AbortController();
    at("burst").textContent = "Stop";
    try {
      await play(subject(), playing.signal);
    } catch (error) {
      at("burst-result").textContent = `The burst failed to start: ${error.message}`;
    }
    playing = null;
    at("burst").textContent = "Play a burst";
    ended();
  });
}

async function play({ model, maxFiles, sample }, signal) {
  const image = await shrunk(await fetchSample(sample), model.input);
  await correct(image, model, signal);
  const { workers, models } = await server.profile();
  const plan = burst.plan(models.find(({ name }) => name === model.name), workers, maxFiles);
  const parameters = { model: model.name, budget_ms: plan.budgetMs, top_k: 1 };
  const sizes = new Set(plan.stages.map(({ images }) => images));
  const bodies = new Map(await Promise.all([...sizes].map(async (images) => [images, await body(image, images)])));
  const send = (images) => server.classify(bodies.get(images).bytes, parameters, { headers: bodies.get(images).headers, signal });
  let drawn = 0;
  const tally = await burst.play(plan, send, (tally) => {
    if (performance.now() - drawn < REDRAW_MS) return;
    drawn = performance.now();
    show(tally, plan);
  }, signal);
  show(tally, plan);
  at("burst-result").append(element("p", { class: "unseen" }, inWords(tally)));
}

/** Warms up the server's profile correction; with an outdated one the plan's load would be too low or too high. */
async function correct(image, model, signal) {
  for (let times = 0; times < CORRECTIONS && !signal.aborted; times += 1) {
    await server.classify(image, { model: model.name, width: 1, top_k: 1 }, { signal }).catch(() => {});
  }
}

/** Scales an image to the model's input, so that the burst loads the network, not the connection and the decoder. */
async function shrunk(image, { width, height }) {
  const canvas = element("canvas", { width, height });
  canvas.getContext("2d").drawImage(await createImageBitmap(image), 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** The request body for `images` copies of an image, built once to save the browser's time during the burst. */
async function body(image, images) {
  const form = new FormData();
  for (let index = 0; index < images; index += 1) form.append("image", image, `${index}.png`);
  const written = new Response(images === 1 ? image : form);
  return { headers: { "content-type": written.headers.get("content-type") }, bytes: await written.arrayBuffer() };
}

function show(tally, { budgetMs }) {
  const sent = FATES.reduce((sum, [fate]) => sum + tally[fate], 0);
  const fates = FATES.filter(([fate]) => tally[fate] > 0);
  const missed = notSent(tally);
  at("burst-result").replaceChildren(
    element("div", {},
      element("div", { class: "parts", "aria-hidden": "true" }, ...fates.map(([fate]) => part(fate, tally[fate] / sent))),
      element("ul", { class: "key" }, ...fates.map(([fate, name]) => element("li", { class: fate }, `${share(tally[fate], sent)} ${name}`))),
      element("p", { class: "caption" }, `Server: ${count(sent)} images sent; in time means within ${budgetMs} ms.`),
      ...(missed ? [element("p", { class: "caption", id: "burst-browser" }, missed)] : []),
    ),
    histogram(tally.widths),
  );
}

const share = (images, all) => `${count(images)} (${percent(images / all)})`;

/** The planned images that the browser did not send, with the reasons; null if it sent all. */
function notSent({ held, behind }) {
  const reasons = [
    [held, `because all ${burst.CONNECTIONS} connections were waiting for answers`],
    [behind, "because the browser could not keep up"],
  ].filter(([images]) => Math.round(images) > 0);
  if (reasons.length === 0) return null;
  return `Browser: ${reasons.map(([images, why]) => `${count(images)} planned images were not sent ${why}`).join("; ")}.`;
}

function part(fate, share) {
  const node = element("span", { class: fate });
  node.style.setProperty("--share", share);
  return node;
}

/** The number of images at each width, as bars. */
function histogram(widths) {
  const most = Math.max(...widths.values(), 1);
  const bars = [...widths].sort(([a], [b]) => a - b).map(([at, images]) => {
    const bar = element("span", { class: "bar" });
    bar.style.setProperty("--share", images / most);
    return element("li", {}, element("span", { class: "label" }, width(at)), bar, element("span", { class: "number" }, count(images)));
  });
  return element("ol", { class: "classes", "aria-label": "Images answered at each width" }, ...bars);
}

function inWords(tally) {
  const { inTime, late, refused, failed, widths } = tally;
  const rest = widths.size > 0 ? `; the narrowest width was ${width(Math.min(...widths.keys()))}` : "";
  const part = percent(inTime / Math.max(inTime + late + refused + failed, 1));
  return `Burst finished: ${part} in time, ${refused} refused, ${late} late${rest}. ${notSent(tally) ?? ""}`;
}
