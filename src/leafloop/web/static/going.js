// Takes what waits up to the service: photos in pieces (tus 1.0), words as they were said, each once. One at a time on this phone,
// whichever tab or worker does it. Knows no page.
import { change, entries, entry, settle } from "./store.js";

// A piece: lost and sent again when the line breaks. At 5 kB/s it takes 52 s, on a good line a photo of 4 MB has 16 of them.
export const PIECE = 256 * 1024;
const SILENCE_MS = 90_000; // for a piece at the slowest pace that the service bears, with a stall
const ROUNDS = 3; // how often we ask where an upload stands before we leave it for later
const TUS = { "Tus-Resumable": "1.0.0" };
// Codes that say that the photo itself is of no use, whoever sends it and whatever is set. What was refused for another reason (a
// role, a limit that was lowered) stays whole: it may be the only copy there is.
const BAD_PHOTO = new Set(["empty", "not_an_image", "unsupported_type", "undecodable", "too_small", "bad_shape"]);

// Why not now: offline (no net, or somebody else answers for the service), busy, login.
class Later extends Error {
  constructor(why) {
    super(why);
    this.why = why;
  }
}

// Not as it is: the service says why.
class Refused extends Error {
  constructor(problem) {
    super("refused");
    this.problem = problem;
  }
}

// Two tabs, or a tab and the worker, never send at once: the second waits, and finds nothing left to do.
const alone = (work) => (globalThis.navigator?.locks ? navigator.locks.request("leafloop.outbox", work) : work());

// Sends all that waits, the oldest first. Gives what kept the rest from going up, or null.
export function goUp() {
  return alone(async () => {
    let why = null;
    for (const { id } of (await entries()).filter((one) => one.state === "waiting")) {
      why = (await goOne(id)) ?? why;
      if (why === "offline" || why === "busy") break; // the next one would meet the same
    }
    return why;
  });
}

async function goOne(id) {
  const one = await entry(id); // as it is now: a photo that was removed a moment ago is not sent
  if (one?.state !== "waiting") return null;
  try {
    if (one.kind === "photo") await photo(one);
    else await words(one);
    return null;
  } catch (error) {
    if (error instanceof Refused) return void (await refused(one, error.problem));
    const why = error instanceof Later ? error.why : "offline";
    await change(id, { why });
    return why;
  }
}

function refused(one, problem) {
  const bad = one.kind === "photo" && BAD_PHOTO.has(problem.code);
  return change(one.id, { state: "refused", why: null, problem, bad, ...(bad && { blob: null }) });
}

async function photo(one) {
  let { place, offset } = await begin(one);
  for (let round = 0; round < ROUNDS; round++) {
    while (offset < one.size) {
      offset = await piece(one, place, offset);
      if (!(await change(one.id, { place, sent: offset, why: null }))) return; // removed meanwhile
    }
    const answer = await ask(one, "GET", `${place}/answer`, {}, null, [409]);
    if (answer.ok) return answered(one, (await answer.json()).prediction_id);
    offset = await whereItStands(one, place); // a piece was damaged there
  }
  throw new Later("busy");
}

async function answered(one, answer) {
  const word = one.word && {
    id: `${one.id}-word`, kind: "words", owner: one.owner, made: one.made, state: "waiting", why: null, url: `/answers/${answer}/words`, fields: one.word,
  };
  await settle(one.id, { state: "done", why: null, answer, sent: one.size, blob: null }, word);
  if (word) await goOne(word.id);
}

// Begun twice it is the same upload: the answer says how much of it is safe.
async function begin(one) {
  const said = Object.entries({ ...one.fields, filename: one.name }).filter(([, value]) => value);
  const headers = {
    "Upload-Length": String(one.size),
    "Upload-Metadata": said.map(([name, value]) => `${name} ${base64(value)}`).join(","),
    "Idempotency-Key": one.id,
  };
  const made = await ask(one, "POST", "/uploads", headers);
  const at = { place: new URL(made.headers.get("Location"), location.origin).pathname, offset: Number(made.headers.get("Upload-Offset")) };
  await change(one.id, { place: at.place, sent: at.offset, why: null });
  return at;
}

async function piece(one, place, offset) {
  const headers = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(offset) };
  const sent = await ask(one, "PATCH", place, headers, one.blob.slice(offset, offset + PIECE), [404, 409]);
  if (sent.ok) return Number(sent.headers.get("Upload-Offset"));
  if (sent.status === 404) throw new Later("busy"); // taken away after a week: the next round begins it anew
  return whereItStands(one, place);
}

const whereItStands = async (one, place) => Number((await ask(one, "HEAD", place)).headers.get("Upload-Offset"));

async function words(one) {
  const data = new FormData();
  for (const [name, value] of one.fields) data.append(name, value);
  // A form's own token makes its key; only where there is none the entry's id does. So a word that had arrived unheard counts once.
  const key = data.get("form_token") ? {} : { "Idempotency-Key": one.id };
  await ask(one, "POST", one.url, { "Leafloop-Partial": "1", ...key }, data);
  await change(one.id, { state: "done", why: null });
}

// A request that is answered well, or with one of `also`. Whatever does not come from the service itself is no answer. It says whose
// entry this is: what one person took or said goes up under that login, or not at all.
async function ask(one, method, url, headers = {}, body = null, also = []) {
  const signal = AbortSignal.timeout?.(SILENCE_MS);
  const answer = await fetch(url, { method, headers: { ...TUS, "Leafloop-Owner": one.owner, ...headers }, body, signal, redirect: "error", cache: "no-store" });
  if (!answer.headers.get("Tus-Resumable") && !answer.headers.get("Leafloop-Partial")) throw new Later("offline");
  if (answer.ok || also.includes(answer.status)) return answer;
  if (answer.status === 401) throw new Later("login");
  if (answer.status >= 500 || [404, 408, 409, 429].includes(answer.status)) {
    if (answer.status !== 404 || method !== "POST") throw new Later("busy");
  }
  if (method === "HEAD") throw new Later("busy"); // it tells no reason; the next round's POST does
  const said = await problem(answer);
  if (said.code === "other_login") throw new Later("login");
  throw new Refused(said);
}

async function problem(answer) {
  const text = await answer.text();
  try {
    const { title, detail, code } = JSON.parse(text);
    return { title, detail, code };
  } catch {
    return { html: text, code: /data-problem="(\w+)"/.exec(text)?.[1] };
  }
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
