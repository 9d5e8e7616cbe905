// Shows the last request as a curl command and as Python code.

import { at, say } from "./dom.js";
import { address } from "./server.js";

const LANGUAGES = { curl, python };
const SAID_MS = 1500;

let language = "curl";
let last = null;

export function build() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  for (const tab of tabs) {
    tab.addEventListener("click", () => choose(tab, tabs));
    tab.addEventListener("keydown", ({ key }) => {
      if (key !== "ArrowLeft" && key !== "ArrowRight") return;
      const other = tabs[(tabs.indexOf(tab) + (key === "ArrowRight" ? 1 : tabs.length - 1)) % tabs.length];
      choose(other, tabs);
      other.focus();
    });
  }
  at("copy").addEventListener("click", copy);
}

/** Sets the request to show: the file's name and the parameters. */
export function tell(name, parameters) {
  last = { name, url: address(parameters) };
  show();
}

function choose(chosen, tabs) {
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
  }
  at("code").setAttribute("aria-labelledby", chosen.id);
  language = chosen.id.replace("tab-", "");
  show();
}

function show() {
  if (last) say(at("code-text"), LANGUAGES[language](last));
}

function curl({ name, url }) {
  return `curl --data-binary @${quoted(name)} ${quoted(url)}`;
}

function python({ name, url }) {
  return [
    "import requests  # pip install requests",
    "",
    `with open(${JSON.stringify(name)}, "rb") as image:`,
    `    response = requests.post(${JSON.stringify(url)}, data=image.read(), timeout=10)`,
    "if not response.ok:",
    "    # The body has the error as text and code; after 503, retry as Retry-After says.",
    '    raise SystemExit(f"{response.status_code}: {response.text}")',
    "answer = response.json()",
    'print(answer["width"], answer["predictions"])',
  ].join("\n");
}

/** A shell word, quoted if needed. */
const quoted = (text) => (/^[\w.][\w.-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

async function copy() {
  // The clipboard is available only on localhost or over TLS; otherwise the text is selected for copying by hand.
  const written = await (navigator.clipboard?.writeText(at("code-text").textContent) ?? Promise.reject()).then(() => true, () => false);
  if (!written) getSelection().selectAllChildren(at("code-text"));
  const word = written ? "Copied" : "Selected";
  at("copy").textContent = word;
  say(at("copied"), word);
  setTimeout(() => {
    at("copy").textContent = "Copy";
    say(at("copied"), "");
  }, SAID_MS);
}
