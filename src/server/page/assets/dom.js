// Elements by name, and new ones. Text is only ever set as text.

/** The element of this id; every id that a module asks for is in index.html. */
export const at = (id) => document.getElementById(id);

/** A new HTML element with attributes and children. */
export const element = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** A new SVG element with attributes and children. */
export const svg = (name, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

/** Shows a text where another one may stand, and touches nothing where it stands already. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function fill(node, attributes = {}, children = []) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
