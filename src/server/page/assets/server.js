// Calls of the server: what it serves, what widths take, what an image shows. Knows nothing of the page.

/** The server's own word on why it did not do what it was asked. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Nobody answered. */
export class Unreachable extends Error {}

export const models = () => call("models");

export const profile = () => call("profile");

/** Classifies a body: an image, or a form of several. */
export const classify = (body, parameters, options = {}) =>
  call(`classify?${new URLSearchParams(parameters)}`, { method: "POST", body, ...options });

/** The parameters as a person would type them. */
export const address = (parameters) => new URL(`classify?${new URLSearchParams(parameters)}`, document.baseURI).href;

async function call(path, options) {
  const response = await fetch(path, options).catch((error) => {
    throw error.name === "AbortError" ? error : new Unreachable(error.message);
  });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  // A proxy in between may answer in words of its own.
  throw new Refusal(response.status, answer.code ?? "", answer.error ?? `status ${response.status}`);
}
