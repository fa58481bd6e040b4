// The box editor: boxes over a photo, drawn, moved, resized, relabelled and deleted by mouse, finger and keyboard.
// Boxes are in photo pixels and never leave the photo. Knows neither network nor words: both belong to the page.
//
// A drag on the selected box moves it, on one of its handles resizes it, on another box's edge takes that box along; anywhere
// else it draws. A tap selects (again: the next box below). Two fingers or the wheel zoom, two fingers or Space and a drag pan.
// Keys on a box: arrows move it, with Shift they resize it, with Alt by one pixel; Delete removes it; Ctrl+Z, Ctrl+Y; + and -. With
// no box selected the arrows pan. `addInMiddle` draws for who has no pointer.
import { between, boxesAt, clamp, fitted, handleAt, handles, moved, onEdge, onScreen, resized, toPhoto, whole, zoomed } from "./geometry.js";
import { loupe } from "./loupe.js";
import { boxElement, paint, place, put, shape } from "./overlay.js";

const MARGIN = 14; // css px around the photo, so that a finger can begin beside a lesion at its edge
const FINGER = { reach: 44, slack: 14, dot: 9, still: 8 }; // css px; 44: the smallest target that a finger hits (WCAG 2.5.5)
const MOUSE = { reach: 16, slack: 6, dot: 5, still: 3 };
const PAN = 80; // css px an arrow key pans: several presses across a screen
const NEW = 96; // css px across: a new box in the middle is large enough to be taken hold of
const STEP = 8; // css px an arrow key moves: seen, and soon across
const LARGEST = 4; // css px a photo px: more shows no more
const REMEMBERED = 200; // steps that can be taken back
const ARROWS = { ArrowLeft: { x: -1, y: 0 }, ArrowRight: { x: 1, y: 0 }, ArrowUp: { x: 0, y: -1 }, ArrowDown: { x: 0, y: 1 } };

