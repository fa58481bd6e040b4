// The field page: choose, preview, shrink if asked, send with progress, show the answer; a photo is kept until it is answered.
// Every text comes from the page (#texts), every answer as HTML from the server: nothing here knows a class or a language.
import { wire } from "./frame.js";
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
let ready = null; // {blob, name, key, arrived, ...}: what is sent, and the same again on each new try
let request = null;
let preparing = 0; // only the last choice counts when several are made quickly
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
  $("send-words").textContent = say(name === "interrupted" ? "send_again" : "send");
  $("send").hidden = name === "refused";
  for (const [id, text] of [["take", "take"], ["choose", "choose"]]) {
    document.querySelector(`label[for=${id}] span`).textContent = say(name === "empty" ? text : `${text}_other`);
  }
}

const announce = (text) => { $("status").textContent = text; };

async function choose(file) {
  if (!file) return;
  chosen = file;
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

function formData() {
  const data = new FormData(form);
  data.delete("form_token");
  data.set("file", ready.blob, ready.name);
  return data;
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
  state(again ? "interrupted" : "refused");
  showFault();
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

const interrupted = (why) => fault("interrupted", say(`${why}_title`), say(why));

function cancelled() {
  state("picked");
  announce(say("cancelled"));
  $("send").focus();
}

function startOver() {
  chosen = ready = null;
  form.querySelectorAll("input[type=file]").forEach((input) => { input.value = ""; });
  state("empty");
  $("result").replaceChildren();
  announce("");
  $("ask").focus();
}

function remember(input) {
  const name = `leafloop.${input.id}`;
  const box = input.type === "checkbox";
  try {
    const kept = localStorage.getItem(name);
    if (kept !== null) { if (box) input.checked = kept === "true"; else input.value = kept; }
    input.addEventListener("change", () => localStorage.setItem(name, box ? String(input.checked) : input.value));
  } catch { /* storage is switched off: then nothing is remembered */ }
}

for (const id of ["take", "choose"]) $(id).addEventListener("change", (event) => choose(event.target.files[0]));
form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
$("cancel").addEventListener("click", () => request?.abort());
$("another").addEventListener("click", startOver);
$("slow").addEventListener("change", () => chosen && choose(chosen));
page.ownerDocument.addEventListener("dragover", (event) => { event.preventDefault(); page.dataset.dragging = ""; });
page.ownerDocument.addEventListener("dragleave", () => delete page.dataset.dragging);
page.ownerDocument.addEventListener("drop", (event) => {
  event.preventDefault();
  delete page.dataset.dragging;
  if (!request) choose(event.dataTransfer.files[0]);
});

remember($("slow"));
document.querySelectorAll("[data-remember]").forEach(remember);
$("choose").required = false; // a dropped or freshly taken photo does not stand in that input
const touched = navigator.maxTouchPoints > 0; // a phone or a tablet: there is a camera, and nothing to drag
$("take-pick").hidden = !touched;
$("slow-card").hidden = false;
document.querySelector(".drop-hint").hidden = touched;
state("empty");
