// Shows errors: the server's message and advice.

import { at, element } from "./dom.js";
import { bytes } from "./numbers.js";
import { Refusal, Unreachable } from "./server.js";

/** Advice by error code. */
const ADVICE = {
  image_too_large: "Send a smaller copy.",
  too_many_pixels: "Send a smaller copy.",
  body_too_large: "Send a smaller copy.",
  unsupported_type: "Choose a JPEG, PNG or WebP image.",
  broken_image: "Save the image again with another program, or choose another one.",
  overloaded: "The server is busy. This page retries.",
  queue_full: "The server is busy. This page retries.",
  deadline: "The server is busy. This page retries.",
  stopping: "The server is stopping. This page reconnects when it is back.",
};

const TITLES = {
  413: "That is too large",
  415: "Unsupported image type",
  422: "The request cannot be processed",
  503: "The server is busy or stopping",
  504: "The deadline passed",
};

const place = () => at("trouble");

/** Shows the error of a failed call. */
export function show(error) {
  if (error instanceof Unreachable) {
    put("The server does not answer", "The connection is lost. This page reconnects automatically.");
  } else if (error instanceof Refusal) {
    put(TITLES[error.status] ?? "The request failed", `The server says: ${error.message}.`, ADVICE[error.code]);
  } else {
    put("The request failed", error.message);
  }
}

/** Shows that a file exceeds the server's limit. */
export function tooLarge(size, most) {
  put(TITLES[413], `The file has ${bytes(size)}; this server accepts up to ${bytes(most)}.`, "Send a smaller copy.");
}

/** Hides the error. */
export function clear() {
  place().hidden = true;
  place().replaceChildren();
}

function put(title, text, advice) {
  const parts = [element("strong", {}, title), element("span", {}, text)];
  if (advice) parts.push(element("span", { class: "advice" }, advice));
  place().replaceChildren(...parts);
  place().hidden = false;
}
