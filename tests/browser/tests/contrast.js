// Returns the texts whose contrast with the background is below 4.5:1 (WCAG 2): the body of a function.

const channels = (colour) => colour.match(/[\d.]+/g).map(Number);

const luminance = ([red, green, blue]) => {
  const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
};

const ground = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const colour = channels(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};

const contrast = (node) => {
  const style = getComputedStyle(node);
  const pair = [luminance(channels(node instanceof SVGElement ? style.fill : style.color)), luminance(ground(node))];
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
};

const hasText = (node) => [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
const shown = (node) => node.checkVisibility() && !node.matches(".unseen, .skip");

return [...document.querySelectorAll("body *")]
  .filter((node) => hasText(node) && shown(node) && contrast(node) < 4.5)
  .map((node) => `${node.outerHTML.slice(0, 80)}: ${contrast(node).toFixed(2)}`);
