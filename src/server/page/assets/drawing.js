// A hand-drawn digit, normalised as in MNIST: white on black, centred.

import { at, say } from "./dom.js";

/** Stroke width as a share of the canvas's side. */
const STROKE = 0.08;
/** A digit fills 20 of 28 pixels, as in MNIST. */
const FILLED = 20 / 28;
const SIDE = 112;
const PAUSE_MS = 150;

/** Connects the canvas and its buttons. Calls `opened` when the canvas opens, and `given` with the image after every stroke. */
export function offer(given, opened) {
  const canvas = at("drawing");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let timer = 0;
  let last = null;

  const position = ({ clientX, clientY }) => {
    const box = canvas.getBoundingClientRect();
    return [((clientX - box.left) / box.width) * canvas.width, ((clientY - box.top) / box.height) * canvas.height];
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    clearTimeout(timer);
    last = position(event);
    line(context, last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = position(event);
    line(context, last, next);
    last = next;
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      last = null;
      timer = setTimeout(async () => given({ blob: await digit(context), name: "digit.png", drawn: true }), PAUSE_MS);
    });
  }

  at("clear").addEventListener("click", () => clear(context));
  at("draw").addEventListener("click", () => {
    clear(context);
    for (const id of ["preview", "invitation"]) at(id).hidden = true;
    for (const id of ["drawing", "clear"]) at(id).hidden = false;
    say(at("image-name"), "Draw a digit from 0 to 9.");
    opened();
  });
}

function clear(context) {
  context.fillStyle = "#000";
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
}

function line(context, [fromX, fromY], [toX, toY]) {
  context.strokeStyle = "#fff";
  context.lineWidth = STROKE * context.canvas.width;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  context.stroke();
}

/** The digit scaled as in MNIST, with its centre of mass in the middle. */
function digit(context) {
  const { left, top, right, bottom, x, y } = extent(context);
  const scale = (SIDE * FILLED) / Math.max(right - left, bottom - top, 1);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const small = canvas.getContext("2d");
  clear(small);
  small.imageSmoothingQuality = "high";
  small.setTransform(scale, 0, 0, scale, SIDE / 2 - x * scale, SIDE / 2 - y * scale);
  small.drawImage(context.canvas, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** The bounding box and centre of mass of the drawing; the whole canvas if it is empty. */
function extent(context) {
  const { width, height } = context.canvas;
  const { data } = context.getImageData(0, 0, width, height);
  const box = { left: width, top: height, right: 0, bottom: 0, x: 0, y: 0 };
  let mass = 0;
  for (let index = 0; index < width * height; index += 1) {
    const value = data[4 * index];
    if (value === 0) continue;
    const [x, y] = [index % width, Math.floor(index / width)];
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x + 1);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y + 1);
    box.x += value * x;
    box.y += value * y;
    mass += value;
  }
  if (mass === 0) return { left: 0, top: 0, right: width, bottom: height, x: width / 2, y: height / 2 };
  return { ...box, x: box.x / mass, y: box.y / mass };
}
