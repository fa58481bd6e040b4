// The list of what waits on this phone: shown, kept, sent, put away. Sending is `going.js`, keeping `store.js`; every word is the page's.
import { NotSent, sendBy, sendWords } from "./answer.js";
import { goUp, PIECE } from "./going.js";
import { owner } from "./mine.js";
import { keyFor, size } from "./photo.js";
import { add, change, entries, onChange, remove } from "./store.js";

const section = document.getElementById("outbox");
const texts = JSON.parse(document.getElementById("outbox-texts").textContent);
const say = (name, values = {}) => texts[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
const problems = JSON.parse(document.getElementById("outbox-problems").textContent);
const THUMB = 144; // pixels: twice the size at which it is shown
const AGAIN_MS = [5_000, 60_000]; // from a lift's length to what nobody minds: `online` is not told of every net that works again
const RECEIPT_DAYS = 7;

// Keeps a photo until it has gone up. `photo`: {blob, name, key, fields, word}: `word` is said of its answer once that is there. Throws when this phone cannot keep it.
export async function keepPhoto({ blob, name, key, fields, word }) {
  await add({
    ...(await fresh("photo", key)), blob, name, fields, word, size: blob.size, sent: 0, thumb: await thumbnail(blob),
  });
  begin();
}

// A word about an answer is sent at once, else kept: the form's address and its fields. One that comes after another that waits
// waits behind it, so that the last word said stays the last.
async function sayOrKeep(url, data) {
  const { pathname } = new URL(url, location.href);
  const waits = (one) => one.kind === "words" && one.state === "waiting" && one.owner === owner && answerOf(one.url) === answerOf(pathname);
  const behind = (await entries().catch(() => [])).some(waits);
  try {
    if (behind) throw new NotSent("offline");
    return await sendWords(url, data);
  } catch (error) {
    if (error.why !== "offline" || (!behind && worthAnotherTry(data))) throw error;
    const kept = { ...(await fresh("words", keyFor())), url: pathname, fields: [...data].filter(([, value]) => typeof value === "string") };
    await add(kept).catch(() => { throw error; });
    begin();
    throw new NotSent("kept", `<p>${say("words_kept")}</p>`);
  }
}

// With a net a word that broke off is offered to be sent again at once; when that fails, too, it waits here.
const tried = new Set();
function worthAnotherTry(data) {
  const word = JSON.stringify([...data].filter(([, value]) => typeof value === "string"));
  const first = !tried.has(word);
  tried.add(word);
  return navigator.onLine && first;
}

const answerOf = (path) => path.replace(/\/(words|consent)(\/.*)?$/, "");

async function fresh(kind, id) {
  await navigator.storage?.persist?.().catch(() => false); // asked, not demanded: else a full phone may throw it away
  return { id, kind, owner, made: new Date().toISOString(), state: "waiting", why: navigator.onLine ? null : "offline" };
}

async function thumbnail(blob) {
  try {
    const whole = await createImageBitmap(blob, { imageOrientation: "from-image" });
    const scale = THUMB / Math.min(whole.width, whole.height);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = THUMB;
    const context = canvas.getContext("2d");
    const [width, height] = [whole.width * scale, whole.height * scale];
    context.drawImage(whole, (THUMB - width) / 2, (THUMB - height) / 2, width, height);
    whole.close();
    return await new Promise((done) => { canvas.toBlob(done, "image/jpeg", 0.7); });
  } catch {
    return null; // a kind of photo that this browser cannot show
  }
}

// Going up: now, when the net comes back, when the page is looked at again, and by the worker when no page is open.

let pause = AGAIN_MS[0];
let timer = 0;
let going = false;

async function begin() {
  navigator.serviceWorker?.ready.then((worker) => worker.sync?.register("leafloop.outbox")).catch(() => {});
  await go();
}

async function go() {
  clearTimeout(timer);
  if (going) return;
  going = true;
  const why = await goUp().catch(() => "offline");
  going = false;
  await show();
  if (!(await entries()).some((one) => one.state === "waiting" && one.owner === owner && one.why !== "login")) return;
  timer = setTimeout(go, pause);
  pause = why ? Math.min(2 * pause, AGAIN_MS[1]) : AGAIN_MS[0];
}

function goSoon() {
  pause = AGAIN_MS[0];
  go();
}

// The list

const pictures = new Map(); // id -> address of its thumb, made once
let shown = Promise.resolve();
const show = () => { shown = shown.then(draw, draw); return shown; };

async function draw() {
  const all = await entries();
  const own = all.filter((one) => one.owner === owner);
  const others = all.filter((one) => one.owner !== owner && one.state === "waiting").length;
  section.hidden = own.length === 0 && others === 0;
  const list = section.querySelector("[data-items]");
  for (const item of [...list.children]) if (!own.some((one) => one.id === item.dataset.id)) item.remove();
  for (const one of own) {
    let item = list.querySelector(`[data-id="${CSS.escape(one.id)}"]`);
    if (!item) list.append((item = made(one)));
    fill(item, one);
  }
  const waiting = own.filter((one) => one.state === "waiting").length;
  section.querySelector("[data-count]").textContent = waiting ? say(waiting === 1 ? "waits_one" : "waits_many", { n: waiting }) : say("waits_none");
  const note = section.querySelector("[data-others]");
  note.hidden = others === 0;
  note.textContent = say(others === 1 ? "others_one" : "others_many", { n: others });
}

function made(one) {
  const item = document.getElementById("outbox-item").content.firstElementChild.cloneNode(true);
  item.dataset.id = one.id;
  const again = item.querySelector("[data-again]");
  const away = item.querySelector("[data-remove]");
  again.addEventListener("click", () => change(one.id, { state: "waiting", why: null }).then(goSoon));
  away.addEventListener("click", async () => {
    const whole = "whole" in item.dataset;
    if (whole && !("sure" in away.dataset)) { // a photo is lost with it: ask once more
      away.dataset.sure = "";
      away.textContent = say("remove_sure");
      return;
    }
    const { place } = (await entries()).find((other) => other.id === one.id) ?? {};
    await remove(one.id);
    if (place && whole) fetch(place, { method: "DELETE" }).catch(() => {}); // else it is swept
    section.querySelector("h2").focus();
  });
  return item;
}

function fill(item, one) {
  item.dataset.state = one.state;
  item.toggleAttribute("data-whole", one.state === "waiting" || isKept(one));
  const part = (name) => item.querySelector(`[data-${name}]`);
  if (one.thumb && !pictures.has(one.id)) pictures.set(one.id, URL.createObjectURL(one.thumb));
  part("thumb").hidden = !one.thumb;
  part("no-thumb").hidden = Boolean(one.thumb) || one.kind !== "photo";
  part("said").hidden = one.kind !== "words";
  if (one.thumb && !part("thumb").src) part("thumb").src = pictures.get(one.id);
  part("name").textContent = one.kind === "photo" ? one.name : say("words");
  const pieces = Math.ceil(one.size / PIECE);
  const safe = Math.floor(one.sent / PIECE) + (one.sent === one.size && one.size % PIECE ? 1 : 0);
  part("facts").textContent = one.kind === "photo" ? say(one.sent && one.state === "waiting" ? "pieces" : "facts", { size: size(one.size, say), safe, pieces }) : "";
  part("progress").hidden = one.kind !== "photo" || one.state !== "waiting";
  part("progress").value = one.size ? one.sent / one.size : 0;
  part("progress").setAttribute("aria-label", one.name ?? "");
  part("state").textContent = stateOf(one);
  part("login").hidden = one.why !== "login" || one.state !== "waiting";
  part("read").hidden = one.state !== "done";
  part("read").href = one.kind === "photo" ? `/answers/${one.answer}` : answerOf(one.url);
  part("again").hidden = !(one.state === "waiting" || isKept(one));
  const away = part("remove");
  if (!("sure" in away.dataset)) away.textContent = say(one.state === "waiting" || isKept(one) ? "remove" : "put_away");
}

// Refused, and whole all the same: a photo that is not bad in itself, or a word.
const isKept = (one) => one.state === "refused" && !one.bad;

function stateOf(one) {
  if (one.state === "done") return say(one.kind === "photo" ? "done" : "done_words");
  if (one.state === "refused") return say(isKept(one) ? "refused_kept" : "refused", { why: reason(one.problem) });
  return say(one.why ?? "waiting");
}

// In the page's language by the code; an English page has the service's own words, which say more.
function reason({ title, detail, html, code }) {
  if (problems[code]) return problems[code];
  if (!html) return detail ?? title ?? "";
  const card = document.createElement("template");
  card.innerHTML = html;
  return card.content.querySelector("p")?.textContent ?? "";
}

async function putOldReceiptsAway() {
  const before = new Date(Date.now() - RECEIPT_DAYS * 86_400_000).toISOString();
  for (const one of await entries()) if (one.state === "done" && one.made < before) await remove(one.id);
}

sendBy(sayOrKeep);
onChange(show);
addEventListener("online", goSoon);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && goSoon());
putOldReceiptsAway().then(show).then(go).catch(() => {}); // storage may be switched off: then nothing waits here
