// The review page: one photo after the other, decided by key, mouse or finger. The next one is in hand and decoded while the
// reviewer looks at this one, and a decision travels behind: what was said is shown at once, and taken back if it was not taken.
// Every text comes from the page (#texts); what a class is called and looks like, too (#classes).
import { editor } from "./boxes.js";
import * as casework from "./casework.js";
import { decisions } from "./decisions.js";
import { ask, inHand, photoOf } from "./inhand.js";
import { listen } from "./keys.js";
import { keep, recall } from "./mine.js";
import { panel } from "./panel.js";
import { sitting, stopwatch } from "./sitting.js";

const $ = (id) => document.getElementById(id);
const page = $("review");
const texts = JSON.parse($("texts").textContent);
const classes = JSON.parse($("classes").textContent);
const say = (name, values = {}) => texts[name]?.replace(/\{(\w+)\}/g, (_, key) => values[key]);
const host = $("photo");
const MANY_BOXES = 25; // more, and their scores hide the leaf: numbers alone then
const STEP = 5; // percent a key moves the slider

let present = null; // the work that is looked at
let edit = null;
let heard = ""; // what was decided just now, for who listens
const forms = new Map(); // what was said of photos decided here, so that one that is taken back comes with it
const taken = []; // ids of this sitting's decisions: asked twice over a bad line, the same one is taken back
const watch = stopwatch();
const sat = sitting();

const view = panel(say, classes, { select: (index) => choose(index), remove: (index) => edit.remove(index), take: takeOver });
const out = decisions({ taken: (entry, answer) => taken.push(answer.review_id), conflict: () => line("conflict"), refused, state: sending });
const hand = inHand({
  first: page.dataset.item, reason: page.dataset.reason, leaseMs: 60_000 * Number(page.dataset.leaseMinutes),
  underWay: out.items, done: sat.done,
  trouble: (error) => line(error && "take_failed", { detail: error?.status ? error.message : say("no_network") }),
});

// Showing one

async function next() {
  if (hand.isReady()) return show(hand.shift()); // in this very task: nothing is painted between
  const waiting = setTimeout(state, 150, "loading"); // most often it is nearly there: no flicker then
  const work = await hand.next();
  clearTimeout(waiting);
  if (work) show(work);
  else nothing();
}

function nothing() {
  leaveCase();
  state("empty");
  status("empty");
  counts();
  $("nothing").firstElementChild.focus();
}

function leaveCase() {
  edit?.destroy();
  edit = present = null;
  host.replaceChildren();
}

function show(work) {
  leaveCase();
  present = work;
  hand.hold(work);
  const { found, photo } = work;
  host.append(photo);
  page.style.setProperty("--ratio", found.prediction.height / found.prediction.width);
  const start = casework.boxesOf(found, classes);
  const few = start.length <= MANY_BOXES;
  host.classList.toggle("boxes-thin", !few);
  edit = editor(host, {
    width: found.prediction.width, height: found.prediction.height, classes, boxes: start, loupe: true,
    newClass, onchange: changedBoxes, onselect: picked, onview: sharpen,
    label: (box, one) => `${one.key ?? one.id}${few && box.confidence !== undefined ? ` ${view.percent(box.confidence)}%` : ""}`,
    words: { photo: texts.photo, box: texts.box_of },
  });
  Object.assign(work, { before: [], start: edit.boxes(), given: { outcome: found.prediction.outcome, class_id: found.prediction.class_id }, byHand: null, second: false });
  $("slider").value = 0;
  $("comment").value = "";
  view.paint(found);
  restore(work);
  state("looking");
  repaint({ soon: true });
  counts();
  if (work.broken) line("no_photo");
  status("announce", { before: heard, what: view.modelWords(found.prediction) });
  heard = "";
  focusPhoto();
  $("panel").scrollTop = 0;
  watch.start();
  afterFrame(hand.lookAhead);
}

const afterFrame = (act) => requestAnimationFrame(() => setTimeout(act));

// What was said of this photo before: it was taken back, or the page was loaded again.
function restore(work) {
  const form = forms.get(work.found.item_id) ?? casework.draftOf(work.found);
  if (!form) return;
  if (!casework.alike(form.boxes, work.start)) put(form.boxes);
  work.byHand = form.byHand;
  work.second = form.second;
  $("comment").value = form.comment ?? "";
  if (!forms.has(work.found.item_id)) line("draft");
}

function newClass() {
  const said = present.byHand?.outcome === "diseased" ? present.byHand.class_id : present.lastClass ?? present.given.class_id;
  const fit = classes.find((one) => one.id === said && !one.healthy) ?? classes.find((one) => !one.healthy) ?? classes[0];
  return fit.id;
}

// Zoomed past the pixels that the smaller copy has, the whole photo is fetched.
function sharpen() {
  const { photo, found } = present;
  const scale = edit.view().k * devicePixelRatio; // screen pixels a pixel of the photo
  if (photo.dataset.full || scale * found.prediction.width <= photo.naturalWidth * 1.1) return;
  photo.dataset.full = "coming";
  const whole = new Image();
  whole.src = photoOf(found, null);
  whole.decode().then(() => { photo.src = whole.src; photo.dataset.full = "here"; }, () => delete photo.dataset.full);
}

