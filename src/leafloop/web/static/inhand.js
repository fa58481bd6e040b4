// The photos that this page has in hand: the one that is looked at, and the next one, fetched and decoded meanwhile, so that it is
// there at once. While they are in hand nobody else is shown them. Knows no word and no box.
// A work is {found, photo, broken, at, after}: the case, its decoded picture, when it was taken, and after how many decisions.

const RETRY_MS = 2000;
const MOST_SKIPPED = 200; // as the service takes them
const KEPT = "leafloop.review.present";

export const photoOf = (found, size = "view") => `/answers/${found.prediction.id}/photo${size ? `?size=${size}` : ""}`;

// What a call of ours says; null where there is nothing. Throws with `status` where the service refused, without where it is away.
export async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, headers: { Accept: "application/json", ...options.headers } });
  if (response.status === 204) return null;
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.detail), { status: response.status });
  return body;
}

// options: {first: the id of a case to begin with, reason, leaseMs, underWay(): ids decided and not sent yet, done(): decisions so
//   far, trouble(error | null)}: the last is told when the next photo cannot be fetched though somebody waits for it, and when it can.
export function inHand(options) {
  let present = null;
  let ready = []; // what comes next, the first one first
  let arriving = null; // its case is here and its photo not yet: it is in hand, too
  let coming = null; // a promise: then one more is ready, or nothing waits
  let wanted = options.first || before(); // a photo that a link named, or that was looked at as the page was loaded again

  // The next work with its photo decoded; null: nothing waits. Goes on trying when the network is away.
  async function take() {
    for (let failed = false; ; ) {
      const one = wanted;
      wanted = null;
      try {
        const found = await ask(`/review/next.json?${query(one)}`);
        if (failed && !present) options.trouble(null);
        arriving = found;
        return found && (await load(found));
      } catch (error) {
        if (one && (error.status === 409 || error.status === 404)) continue; // it is somebody else's by now
        failed = true;
        if (!present) options.trouble(error);
        await new Promise((done) => setTimeout(done, RETRY_MS));
      }
    }
  }

  function query(one) {
    const held = [present, ...ready].filter(Boolean).map((work) => work.found.item_id);
    const made = new URLSearchParams({ skip: [...new Set([...held, ...options.underWay()])].slice(0, MOST_SKIPPED).join(",") });
    if (options.reason) made.set("reason", options.reason);
    if (one) made.set("item", one);
    return made;
  }

  async function load(found) {
    const photo = new Image();
    photo.decoding = "sync"; // it is decoded already, and is painted with its boxes, not after them
    photo.alt = "";
    photo.src = photoOf(found);
    const broken = await photo.decode().then(() => false, () => true);
    return { found, photo, broken, at: Date.now(), after: options.done() };
  }

  const stale = (work) => Date.now() - work.at > options.leaseMs * 0.9; // its time may have run out: somebody else may have it

  function lookAhead() {
    if (!ready.length) coming ??= take().then((work) => { coming = arriving = null; if (work) ready.push(work); });
    return coming;
  }

  async function next() {
    while (ready.length && stale(ready[0])) ready.shift();
    if (!ready.length) {
      await lookAhead();
      if (!ready.length) await lookAhead(); // nothing waited besides the photo that was in hand; that may be different now
    }
    return ready.shift() ?? null;
  }

  function hold(work) {
    present = work;
    remember(work?.found.item_id);
  }

  return {
    load,
    lookAhead,
    next,
    hold, // the one that is looked at; null: it is decided
    isReady: () => ready.length > 0 && !stale(ready[0]),
    shift: () => ready.shift(),
    putBack: (work) => ready.unshift(work), // it comes next again
    release() { // the page is left
      const found = [...[present, ...ready].map((work) => work?.found), arriving];
      for (const one of found) if (one) navigator.sendBeacon(`/review/items/${one.item_id}/release`);
    },
  };
}

function before() {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null; // storage is switched off: then the first in the queue comes
  }
}

function remember(item_id) {
  try {
    if (item_id) sessionStorage.setItem(KEPT, item_id);
    else sessionStorage.removeItem(KEPT);
  } catch { /* as above */ }
}
