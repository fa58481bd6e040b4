// The answer card, where a person says whether it is right: forms are sent without leaving the page, boxes are drawn, and what
// was said stays until it has arrived. Every text comes from the page, every state as HTML from the server.
import { wire } from "./frame.js";
import { forget, keep, owner, recall } from "./mine.js";

const SILENCE_MS = 30_000; // a word has a few hundred bytes: what takes longer is an outage
const REMEMBERED = "teach";

// Sends one word and gives the card's part that shows it. Throws `NotSent`. Who keeps words for later wraps this function.
export async function sendWords(url, data) {
  let response;
  try {
    const headers = { "Leafloop-Partial": "1", "Leafloop-Owner": owner };
    response = await fetch(url, { method: "POST", body: data, headers, signal: AbortSignal.timeout(SILENCE_MS), credentials: "same-origin" });
    if (!response.headers.get("Leafloop-Partial")) throw new NotSent("broken"); // a proxy's page, or a captive portal's
    const html = await response.text();
    if (!response.ok) throw new NotSent("refused", html);
    return html;
  } catch (error) {
    throw error instanceof NotSent ? error : new NotSent("offline");
  }
}

// why: offline, broken, or refused (then `html` is the problem's card).
export class NotSent extends Error {
  constructor(why, html = "") {
    super(why);
    this.why = why;
    this.html = html;
  }
}

let sending = Promise.resolve(); // the word that is being sent
let send = sendWords;
export const sendBy = (other) => { send = other; };

const part = (element) => element.closest("[data-words]");
const data = (card) => JSON.parse(card.querySelector("[data-editor]").textContent);

async function say(form, fields, what) {
  const card = part(form);
  if (card.ariaBusy === "true") return;
  card.ariaBusy = "true";
  fault(card, null);
  tellSending(card, data(card).words.sending);
  sending = send(form.action, fields).then(
    (html) => replace(card, html, form.closest(".remark")),
    (error) => {
      card.ariaBusy = "false";
      tellSending(card, "");
      if (!(error instanceof NotSent)) throw error;
      notSent(card, form, fields, what, error);
    },
  );
  await sending;
}

function tellSending(card, words) {
  card.querySelector("[data-sending]").textContent = words;
  if (card.querySelector("dialog[open]")) card.querySelector("[data-draw-send]").textContent = words; // drawn anew when it opens again
}

// `sent`: the remark, if that is what was sent; else one that is being written meanwhile goes over to the fresh card.
function replace(card, html, sent) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const fresh = holder.content.querySelector("[data-words]");
  card.querySelector("dialog[open]")?.close();
  leave(card);
  const writing = !sent && carryRemark(card, fresh);
  card.replaceWith(fresh);
  wire(fresh);
  tickConsent(fresh);
  if (writing) return fresh.querySelector("textarea").focus({ preventScroll: true });
  (fresh.querySelector("[data-heading-consent]") ?? fresh.querySelector("[data-heading]")).focus({ preventScroll: true });
  fresh.querySelector("[data-heading]").scrollIntoView({ block: "nearest" });
}

// Gives whether somebody is writing in it now.
function carryRemark(card, fresh) {
  const [old, now] = [card, fresh].map((one) => one.querySelector(".remark"));
  const [text, next] = [old, now].map((one) => one.querySelector("textarea"));
  now.open = old.open;
  if (text.value !== text.defaultValue) next.value = text.value;
  const rated = old.querySelector("input:checked");
  if (rated) now.querySelector(`input[value="${rated.value}"]`).checked = true;
  return document.activeElement === text;
}

function notSent(card, form, fields, what, error) {
  const problem = document.createElement("template");
  problem.innerHTML = error.html;
  const words = problem.content.querySelector("p")?.textContent ?? data(card).words[error.why].replace("{what}", what);
  const login = problem.content.querySelector("a[href^='/login']");
  card.querySelector("dialog[open]")?.close(); // its boxes stay: opened again, it shows them
  const again = !error.html || problem.content.querySelector("[data-again]");
  fault(card, words, login, again && (() => say(form, fields, what)));
}

function fault(card, words, link = null, again = null) {
  const line = card.querySelector("[data-fault]");
  const button = card.querySelector("[data-again]");
  line.hidden = !words;
  line.textContent = words ?? "";
  if (link) line.append(" ", link);
  button.hidden = !again;
  button.onclick = again;
  if (again) button.focus();
  else if (words) line.scrollIntoView({ block: "nearest" });
}

// Consent, remembered on this phone where its owner wishes so; always shown.

function showConsent() {
  const kept = recall(REMEMBERED);
  const field = document.querySelector("[data-consent-field]");
  if (field) field.value = kept ?? "";
  const line = document.querySelector("[data-consent-kept]");
  if (!line) return;
  line.hidden = kept === null;
  for (const words of line.querySelectorAll("[data-when]")) words.hidden = words.dataset.when !== kept;
}

function tickConsent(root) {
  const kept = recall(REMEMBERED) !== null;
  for (const box of root.querySelectorAll("[data-consent-remember]")) box.checked = kept;
}

