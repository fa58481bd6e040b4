// What a reviewer says of one photo: its class and boxes, how they differ from the model's answer, and what is sent of it.
// Plain data. Knows no page and no network. A class is {id, name, title, severity, healthy}; an answer {outcome, class_id}.
import { forget, keep, names, recall } from "./mine.js";

const healthy = (classes) => (box) => Boolean(classes.find((one) => one.id === box.class_id)?.healthy);

// The model's boxes as the page begins with them: of a healthy leaf those alone that accepting it keeps, so that what is seen is
// what is kept; of an answer that is none, every hint.
export function boxesOf(found, classes) {
  const { outcome } = found.prediction;
  const all = outcome === "no_leaf" ? [] : found.detections;
  return (outcome === "healthy" ? all.filter(healthy(classes)) : all).map(({ class_id, bbox, confidence }) => ({ class_id, bbox, confidence }));
}

const same = (one, other) => one.class_id === other.class_id && ["x1", "y1", "x2", "y2"].every((edge) => Math.abs(one.bbox[edge] - other.bbox[edge]) < 0.5);

// Whether two lists hold the same boxes. Half a pixel is what the service lets pass at a photo's edge.
export const alike = (some, others) => some.length === others.length && some.every((box, i) => same(box, others[i]));

// The class of the most advanced box, as the service judges; null without one.
export function worst(boxes, classes) {
  const found = boxes.map((box) => classes.find((one) => one.id === box.class_id)).filter(Boolean);
  return found.length ? found.reduce((a, b) => (b.severity > a.severity ? b : a)).id : null;
}

// What boxes that were changed show: the class of the answer as long as one still shows it and none is worse than before.
function shownBy(work, classes) {
  const severity = (id) => classes.find((one) => one.id === id)?.severity ?? -1;
  const [now, before, given] = [worst(work.boxes, classes), worst(work.start, classes), work.given.class_id ?? null];
  return given !== null && severity(now) <= severity(before) && work.boxes.some((box) => box.class_id === given) ? given : now;
}

export const answerFor = (classId, classes) => ({ outcome: classes.find((one) => one.id === classId)?.healthy ? "healthy" : "diseased", class_id: classId });

// What the photo shows, as it stands: what was said by hand, else what changed boxes show, else the model's answer.
// null: nothing was said that could be kept. `work`: {start: boxes as they came, boxes, byHand: answer | null, given: the model's}.
export function verdict(work, classes) {
  if (work.byHand) return work.byHand;
  if (!alike(work.boxes, work.start)) {
    const shown = shownBy(work, classes);
    return shown === null ? null : answerFor(shown, classes);
  }
  return work.given.outcome === "uncertain" ? null : work.given;
}

const equal = (one, other) => one.outcome === other.outcome && (one.class_id ?? null) === (other.class_id ?? null);

export function changed(work, classes) {
  const said = verdict(work, classes);
  return !said || !equal(said, work.given) || !alike(work.boxes, work.start);
}

// The boxes that go with a class; undefined: they do not show it, so the class alone is kept, as a weak label.
export function boxesFor(said, work, classes) {
  if (said.outcome === "no_leaf") return [];
  if (said.outcome === "healthy") return work.boxes.filter(healthy(classes));
  return work.boxes.some((box) => box.class_id === said.class_id) ? work.boxes : undefined;
}

// The body of a decision; null when the photo's class is not said yet.
export function decision(work, classes) {
  const said = verdict(work, classes);
  if (!said) return null;
  if (!changed(work, classes)) return { decision: "accept" };
  const boxes = boxesFor(said, work, classes);
  const name = (id) => classes.find((one) => one.id === id)?.name ?? null;
  return {
    decision: "correct",
    outcome: said.outcome,
    class_name: said.class_id === null ? null : name(said.class_id),
    ...(boxes && { boxes: boxes.map(({ class_id, bbox }) => ({ class_id, class_name: name(class_id), bbox })) }),
  };
}

// Drafts: changed boxes survive a reload. One a photo and state of it: taking a photo in hand counts its version up too, but a
// draft is stale only when somebody has decided meanwhile. The oldest go first.

const DRAFT = "review.draft.";
const MOST_DRAFTS = 50; // a sitting skips fewer half-done photos than that

const draftName = (found) => `${DRAFT}${found.item_id}.${found.state}`;

export function keepDraft(found, draft) {
  if (!draft) return void forget(draftName(found));
  const all = names(DRAFT);
  if (all.length >= MOST_DRAFTS) all.sort((a, b) => age(a) - age(b)).slice(0, all.length - MOST_DRAFTS + 1).forEach(forget);
  keep(draftName(found), JSON.stringify({ ...draft, at: Date.now() }));
}

export function draftOf(found) {
  try {
    return JSON.parse(recall(draftName(found)));
  } catch {
    return null;
  }
}

function age(name) {
  try {
    return JSON.parse(recall(name)).at ?? 0;
  } catch {
    return 0;
  }
}
