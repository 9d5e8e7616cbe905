// Calls to the server's API. Must not know the page.

/** An error response of the server. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The server did not answer. */
export class Unreachable extends Error {}

export const models = () => call("models");

export const profile = () => call("profile");

/** Classifies a body: an image, or a form with several. */
export const classify = (body, parameters, options = {}) =>
  call(`classify?${new URLSearchParams(parameters)}`, { method: "POST", body, ...options });

/** The URL of a classification request. */
export const address = (parameters) => new URL(`classify?${new URLSearchParams(parameters)}`, document.baseURI).href;

async function call(path, options) {
  const response = await fetch(path, options).catch((error) => {
    throw error.name === "AbortError" ? error : new Unreachable(error.message);
  });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  // A proxy may answer without a JSON error.
  throw new Refusal(response.status, answer.code ?? "", answer.error ?? `status ${response.status}`);
}
