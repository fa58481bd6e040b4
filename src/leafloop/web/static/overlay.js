// Boxes as SVG over a photo: their elements, and how one looks. Knows no pointer and changes no box.
import { clamp } from "./geometry.js";

export function shape(name, attributes = {}, parent = null) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

// Only what changes is set: with hundreds of boxes a frame is too short for the rest.
export function put(element, values) {
  const had = (element.had ??= {});
  for (const [name, value] of Object.entries(values)) {
    if (had[name] === value) continue;
    had[name] = value;
    element.setAttribute(name, value);
  }
}

export const place = (rect, box) => put(rect, { x: box.x1, y: box.y1, width: Math.max(0, box.x2 - box.x1), height: Math.max(0, box.y2 - box.y1) });

// The elements of one box. The halo keeps its colour readable on any leaf; the hit area is never under 24 css px (WCAG 2.5.8).
export function boxElement(parent, index, onfocus) {
  const group = shape("g", { class: "be-box", role: "button", tabindex: 0, "data-index": index }, parent);
  const made = { group };
  for (const name of ["hit", "halo", "edge"]) made[name] = shape("rect", { class: `be-${name}` }, group);
  made.tag = shape("g", {}, group);
  made.mark = shape("rect", { class: "be-mark", height: 18, rx: 4 }, made.tag);
  made.text = shape("text", { class: "be-words", y: 14 }, made.tag);
  group.addEventListener("focus", () => onfocus(index));
  return made;
}

// look: {colour, ink, text, name, pressed}; across: css px of the window.
export function paint(made, rect, look, across) {
  const [padX, padY] = [Math.max(0, 24 - rect.x2 + rect.x1) / 2, Math.max(0, 24 - rect.y2 + rect.y1) / 2];
  place(made.hit, { x1: rect.x1 - padX, y1: rect.y1 - padY, x2: rect.x2 + padX, y2: rect.y2 + padY });
  place(made.halo, rect);
  place(made.edge, rect);
  put(made.edge, { stroke: look.colour });
  const wide = 9 + 8 * look.text.length;
  const [left, top] = [clamp(rect.x1 - 1, 1, Math.max(1, across - wide)), rect.y1 > 20 ? rect.y1 - 19 : rect.y1 + 2];
  put(made.tag, { transform: `translate(${left} ${top})`, visibility: look.text ? "visible" : "hidden" });
  put(made.mark, { width: wide, fill: look.colour });
  put(made.text, { x: wide / 2, fill: look.ink });
  if (made.text.textContent !== look.text) made.text.textContent = look.text;
  put(made.group, { "aria-pressed": String(look.pressed), "aria-label": look.name });
}
