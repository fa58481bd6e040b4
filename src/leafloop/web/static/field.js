// The field page: choose, preview, shrink if asked, send with progress, show the answer; a photo is kept until it is answered.
// Every text comes from the page (#texts), every answer as HTML from the server: nothing here knows a class or a language.
import { wire } from "./frame.js";
import { keep as remembering, owner, recall } from "./mine.js";
import { keepPhoto } from "./outbox.js";
import { keyFor, prepare, size } from "./photo.js";

const $ = (id) => document.getElementById(id);
const page = $("field");
const form = $("photo-form");
const texts = JSON.parse($("texts").textContent);
const say = (name, values = {}) => texts[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
const sizeWords = (bytes) => size(bytes, say);
// Longest silence on the line before we call it broken: a byte may be slow, but 60 s without any is an outage.
const SILENCE_MS = 60_000;

let chosen = null; // the File as it was chosen
let taken = false; // by the camera, just now: then we know when
let ready = null; // {blob, name, key, arrived, ...}: what is sent, and the same again on each new try
let request = null;
let preparing = 0; // only the last choice counts when several are made quickly
let sender = owner; // as whose the photo goes up; null: whoever is logged in, as somebody chose who saw that it is another
let wanted = false; // "Send" was pressed while the photo was still being prepared

function state(name) {
  page.dataset.state = name;
  $("preview").hidden = name === "empty" || name === "answered";
  $("working").hidden = name !== "sending";
  $("result").hidden = $("afterwards").hidden = name !== "answered";
  if (name !== "refused" && name !== "interrupted") $("fault").hidden = true;
  if (name !== "answered") $("shrunk-answer").hidden = true;
  // Once a photo may have arrived whole, a new try has to be the very same request: only then is it counted once.
  $("about-fields").disabled = $("slow").disabled = name === "sending" || (name === "interrupted" && ready.arrived);
  label();
  $("send").hidden = name === "refused";
  for (const [id, text] of [["take", "take"], ["choose", "choose"]]) {
    document.querySelector(`label[for=${id}] span`).textContent = say(name === "empty" ? text : `${text}_other`);
  }
}

// Without a net the one button keeps the photo here; with one it sends.
const label = () => {
  $("send-words").textContent = say(!navigator.onLine ? "keep" : page.dataset.state === "interrupted" ? "send_again" : "send");
};

const announce = (text) => { $("status").textContent = text; };

async function choose(file, byCamera = taken) {
  if (!file) return;
  chosen = file;
  taken = byCamera;
  const turn = ++preparing;
  ready = null;
  wanted = false;
  state("picked");
  announce(say("preparing"));
  $("preview-facts").textContent = say("preparing");
  $("shrunk").hidden = true;
  const [shown, made] = await Promise.all([showPreview(file), prepare(file, shrinking())]);
  if (turn !== preparing) return;
  ready = { ...shown, ...made, key: keyFor(), arrived: false };
  describe();
  if (ready.blob.size > Number(page.dataset.maxBytes)) {
    return fault("refused", say("too_large_title"), say("too_large", { size: sizeWords(ready.blob.size), limit: sizeWords(page.dataset.maxBytes) }));
  }
  announce(say("ready"));
  $("send").focus();
  if (wanted) send();
}

const shrinking = () => $("slow").checked && { longest: Number(page.dataset.shrinkTo), quality: Number(page.dataset.shrinkQuality) };

// Shows the photo from the phone's own memory, and gives its size in pixels where the browser can read it.
async function showPreview(file) {
  const image = $("preview-photo");
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  const readable = await image.decode().then(() => true, () => false);
  image.hidden = !readable;
  $("preview-none").hidden = readable;
  return readable ? { width: image.naturalWidth, height: image.naturalHeight } : {};
}

function describe() {
  const values = { width: ready.width, height: ready.height, size: sizeWords(ready.blob.size), before_size: sizeWords(chosen.size) };
  $("preview-facts").textContent = say(ready.width ? "facts" : "facts_size", values);
  const name = { shrunk: "shrunk", small: "shrink_needless", failed: "shrink_failed" }[ready.shrinking];
  $("shrunk").hidden = !name;
  $("shrunk").textContent = name ? say(name, values) : "";
}

function send() {
  wanted = !ready;
  if (wanted || request) return;
  if (!navigator.onLine) return void keep();
  if (!ready.arrived) ready.body = formData();
  const { body } = ready;
  request = new XMLHttpRequest();
  const watch = silence(request);
  state("sending");
  progress(say("sending", { percent: 0 }), 0);
  announce(say("sending", { percent: 0 }));
  let told = 0;
  request.upload.onprogress = (event) => {
    watch.heard();
    const percent = Math.floor((100 * event.loaded) / event.total);
    progress(say("sending", { percent }), percent);
    if (percent >= told + 25) announce(say("sending", { percent: (told = percent) })); // not every step: that would talk all the time
  };
  request.upload.onload = () => { ready.arrived = true; watch.heard(); progress(say("looking"), null); announce(say("looking")); };
  request.onload = () => answered(request);
  request.onerror = request.ontimeout = () => interrupted("offline");
  request.onabort = () => (watch.broken ? interrupted("offline") : cancelled());
  request.onloadend = () => { watch.stop(); request = null; };
  request.open("POST", form.action);
  request.setRequestHeader("Leafloop-Partial", "1");
  if (sender !== null) request.setRequestHeader("Leafloop-Owner", sender);
  request.setRequestHeader("Idempotency-Key", ready.key);
  request.send(body);
  $("cancel").focus();
}

function silence(waiting) {
  const watch = { broken: false, timer: 0 };
  watch.heard = () => {
    clearTimeout(watch.timer);
    watch.timer = setTimeout(() => { watch.broken = true; waiting.abort(); }, SILENCE_MS);
  };
  watch.stop = () => clearTimeout(watch.timer);
  watch.heard();
  return watch;
}

// What is said with the photo before there is an answer: as the pages' forms say it of one (web/said.py).
function wordOf(data) {
  const comment = (data.get("comment") ?? "").trim();
  if (!comment && !data.has("ask_expert")) return null;
  return [["said", data.has("ask_expert") ? "expert" : "remark"], ...(comment ? [["comment", comment]] : [])];
}

function formData() {
  const data = new FormData(form);
  data.delete("form_token");
  data.set("file", ready.blob, ready.name);
  if (taken) data.set("captured_at", new Date(chosen.lastModified).toISOString());
  return data;
}

// The photo stays on this phone and goes up when it can, under the same key: should it have arrived after all, it counts once.
async function keep() {
  const mine = ready;
  if (mine.keeping) return;
  mine.keeping = true;
  const { blob, name, key } = mine;
  const data = mine.arrived ? mine.body : formData();
  const word = wordOf(data);
  for (const said of ["comment", "ask_expert"]) data.delete(said);
  const fields = Object.fromEntries([...data].filter(([, value]) => typeof value === "string"));
  try {
    await keepPhoto({ blob, name, key, fields, word });
  } catch {
    mine.keeping = false;
    return fault("interrupted", say("keep_failed_title"), say("keep_failed"));
  }
  if (ready === mine) startOver(); // else the next photo has been chosen meanwhile
  announce(say("kept"));
}

function progress(words, percent) {
  $("working-words").textContent = words;
  if (percent === null) $("progress").removeAttribute("value");
  else $("progress").value = percent;
}

function answered(response) {
  const partial = response.getResponseHeader("Leafloop-Partial");
  if (!partial) return interrupted("broken"); // a proxy's page, or a captive portal's
  if (response.status === 200) return showAnswer(response.responseText);
  $("fault").innerHTML = response.responseText;
  const again = $("fault").querySelector("[data-again]");
  if (again?.dataset.problem === "other_login") forOther(again);
  state(again ? "interrupted" : "refused");
  showFault();
}

// Another login than the page's: the photo may go up under it when somebody says so, and nothing that is the last person's with it.
function forOther(card) {
  sender = null;
  ready.arrived = false;
  for (const field of form.querySelectorAll("[data-remember], [data-consent-field]")) field.value = "";
  const words = document.createElement("p");
  words.textContent = say("as_other");
  card.append(words);
}

function showAnswer(html) {
  const result = $("result");
  result.innerHTML = html;
  const slot = result.querySelector("[data-photo-slot]");
  const image = $("preview-photo");
  const shown = document.createElement("img");
  shown.alt = image.alt;
  if (image.hidden) shown.src = slot.dataset.photoSlot; // this browser cannot show the photo; the kept copy it can
  else shown.src = image.src;
  slot.replaceWith(shown);
  const shrunk = ready.shrinking === "shrunk";
  state("answered");
  $("shrunk-answer").hidden = !shrunk;
  $("shrunk-answer").textContent = shrunk ? say("shrunk_answer") : "";
  wire(result);
  announce(say("answered"));
  result.querySelector("h2").focus();
}

function fault(name, title, detail) {
  const box = document.createElement("div");
  box.className = "card problem";
  box.setAttribute("role", "alert");
  const heading = document.createElement("h2");
  heading.tabIndex = -1;
  heading.textContent = title;
  const words = document.createElement("p");
  words.textContent = detail;
  box.append(heading, words);
  $("fault").replaceChildren(box);
  state(name);
  showFault();
}

function showFault() {
  $("fault").hidden = false;
  announce("");
  $("fault").querySelector("h2").focus();
}

function interrupted(why) {
  fault("interrupted", say(`${why}_title`), say(why));
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  button.textContent = say("keep");
  button.addEventListener("click", keep);
  $("fault").firstElementChild.append(button);
}

function cancelled() {
  state("picked");
  announce(say("cancelled"));
  $("send").focus();
}

function startOver() {
  chosen = ready = null;
  taken = false;
  form.querySelectorAll("input[type=file], [data-of-one-photo]").forEach((input) => { if (input.type === "checkbox") input.checked = false; else input.value = ""; });
  state("empty");
  $("result").replaceChildren();
  announce("");
  $("ask").focus();
}

function remember(input) {
  const box = input.type === "checkbox";
  const kept = recall(input.id);
  if (kept !== null) { if (box) input.checked = kept === "true"; else input.value = kept; }
  input.addEventListener("change", () => remembering(input.id, box ? String(input.checked) : input.value));
}

for (const id of ["take", "choose"]) $(id).addEventListener("change", (event) => choose(event.target.files[0], id === "take"));
form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
$("cancel").addEventListener("click", () => request?.abort());
$("another").addEventListener("click", startOver);
$("slow").addEventListener("change", () => chosen && choose(chosen));
page.ownerDocument.addEventListener("dragover", (event) => { event.preventDefault(); page.dataset.dragging = ""; });
page.ownerDocument.addEventListener("dragleave", () => delete page.dataset.dragging);
page.ownerDocument.addEventListener("drop", (event) => {
  event.preventDefault();
  delete page.dataset.dragging;
  if (!request) choose(event.dataTransfer.files[0], false);
});

for (const net of ["online", "offline"]) addEventListener(net, label);
remember($("slow"));
document.querySelectorAll("[data-remember]").forEach(remember);
$("choose").required = false; // a dropped or freshly taken photo does not stand in that input
const touched = navigator.maxTouchPoints > 0; // a phone or a tablet: there is a camera, and nothing to drag
$("take-pick").hidden = !touched;
$("slow-card").hidden = false;
document.querySelector(".drop-hint").hidden = touched;
state("empty");
