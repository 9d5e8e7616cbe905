// Images that a person gives: chosen, dropped, pasted, or one of the samples.

import { at, say } from "./dom.js";

/** Calls `given` with each image, as `{ blob, name, model }`; a sample names the model that it is made for. */
export function offer(given) {
  chosen(given);
  dropped(given);
  pasted(given);
  samples(given);
}

/** Shows an image as the one that is looked at; a file that is none shows its name alone. */
export async function show({ blob, name }) {
  const preview = at("preview");
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(blob);
  preview.alt = name;
  at("drawing").hidden = true;
  at("clear").hidden = true;
  say(at("image-name"), name);
  const isImage = await preview.decode().then(() => true, () => false);
  // Small ones are made of visible pixels, not of blur.
  preview.classList.toggle("pixels", preview.naturalWidth <= 64);
  preview.hidden = !isImage;
  at("invitation").hidden = isImage;
}

/** Marks the button of what is looked at, if it is one of them. */
export function mark(name) {
  for (const button of document.querySelectorAll(".thumb")) {
    button.setAttribute("aria-pressed", String((button.dataset.sample ?? button.id) === name));
  }
}

function chosen(given) {
  at("file").addEventListener("change", ({ target }) => {
    if (target.files.length > 0) given(of(target.files[0]));
    // The same file may be chosen again.
    target.value = "";
  });
}

function dropped(given) {
  const card = at("image");
  const over = (is) => card.classList.toggle("over", is);
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (event.dataTransfer.files.length > 0) given(of(event.dataTransfer.files[0]));
  });
  card.addEventListener("dragenter", () => over(true));
  card.addEventListener("dragleave", ({ relatedTarget }) => over(card.contains(relatedTarget)));
}

function pasted(given) {
  addEventListener("paste", ({ clipboardData }) => {
    if (clipboardData.files.length > 0) given(of(clipboardData.files[0]));
  });
}

function samples(given) {
  for (const button of document.querySelectorAll("[data-sample]")) {
    const { sample, model } = button.dataset;
    button.addEventListener("click", async () => given({ blob: await fetchSample(sample), name: sample, model }));
  }
}

/** One of the samples, as a file. */
export async function fetchSample(name) {
  const response = await fetch(`page/samples/${name}`);
  return response.blob();
}

const of = (file) => ({ blob: file, name: file.name || "image" });