const focusPhoto = () => host.querySelector(".be-overlay")?.focus({ preventScroll: true }); // where keys begin

// What the reviewer changes

const standing = () => ({ start: present.start, boxes: edit.boxes(), byHand: present.byHand, given: present.given });
const below = () => Number($("slider").value) / 100;
const under = (box) => box.confidence !== undefined && box.confidence < below();
const nothingIsThere = (answer) => answer && (answer.outcome === "no_leaf" || answer.outcome === "healthy");

function changedBoxes(list) {
  const ill = list.some((box) => !classes.find((one) => one.id === box.class_id)?.healthy);
  if (ill && nothingIsThere(present.byHand)) present.byHand = null; // a box that comes back says that something is there
  repaint();
  draft();
}

// `soon`: the photo and its class first, the list of boxes in the frame after.
function repaint({ soon = false } = {}) {
  const list = edit.boxes();
  hideUnder();
  if (soon) afterFrame(() => edit && view.boxes(edit.boxes(), edit.selected(), under));
  else view.boxes(list, edit.selected(), under);
  $("slider-words").textContent = below() ? say("percent", { n: $("slider").value }) : say("slider_none");
  const now = { ...standing(), boxes: list.filter((box) => !under(box)) }; // what is seen is what is sent
  const said = casework.verdict(now, classes);
  const untouched = !casework.changed(now, classes);
  view.verdict(said, { untouched, ready: said ? (untouched ? "accept" : "correct") : "say_what", weak: weakWords(said, now) });
  $("second").setAttribute("aria-pressed", String(present.second));
}

function weakWords(said, now) {
  if (!said) return now.boxes.length ? null : say("no_box_left");
  if (casework.boxesFor(said, now, classes) !== undefined) return null;
  const shown = casework.worst(now.boxes, classes);
  return shown === null ? say("weak_unboxed") : say("weak", { boxes: view.titleOf(shown), photo: view.titleOf(said.class_id) });
}

function hideUnder() {
  const list = edit.boxes();
  const hide = () => host.querySelectorAll(".be-box").forEach((group, index) => { group.style.display = list[index] && under(list[index]) ? "none" : ""; });
  hide();
  requestAnimationFrame(() => requestAnimationFrame(hide)); // what was added is drawn in the next frame
}

function picked(index) {
  if (index !== null && under(edit.boxes()[index])) edit.select(null); // what is hidden cannot be had
  else view.pick(index);
}

function draft() {
  const now = standing();
  const form = { boxes: now.boxes, byHand: now.byHand, second: present.second, comment: $("comment").value };
  const touched = casework.changed(now, classes) && (now.byHand || !casework.alike(now.boxes, now.start));
  casework.keepDraft(present.found, touched || form.second || form.comment ? form : null);
  return form;
}

// Other boxes in one step, which undo takes back.
function put(boxes) {
  present.before.push(edit.boxes());
  edit.set(boxes);
  changedBoxes(edit.boxes());
}

function boxUndo() {
  if (edit.canUndo()) return edit.undo();
  const before = present.before.pop();
  if (!before) return;
  edit.set(before);
  changedBoxes(edit.boxes());
}

function takeOver(boxes, answer) {
  put(boxes.map(({ class_id, class_name, bbox }) => ({ class_id: class_id ?? classes.find((one) => one.name === class_name)?.id, bbox })));
  present.byHand = answer;
  repaint();
  draft();
  focusPhoto();
}

function sayAnswer(answer) {
  const kept = answer.outcome === "healthy" ? edit.boxes().filter((box) => classes.find((one) => one.id === box.class_id)?.healthy) : [];
  if (nothingIsThere(answer) && edit.boxes().length > kept.length) put(kept);
  present.byHand = answer;
  repaint();
  draft();
}

function choose(index) {
  edit.select(index);
  focusPhoto();
}

function digit(number) {
  const one = classes.find((c) => c.key === String(number));
  if (!present || !one) return false;
  sayClass(one.id);
}

function sayClass(id) {
  const selected = edit.selected();
  if (selected === null) return sayAnswer(casework.answerFor(id, classes));
  present.lastClass = id;
  edit.relabel(selected, id);
}

// Deciding

function decide(body) {
  const done = present;
  const form = draft();
  forms.set(done.found.item_id, form);
  casework.keepDraft(done.found, null);
  const seconds = watch.seconds();
  const comment = $("comment").value.trim();
  sat.add(seconds);
  out.add({ item_id: done.found.item_id, work: done, body: { version: done.found.version, ...body, seconds, ask_second: done.second, ...(comment && { comment }) } });
  line(null);
  heard = say(`said_${body.decision}`);
  present = null;
  hand.hold(null);
  next();
}

function send() {
  const list = edit.boxes();
  if (list.some(under)) acceptAbove();
  const body = casework.decision(standing(), classes);
  if (body) return decide(body);
  line(edit.boxes().length ? "say_something" : "no_box_left");
}

