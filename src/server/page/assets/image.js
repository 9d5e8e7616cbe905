// Image input: file chooser, drag and drop, paste, samples.

import { at, say } from "./dom.js";

/** Calls `given` with each image as `{ blob, name, model }`. A sample names its model. */
export function offer(given) {
  chosen(given);
  dropped(given);
  pasted(given);
  samples(given);
}

/** Shows the chosen image, or only the name of a file that is not an image. */
export async function show({ blob, name }) {
  const preview = at("preview");
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(blob);
  preview.alt = name;
  at("drawing").hidden = true;
  at("clear").hidden = true;
  say(at("image-name"), name);
  const isImage = await preview.decode().then(() => true, () => false);
  // Small images are shown as pixels, without smoothing.
  preview.classList.toggle("pixels", preview.naturalWidth <= 64);
  preview.hidden = !isImage;
  at("invitation").hidden = isImage;
}

/** Marks the button of the chosen sample, if there is one. */
export function mark(name) {
  for (const button of document.querySelectorAll(".thumb")) {
    button.setAttribute("aria-pressed", String((button.dataset.sample ?? button.id) === name));
  }
}

function chosen(given) {
  at("file").addEventListener("change", ({ target }) => {
    if (target.files.length > 0) given(of(target.files[0]));
    // Allows the same file to be chosen again.
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

/** Fetches a sample as a file. */
export async function fetchSample(name) {
  const response = await fetch(`page/samples/${name}`);
  return response.blob();
}

const of = (file) => ({ blob: file, name: file.name || "image" });
