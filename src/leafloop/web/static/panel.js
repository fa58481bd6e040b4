// The review page's panel: a case in words, boxes as a list, opinions as pictures. Paints what it is given; decides nothing.
import { photoOf } from "./inhand.js";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function element(name, { text, children = [], ...more } = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(more)) if (value !== undefined) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

function drawing(name, attributes, children = []) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// say: (name, values) -> words. classes: as casework.js has them, with colour, ink and key. acts: {select, remove, take(boxes, answer)}.
export function panel(say, classes, acts) {
  const classOf = (id) => classes.find((one) => one.id === id);
  const titleOf = (id, name) => classOf(id)?.title ?? name ?? String(id);
  const percent = (confidence) => Math.min(99, Math.max(0, Math.round(100 * confidence))); // never 100: no model is that sure
  const here = navigator.languages.find((language) => language.split("-")[0] === document.documentElement.lang) ?? document.documentElement.lang;
  const moment = new Intl.DateTimeFormat(here, { dateStyle: "medium", timeStyle: "short" });
  const when = (text) => moment.format(new Date(text));
  const fill = (id, children) => { $(id).replaceChildren(...children); return children.length; };
  const show = (id, shown) => { $(id).hidden = !shown; };

  function swatch(id, key = undefined) {
    const one = classOf(id) ?? { colour: "#555555", ink: "#ffffff" };
    const words = drawing("text", { x: 13, y: 16, fill: one.ink, "text-anchor": "middle" });
    words.textContent = key ?? one.key ?? String(id);
    return drawing("svg", { class: "swatch", width: 26, height: 22, "aria-hidden": "true", focusable: "false" }, [drawing("rect", { width: 26, height: 22, rx: 5, fill: one.colour }), words]);
  }

  const answerWords = (answer) => (answer.class_id === null || answer.class_id === undefined ? say(`outcome_${answer.outcome ?? "uncertain"}`) : titleOf(answer.class_id, answer.class_name));

  function modelWords(prediction) {
    const words = answerWords(prediction);
    return prediction.class_id === null || prediction.confidence === null ? words : say("model_class", { what: words, percent: percent(prediction.confidence) });
  }

  function reasonWords(reason, found) {
    const { code, detail } = reason;
    if (code === "asked" && found.due_at) return say(new Date(found.due_at) < new Date() ? "reason_asked_late" : "reason_asked_due", { due: when(found.due_at) });
    const words = say(`reason_${code}`) ?? say("reason_other", { code });
    const details = (detail ?? "").split(", ").map(named).filter(Boolean).join(", ");
    return details ? say("reason_with", { reason: words, detail: details }) : words;
  }

  // Classes and outcomes in words; figures and codes say nothing to a person here.
  const named = (name) => classes.find((one) => one.name === name)?.title ?? say(`outcome_${name}`);

  function reasons(found) {
    const all = [...(found.reasons ?? [])];
    if (found.state === "second") all.unshift({ code: "second" });
    if (found.state === "disputed") all.unshift({ code: "disputed" });
    fill("reasons", all.map((one) => element("li", { text: reasonWords(one, found), "data-reason": one.code })));
  }

  const authorWords = (author) => (typeof author === "string" ? author : author?.user_id ?? author?.label ?? author?.key_id) || say("somebody");

  function word(one) {
    const who = authorWords(one.author);
    const named = one.correct_class_name ?? null;
    const said = [];
    if (named) said.push(say("word_class", { who, what: classes.find((c) => c.name === named)?.title ?? named }));
    else if (one.correct_outcome) said.push(say("word_class", { who, what: say(`outcome_${one.correct_outcome}`) }));
    else if (one.is_correct !== null && one.is_correct !== undefined) said.push(say(one.is_correct ? "word_right" : "word_wrong", { who }));
    else said.push(say(one.ask_expert ? "word_asks" : "word_says", { who }));
    if (one.confidence_rating ?? one.rating) said.push(say("word_rating", { n: one.confidence_rating ?? one.rating }));
    if (one.corrected_boxes) said.push(one.corrected_boxes.length ? say("word_boxes", { n: one.corrected_boxes.length }) : say("word_no_boxes"));
    const parts = [element("span", { text: said.join(" · ") })];
    const comment = one.comment ?? one.user_comment;
    if (comment) parts.push(element("q", { text: comment }));
    if (one.corrected_boxes?.length) parts.push(button("button slim", say("use_boxes"), () => acts.take(one.corrected_boxes, null)));
    return element("li", { children: parts });
  }

  function button(kind, text, act) {
    const made = element("button", { type: "button", class: kind, text });
    made.addEventListener("click", act);
    return made;
  }

  function opinion(one, index, found) {
    const { width, height } = found.prediction;
    const boxes = one.boxes ?? [];
    const picture = drawing("svg", { viewBox: `0 0 ${width} ${height}`, class: `opinion-boxes ${index ? "dashed" : "solid"}`, role: "img", "aria-label": say("opinion_picture") }, boxes.flatMap(({ class_id, bbox }) => {
      const at = { x: bbox.x1, y: bbox.y1, width: bbox.x2 - bbox.x1, height: bbox.y2 - bbox.y1 };
      return [drawing("rect", { ...at, class: "halo" }), drawing("rect", { ...at, class: "edge", stroke: classOf(class_id)?.colour ?? "#555555" })];
    }));
    const photo = element("img", { src: photoOf(found), alt: "", width, height });
    const words = say(one.boxes ? "opinion_boxes" : "opinion_none", { what: answerWords(one), n: boxes.length });
    return element("figure", { class: "opinion", children: [
      element("div", { class: "opinion-photo", children: [photo, picture] }),
      element("figcaption", { children: [element("strong", { text: say(index ? "opinion_second" : "opinion_first") }), element("span", { text: words })] }),
      button("button slim", say("opinion_use"), () => acts.take(one.boxes ?? [], { outcome: one.outcome, class_id: one.class_id ?? null })),
    ] });
  }

  function lookalike(one) {
    const what = one.class_name ? classes.find((c) => c.name === one.class_name)?.title ?? one.class_name : say(`outcome_${one.outcome ?? "uncertain"}`);
    const photo = element("img", { src: `/review/labels/${one.label_id}/photo`, alt: "", width: 88, height: 88, loading: "lazy", decoding: "async" });
    return element("li", { children: [photo, element("span", { text: what })] });
  }

  // Everything about a case that does not change while one looks at it.
  function paint(found) {
    const { prediction } = found;
    reasons(found);
    show("blind", found.blind);
    $("model-says").textContent = modelWords(prediction);
    show("warnings", fill("warnings", (prediction.quality?.warnings ?? []).map((one) => element("li", { text: one.message ?? one.code }))));
    show("people", fill("words", (found.words ?? []).map(word)));
    show("opinions", fill("opinion-list", (found.opinions ?? []).map((one, index) => opinion(one, index, found))));
    show("lookalikes", fill("lookalike-list", (found.lookalikes ?? []).map(lookalike)));
    const who = [prediction.user_id, prediction.group].filter(Boolean).join(", ");
    $("facts").textContent = say("facts", {
      id: prediction.id.slice(0, 8), when: when(prediction.created_at), who: who ? say("facts_who", { who }) : "",
      model: prediction.model_version, width: prediction.width, height: prediction.height,
    });
  }

  function boxRow(box, index, selected, hidden) {
    const sure = box.confidence === undefined ? say("box", { what: titleOf(box.class_id) }) : say("box_sure", { what: titleOf(box.class_id), percent: percent(box.confidence) });
    const pick = element("button", { type: "button", class: "box-pick", "aria-pressed": String(index === selected), children: [swatch(box.class_id), element("span", { text: sure })] });
    pick.addEventListener("click", () => acts.select(index));
    const remove = button("box-remove", "×", () => acts.remove(index));
    remove.setAttribute("aria-label", say("box_remove", { n: index + 1 }));
    return element("li", { class: hidden ? "below" : undefined, children: [pick, remove] });
  }

  // The list of boxes. `hidden(box)`: below the slider.
  function boxes(list, selected, hidden) {
    fill("box-list", list.map((box, index) => boxRow(box, index, selected, hidden(box))));
    const below = list.filter(hidden).length;
    $("box-count").textContent = say(below ? "box_count_hidden" : "box_count", { n: list.length, hidden: below });
    show("slider-part", list.some((box) => box.confidence !== undefined));
    $("accept-above").disabled = !below;
    $("accept-above-words").textContent = below ? say("accept_above_n", { kept: list.length - below, dropped: below }) : say("accept_above");
  }

  function pick(selected) {
    [...$("box-list").children].forEach((row, index) => row.firstChild.setAttribute("aria-pressed", String(index === selected)));
    $("box-list").children[selected]?.scrollIntoView({ block: "nearest" });
  }

  // What the reviewer says as it stands. `said`: an answer or null; `ready`: accept, correct or say_what.
  function verdict(said, { untouched, ready, weak }) {
    $("you-say").textContent = said ? (untouched ? say("same") : answerWords(said)) : say("say_something");
    $("send-words").textContent = say(ready);
    $("send").dataset.ready = ready;
    for (const one of document.querySelectorAll("[data-class]")) one.setAttribute("aria-pressed", String(said?.class_id === Number(one.dataset.class)));
    document.querySelector("[data-act=noLeaf]").setAttribute("aria-pressed", String(said?.outcome === "no_leaf"));
    show("weak", weak);
    $("weak").textContent = weak ?? "";
  }

  return { paint, boxes, pick, verdict, modelWords, titleOf, percent };
}