// options: {width, height, classes, boxes, newClass(), onchange(boxes), onselect(index), minSide, loupe, label(box, class, index),
//   words: {photo: "...", box: "{title}, box {number} of {count}"}, describedby: id}
export function editor(host, options) {
  const size = { width: options.width, height: options.height };
  const least = Math.min(options.minSide ?? 4, size.width, size.height);
  const classes = new Map(options.classes.map((one) => [one.id, one]));
  const words = { photo: "", box: "{title} {number}/{count}", ...options.words };
  const newClass = options.newClass ?? (() => options.classes[0].id);
  const label = options.label ?? ((box, one) => `${one.key ?? one.id}${box.confidence === undefined ? "" : ` ${Math.min(99, Math.round(100 * box.confidence))}%`}`);
  const photo = host.querySelector("img");
  const svg = shape("svg", { class: "be-overlay", role: "application", tabindex: 0, "aria-label": words.photo });
  if (options.describedby) svg.setAttribute("aria-describedby", options.describedby);
  const ground = shape("g", {}, svg);
  const draft = shape("g", { class: "be-draft", visibility: "hidden" }, svg);
  const draftHalo = shape("rect", { class: "be-halo" }, draft);
  const draftEdge = shape("rect", { class: "be-edge" }, draft);
  const dots = shape("g", { class: "be-handles", "aria-hidden": "true" }, svg);
  host.classList.add("box-editor");
  host.style.aspectRatio = `${size.width} / ${size.height}`;
  photo.draggable = false;
  host.append(svg);
  const glass = options.loupe === false ? null : loupe(host, photo, size);
  const listening = new AbortController();

  let list = (options.boxes ?? []).map(kept);
  let selected = null;
  let past = [];
  let future = [];
  let view = { k: 1, x: 0, y: 0 };
  let wholeK = 1; // the whole photo
  let room = { width: 0, height: 0 };
  let drawn = []; // the elements of each box
  let hand = matchMedia("(pointer: coarse)").matches ? FINGER : MOUSE;
  let act = null; // what the pointer is doing
  let frame = 0;
  let still = 0;
  let typed = -Infinity; // when an arrow key last changed the box: a held key is one step to take back
  let space = false;
  const pointers = new Map();

  function kept(box) {
    return { ...box, bbox: fitted(box.bbox, size, least) };
  }

  const copy = () => list.map((box) => ({ ...box, bbox: { ...box.bbox } }));
  const classOf = (id) => classes.get(id) ?? { id, title: String(id), colour: "#555555", ink: "#ffffff" };

  // What is changed

  function commit(next, { merge = false } = {}) {
    if (!merge) past = [...past.slice(1 - REMEMBERED), list];
    future = [];
    turnTo(next);
  }

  function turnTo(next) {
    list = next;
    if (selected !== null && !list[selected]) {
      selected = null;
      options.onselect?.(null);
    }
    soon();
    options.onchange?.(copy());
  }

  // A person who moved or named a box said so; a model's score is no longer about it.
  const changed = (index, change) => list.map((box, i) => {
    if (i !== index) return box;
    const { confidence, ...rest } = box;
    return { ...rest, ...change };
  });

  function select(index, { focus = false } = {}) {
    const next = index === null || !list[index] ? null : index;
    if (next !== selected) {
      selected = next;
      typed = -Infinity;
      options.onselect?.(selected);
    }
    draw();
    if (focus) (drawn[selected]?.group ?? svg).focus({ preventScroll: true });
  }

  function add(box) {
    const made = kept({ ...box, class_id: box.class_id ?? newClass() });
    commit([...list, made]);
    select(list.length - 1, { focus: true });
    return list.length - 1;
  }

  function addInMiddle() {
    const { x, y } = toPhoto(view, { x: room.width / 2, y: room.height / 2 });
    const half = NEW / 2 / view.k;
    return add({ bbox: { x1: x - half, y1: y - half, x2: x + half, y2: y + half } });
  }

  function remove(index = selected) {
    if (index === null || !list[index]) return;
    const focused = host.contains(document.activeElement);
    commit(list.filter((_, i) => i !== index));
    selected = undefined; // the number may be the same, the box is not
    select(list.length ? Math.min(index, list.length - 1) : null, { focus: focused });
  }

  const relabel = (index, classId) => list[index] && list[index].class_id !== classId && commit(changed(index, { class_id: classId }));

  function travel(from, to) {
    if (!from.length) return;
    to.push(list);
    turnTo(from.pop());
  }

  // What is seen

  const soon = () => { frame ||= requestAnimationFrame(draw); };
  const rects = () => list.map((box) => onScreen(view, box.bbox));

  function draw() {
    cancelAnimationFrame(frame);
    frame = 0;
    photo.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.k / wholeK})`;
    while (drawn.length > list.length) {
      const { group } = drawn.pop();
      if (group === document.activeElement) svg.focus({ preventScroll: true }); // else the keys would go to the page
      group.remove();
    }
    while (drawn.length < list.length) drawn.push(boxElement(ground, drawn.length, (index) => select(index)));
    list.forEach((box, index) => paint(drawn[index], onScreen(view, shownBox(index)), look(box, index), room.width));
    const shown = selected === null || act?.kind === "draw" ? [] : handles(onScreen(view, shownBox(selected)), hand.reach);
    while (dots.childElementCount > shown.length) dots.lastChild.remove();
    while (dots.childElementCount < shown.length) shape("circle", {}, dots);
    shown.forEach((one, i) => put(dots.children[i], { cx: one.at.x, cy: one.at.y, r: hand.dot }));
    const drawing = act?.kind === "draw" && act.box;
    put(draft, { visibility: drawing ? "visible" : "hidden" });
    if (drawing) for (const rect of [draftHalo, draftEdge]) place(rect, onScreen(view, act.box));
  }

  const shownBox = (index) => (act?.index === index && act.box) || list[index].bbox;

  function look(box, index) {
    const one = classOf(box.class_id);
    const values = { label: label(box, one, index), title: one.title, number: index + 1, count: list.length };
    const name = words.box.replace(/\{(\w+)\}/g, (_, key) => values[key]);
    return { colour: one.colour, ink: one.ink, text: label(box, one, index), name, pressed: index === selected };
  }

  function show(next) {
    view = next;
    host.classList.add("be-moving"); // the picture is scaled as it is; once still it is drawn anew, sharp
    clearTimeout(still);
    still = setTimeout(() => host.classList.remove("be-moving"), 200);
    soon();
    options.onview?.({ scale: view.k / wholeK, ...view });
  }

  const most = () => Math.max(LARGEST, 2 * wholeK);
  const zoomAt = (factor, from, to = from) => show(zoomed(view, clamp(view.k * factor, wholeK, most()), from, to, size, room, MARGIN));
  const fit = () => show(whole(size, room, MARGIN));

  function zoomTo(scale, x, y) {
    const k = clamp(scale * wholeK, wholeK, most());
    const now = { x: view.x + x * view.k, y: view.y + y * view.k };
    show(zoomed(view, k, now, { x: room.width / 2, y: room.height / 2 }, size, room, MARGIN));
  }

  function measure() {
    const before = view.k / wholeK;
    const middle = toPhoto(view, { x: room.width / 2, y: room.height / 2 });
    room = { width: host.clientWidth, height: host.clientHeight };
    view = whole(size, room, MARGIN);
    wholeK = view.k;
    photo.style.width = `${size.width * wholeK}px`;
    photo.style.height = `${size.height * wholeK}px`;
    if (before > 1.01) zoomTo(before, middle.x, middle.y);
    draw();
  }

  // Pointers

  const at = (event) => {
    const box = svg.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const distance = ([a, b]) => Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));
  const middleOf = ([a, b]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });

  function begin(from, event) {
    if (space || event.button === 1) return { kind: "pan", last: from };
    if (selected !== null) {
      const rect = onScreen(view, list[selected].bbox);
      const handle = handleAt(rect, from, hand.reach);
      if (handle) return { kind: "resize", from, handle, index: selected };
      if (boxesAt([rect], from, 2).length) return { kind: "move", from, index: selected };
    }
    const all = rects();
    const grabbed = boxesAt(all, from, hand.slack).find((index) => onEdge(all[index], from, hand.slack));
    if (grabbed !== undefined) return { kind: "move", from, index: grabbed };
    return { kind: "draw", from, start: toPhoto(view, from) };
  }

  function follow(to) {
    if (act.kind === "pan") {
      zoomAt(1, act.last, to);
      act.last = to;
      return;
    }
    act.dragged ||= Math.hypot(to.x - act.from.x, to.y - act.from.y) > hand.still;
    if (!act.dragged) return;
    const by = { x: (to.x - act.from.x) / view.k, y: (to.y - act.from.y) / view.k };
    if (act.kind === "draw") act.box = between(act.start, toPhoto(view, to), size);
    else {
      if (act.index !== selected) select(act.index);
      const { bbox } = list[act.index];
      act.box = act.kind === "move" ? moved(bbox, by, size) : resized(bbox, act.handle, by, size, least);
    }
    if (act.kind === "draw") {
      act.classId ??= newClass();
      draftEdge.setAttribute("stroke", classOf(act.classId).colour);
    }
    if (hand === FINGER && act.kind !== "move") glass?.show(toPhoto(view, to), to, view.k, act.box, classOf(act.classId ?? list[act.index].class_id).colour);
    soon();
  }

  function finish(done, to) {
    glass?.hide();
    act = null;
    const { box } = done;
    if (!done.dragged) tap(to);
    else if (done.kind === "draw" && box && box.x2 - box.x1 >= least && box.y2 - box.y1 >= least) add({ class_id: done.classId, bbox: box });
    else if (done.kind !== "draw" && box) {
      commit(changed(done.index, { bbox: box }));
      select(done.index, { focus: true });
    }
    soon();
  }

  function tap(to) {
    const under = boxesAt(rects(), to, hand.slack / 2);
    const next = under[(under.indexOf(selected) + 1) % under.length];
    select(next ?? null, { focus: true });
  }

  function cancel() {
    act = null;
    glass?.hide();
    soon();
  }

  const on = (target, name, listener, more = {}) => target.addEventListener(name, listener, { ...more, signal: listening.signal });

  on(svg, "pointerdown", (event) => {
    if (event.button > 1) return;
    svg.setPointerCapture(event.pointerId);
    hand = event.pointerType === "touch" ? FINGER : MOUSE;
    const from = at(event);
    pointers.set(event.pointerId, from);
    if (pointers.size === 1) act = begin(from, event);
    else if (pointers.size === 2) {
      cancel(); // a second finger: it was not meant to draw
      act = { kind: "pinch" };
    }
    soon();
  });
  on(svg, "pointermove", (event) => {
    const to = at(event);
    if (!pointers.has(event.pointerId)) return hover(to, event);
    const before = [...pointers.values()];
    pointers.set(event.pointerId, to);
    if (act?.kind === "pinch" && pointers.size >= 2) {
      const now = [...pointers.values()];
      zoomAt(distance(now) / distance(before), middleOf(before), middleOf(now));
    } else if (act && act.kind !== "pinch" && pointers.size === 1) follow(to);
  });
  on(svg, "pointerup", (event) => {
    if (!pointers.delete(event.pointerId)) return;
    const done = act;
    if (done && ["draw", "move", "resize"].includes(done.kind)) finish(done, at(event));
    if (!pointers.size) act = null;
  });
  on(svg, "pointercancel", (event) => { pointers.delete(event.pointerId); cancel(); });
  // A stroke is no scrolling: else a browser takes the next tap, on whatever button, for the hand that stops it.
  on(svg, "touchstart", (event) => event.preventDefault(), { passive: false });
  on(svg, "mousedown", (event) => event.preventDefault()); // focus goes to the box that was meant, not to the topmost
  on(svg, "contextmenu", (event) => hand === FINGER && event.preventDefault()); // a finger that rests while it draws
  on(host, "wheel", (event) => {
    const factor = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : event.ctrlKey ? 0.01 : 0.0015));
    if (factor < 1 && view.k <= wholeK) return; // the whole photo is seen: the wheel moves the page
    event.preventDefault();
    zoomAt(factor, at(event));
  }, { passive: false });

  function hover(to, event) {
    if (event.pointerType === "touch") return;
    const next = begin(to, event);
    const turned = next.handle && (next.handle.x === 0 ? "ns" : next.handle.y === 0 ? "ew" : next.handle.x === next.handle.y ? "nwse" : "nesw");
    svg.style.cursor = { pan: "grab", move: "move", resize: `${turned}-resize`, draw: "crosshair" }[next.kind];
  }

  // Keys

  function nudge(event) {
    const arrow = ARROWS[event.key];
    const far = event.altKey ? 1 : Math.max(1, STEP / view.k);
    const by = { x: arrow.x * far, y: arrow.y * far };
    const { bbox } = list[selected];
    const next = event.shiftKey ? resized(bbox, { x: Math.abs(arrow.x), y: Math.abs(arrow.y) }, by, size, least) : moved(bbox, by, size);
    const merge = event.timeStamp - typed < 700;
    commit(changed(selected, { bbox: next }), { merge });
    typed = event.timeStamp;
  }

  // The view goes where the arrow points, so the photo goes the other way.
  function pan(arrow) {
    const middle = { x: room.width / 2, y: room.height / 2 };
    zoomAt(1, middle, { x: middle.x - PAN * arrow.x, y: middle.y - PAN * arrow.y });
  }

  on(host, "keydown", (event) => {
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (command && (key === "y" || (key === "z" && event.shiftKey))) travel(future, past);
    else if (command && key === "z") travel(past, future);
    else if (command) return;
    else if (event.key in ARROWS && selected !== null) nudge(event);
    else if (event.key in ARROWS && view.k > wholeK) pan(ARROWS[event.key]);
    else if ((key === "delete" || key === "backspace") && selected !== null) remove();
    else if (key === "escape" && (act || selected !== null)) { cancel(); select(null); }
    else if (key === "+" || key === "=") zoomAt(1.5, { x: room.width / 2, y: room.height / 2 });
    else if (key === "-") zoomAt(1 / 1.5, { x: room.width / 2, y: room.height / 2 });
    else return;
    event.preventDefault();
  });
  on(window, "keydown", (event) => {
    if (event.key !== " " || !(host.matches(":hover") || host.contains(document.activeElement)) || event.target.closest?.("input, textarea, select, button")) return;
    space = true;
    event.preventDefault();
  });
  on(window, "keyup", (event) => { if (event.key === " ") space = false; });
  on(window, "blur", () => { space = false; });

  const watching = new ResizeObserver(measure);
  watching.observe(host);
  measure();

  return {
    boxes: copy,
    set(boxes) { list = boxes.map(kept); past = []; future = []; select(null); },
    select: (index) => select(index),
    selected: () => selected,
    add,
    addInMiddle,
    remove,
    relabel,
    undo: () => travel(past, future),
    redo: () => travel(future, past),
    canUndo: () => past.length > 0,
    canRedo: () => future.length > 0,
    view: () => ({ scale: view.k / wholeK, ...view }),
    zoomTo,
    fit,
    destroy() {
      listening.abort();
      watching.disconnect();
      cancelAnimationFrame(frame);
      clearTimeout(still);
      glass?.remove();
      svg.remove();
      host.classList.remove("box-editor", "be-moving");
      host.style.aspectRatio = "";
      photo.removeAttribute("style");
    },
  };
}