function acceptAbove() {
  const kept = edit.boxes().filter((box) => !under(box));
  $("slider").value = 0;
  if (kept.length < edit.boxes().length) put(kept);
  repaint();
}

async function undo() {
  const unsent = out.takeBack();
  if (unsent?.work) return bring({ ...unsent.work, at: Date.now() });
  if (out.troubled()) return line("no_network");
  await out.idle();
  try {
    const body = JSON.stringify({ review_id: taken.at(-1) ?? null });
    const found = await ask("/review/undo", { method: "POST", body, headers: { "Content-Type": "application/json" } });
    if (!found) return line("nothing_to_undo");
    taken.pop();
    bring(await hand.load(found));
  } catch (error) {
    line("refused", { detail: error.status ? error.message : say("no_network") });
  }
}

// A photo that was decided comes back; the one in hand waits behind it.
function bring(work) {
  sat.takeBack();
  if (present) {
    draft();
    hand.putBack(present);
  }
  show(work);
  line("undone");
}

function refused(entry, problem) {
  if (entry.work) bring(entry.work);
  line("refused", { detail: problem.detail });
}

// Words about what happens

function state(name) {
  page.dataset.state = name;
  $("waiting-words").hidden = name !== "loading";
  $("nothing").hidden = name !== "empty";
}

function line(name, values) {
  $("line").hidden = !name;
  $("line").textContent = name ? say(name, values) : "";
  if (name) status(name, values);
}

const status = (name, values) => { $("status").textContent = say(name, values); };

function counts() {
  const since = present ? sat.done() - present.after : 0; // decided after this one was counted as one of those that wait
  const remaining = present ? Math.max(1, present.found.remaining - since) : 0;
  const values = { remaining, done: sat.done(), pace: sat.pace() };
  $("counts").textContent = say(values.done ? "counts_pace" : "counts", values);
}

function sending({ waiting, trouble }) {
  const words = trouble && (trouble === "login" ? "lost_login" : "lost");
  $("sending").hidden = !words;
  const text = words ? say(words, { n: waiting }) : "";
  if (words && $("sending").textContent !== text) status(words, { n: waiting });
  $("sending").textContent = text;
}

// Keys, buttons, leaving

const withPhoto = (act) => (value) => (present && edit ? act(value) : false);
const slide = (by) => { $("slider").value = Number($("slider").value) + by; repaint(); };

const acts = {
  digit,
  send: withPhoto(send),
  skip: withPhoto(() => decide({ decision: "skip" })),
  reject: withPhoto(() => decide({ decision: "reject" })),
  second: withPhoto(() => { present.second = !present.second; repaint(); draft(); }),
  undo: () => { undo(); },
  nothingThere: withPhoto(() => sayAnswer({ outcome: "healthy", class_id: classes.find((one) => one.healthy)?.id ?? null })),
  noLeaf: withPhoto(() => sayAnswer({ outcome: "no_leaf", class_id: null })),
  comment: withPhoto(() => $("comment").focus()),
  acceptAbove: withPhoto(acceptAbove),
  removeBox: withPhoto(() => (edit.selected() === null ? false : edit.remove(edit.selected()))),
  addBox: withPhoto(() => edit.addInMiddle()),
  boxUndo: withPhoto(boxUndo),
  boxRedo: withPhoto(() => edit.redo()),
  zoomIn: withPhoto(() => zoom(1.5)),
  zoomOut: withPhoto(() => zoom(1 / 1.5)),
  fit: withPhoto(() => edit.fit()),
  lower: withPhoto(() => slide(-STEP)),
  raise: withPhoto(() => slide(STEP)),
  leave: withPhoto(() => { if (edit.selected() !== null) edit.select(null); focusPhoto(); }),
  help: () => $("help").showModal(),
  lookAgain: () => { state("loading"); next(); },
};

function zoom(factor) {
  const { scale, k, x, y } = edit.view();
  const middle = { x: (host.clientWidth / 2 - x) / k, y: (host.clientHeight / 2 - y) / k };
  edit.zoomTo(scale * factor, middle.x, middle.y);
}

page.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act], [data-class]");
  if (!button) return;
  if (button.dataset.class) { if (present) sayClass(Number(button.dataset.class)); } else acts[button.dataset.act]();
  // After a mouse or a finger the keys belong to the photo again; who came by Tab stays where they are.
  if (event.detail && present && !$("help").open) focusPhoto();
});
$("slider").addEventListener("input", () => present && repaint());
$("comment").addEventListener("input", () => present && draft());

let quiet = recall("review.keys") === "off";
$("keys-on").checked = !quiet;
$("keys-on").addEventListener("change", () => {
  quiet = !$("keys-on").checked;
  keep("review.keys", quiet ? "off" : "on");
});
listen(document, acts, () => quiet);

addEventListener("pagehide", hand.release);
addEventListener("pageshow", (event) => event.persisted && location.reload()); // its photos were given back as it was left

next();
