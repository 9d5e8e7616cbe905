// What went wrong, said in place: the words of the server, and what can be done.

import { at, element } from "./dom.js";
import { bytes } from "./numbers.js";
import { Refusal, Unreachable } from "./server.js";

/** What a person can do about an error of this code. */
const ADVICE = {
  image_too_large: "Send a smaller copy.",
  too_many_pixels: "Send a smaller copy.",
  body_too_large: "Send a smaller copy.",
  unsupported_type: "Choose a photograph or drawing: JPEG, PNG or WebP.",
  broken_image: "Save the image again with another program, or choose another one.",
  overloaded: "The server is busy. This page asks again.",
  queue_full: "The server is busy. This page asks again.",
  deadline: "The server is busy. This page asks again.",
  stopping: "It is being stopped; the page finds it again when it is back.",
};

const TITLES = {
  413: "That is too large",
  415: "That is no image this server knows",
  422: "That cannot be done",
  503: "Not now",
  504: "Not in time",
};

const place = () => at("trouble");

/** Shows an error that a call ended with. */
export function show(error) {
  if (error instanceof Unreachable) {
    put("The server does not answer", "The connection is lost. This page tries again by itself.");
  } else if (error instanceof Refusal) {
    put(TITLES[error.status] ?? "That did not work", `The server says: ${error.message}.`, ADVICE[error.code]);
  } else {
    put("That did not work", error.message);
  }
}

/** Says that a file is too large to be sent at all. */
export function tooLarge(size, most) {
  put(TITLES[413], `The file has ${bytes(size)}, and this server takes up to ${bytes(most)}.`, "Send a smaller copy.");
}

/** All is well again. */
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
