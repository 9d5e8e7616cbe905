// DOM helpers. Text is always set as text, never as HTML.

/** The element with this id. A test checks that index.html has every id in use. */
export const at = (id) => document.getElementById(id);

/** A new HTML element with attributes and children. */
export const element = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** A new SVG element with attributes and children. */
export const svg = (name, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

/** Sets an element's text, unless it is unchanged. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function fill(node, attributes = {}, children = []) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