function keepConsent(form, choice) {
  const remember = form.querySelector("[data-consent-remember]").checked;
  if (!remember) forget(REMEMBERED);
  else if (choice) keep(REMEMBERED, choice);
  showConsent();
}

// Drawing

const open = new WeakMap(); // card -> its editor, kept while the card is there: a dialog closed by mistake loses nothing

function leave(card) {
  open.get(card)?.then((one) => one.editor.destroy());
  open.delete(card);
}

async function draw(asked) {
  await sending; // the card is replaced when a word has arrived
  const card = document.querySelector(`[data-words="${asked.dataset.words}"]`);
  const dialog = card.querySelector("[data-draw-dialog]");
  dialog.showModal();
  if (!open.has(card)) open.set(card, begin(card, dialog));
  const one = await open.get(card);
  one.refresh();
}

async function begin(card, dialog) {
  const { editor: given, words } = data(card);
  const host = dialog.querySelector("[data-draw-photo]");
  const photo = document.createElement("img");
  photo.alt = host.dataset.drawPhoto;
  host.append(photo);
  const shown = card.closest("[data-answer]")?.querySelector("[data-photo] img");
  photo.src = shown?.currentSrc || `${given.photo}?size=view`;
  let sharp = photo.src.startsWith("blob:"); // the phone still holds the whole photo
  const { editor } = await import("./boxes.js");
  let newest = given.start;
  const made = editor(host, {
    ...given,
    words: { photo: words.photo, box: words.box },
    describedby: dialog.querySelector(".draw-help").id,
    newClass: () => newest,
    onchange: refresh,
    onselect: refresh,
    onview(view) {
      if (sharp || view.scale < 1.5) return;
      sharp = true;
      photo.src = given.photo; // whoever looks closer gets the whole photo, and nobody else pays for it
    },
  });
  const text = (name, count) => words[`${name}_${["none", "one"][count] ?? "many"}`].replace("{count}", count);

  function refresh() {
    const boxes = made.boxes();
    const selected = made.selected();
    const now = selected === null ? newest : boxes[selected].class_id;
    for (const chip of dialog.querySelectorAll("[data-class]")) {
      const on = Number(chip.dataset.class) === now;
      if (on && chip.ariaPressed !== "true") chip.parentElement.scrollTo({ left: chip.offsetLeft - chip.parentElement.offsetLeft - 24 });
      chip.ariaPressed = String(on);
    }
    for (const button of dialog.querySelectorAll(":disabled")) button.disabled = false; // until here there was nothing to send
    dialog.querySelector("[data-do=undo]").disabled = !made.canUndo();
    dialog.querySelector("[data-do=redo]").disabled = !made.canRedo();
    dialog.querySelector("[data-do=remove]").disabled = selected === null;
    dialog.querySelector("[data-draw-send]").textContent = text("send", boxes.length);
    dialog.querySelector("[data-draw-status]").textContent = text("count", boxes.length);
    dialog.querySelector("[name=boxes]").value = JSON.stringify(boxes.map(({ class_id, bbox }) => ({
      class_id, class_name: given.classes.find((one) => one.id === class_id).name, bbox,
    })));
  }

  function name(classId) {
    newest = classId;
    if (made.selected() !== null) made.relabel(made.selected(), classId);
    refresh();
  }

  const middle = () => {
    const { k, x, y } = made.view();
    return { x: (host.clientWidth / 2 - x) / k, y: (host.clientHeight / 2 - y) / k, k };
  };
  const tools = {
    undo: made.undo,
    redo: made.redo,
    remove: () => made.remove(made.selected()),
    out: made.fit,
    in() { const at = middle(); made.zoomTo(made.view().scale * 1.6, at.x, at.y); },
    add: made.addInMiddle,
  };
  dialog.addEventListener("click", (event) => {
    const chip = event.target.closest("[data-class]");
    const tool = event.target.closest("[data-do]");
    if (chip) name(Number(chip.dataset.class));
    if (tool) { tools[tool.dataset.do](); refresh(); }
  });
  return { editor: made, refresh };
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-say]");
  if (!form) return;
  event.preventDefault();
  const fields = new FormData(form);
  if (event.submitter?.name) fields.set(event.submitter.name, event.submitter.value);
  if (form.matches("[data-consent]")) keepConsent(form, event.submitter.value);
  say(form, fields, (event.submitter?.querySelector("span") ?? event.submitter)?.innerText.trim() ?? "");
});
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-consent-remember]")) return;
  keepConsent(event.target.form, event.target.form.querySelector("[aria-pressed=true]")?.value);
});
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-draw]")) draw(part(event.target));
  if (event.target.closest("[data-draw-close]")) event.target.closest("dialog").close();
  if (event.target.closest("[data-consent-forget]")) {
    forget(REMEMBERED);
    showConsent();
  }
});
// A card that comes in by the page's own script shows what is remembered, too.
const result = document.getElementById("result");
if (result) new MutationObserver(() => tickConsent(result)).observe(result, { childList: true });
tickConsent(document);
showConsent();
