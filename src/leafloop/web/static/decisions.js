// Decisions on their way to the service: one after the other, kept until it has them, also over a reload. Knows no photo.
// An entry is {item_id, body, owner}, and what else is the page's own and comes back with it. It goes up as its owner's, or waits: who
// logs in on another tab meanwhile signs nobody else's decisions.
import { keep as remember, owner, QUEUE, recall } from "./mine.js";

const WAITS_S = [1, 2, 4, 8, 15]; // between tries: soon at first, and never so rarely that somebody thinks it has stopped
const SILENCE_MS = 30_000;
const KEEPALIVE_MOST = 60_000; // characters; browsers let 64 kB outlive a page

// heard: {taken(entry, answer), conflict(entry), refused(entry, problem), state({waiting, trouble: null | "lost" | "login"})}
export function decisions(heard) {
  let queue = load();
  let busy = false;
  let tries = 0;
  let trouble = null;
  let timer = 0;
  let idlers = [];

  function keep() {
    remember(QUEUE, JSON.stringify(queue.map(({ item_id, body }) => ({ item_id, body, owner })))); // else in this page alone
    heard.state({ waiting: queue.length, trouble });
    if (!queue.length) idlers.splice(0).forEach((done) => done());
  }

  function add(entry) {
    queue.push({ ...entry, owner });
    keep();
    send();
  }

  // Takes the newest back before it leaves. Null: it is on its way, or may have arrived.
  function takeBack() {
    const last = queue.at(-1);
    if (!last || last.sent) return null;
    queue.pop();
    keep();
    return last;
  }

  async function send() {
    clearTimeout(timer);
    if (busy || !queue.length) return;
    busy = true;
    const entry = queue[0];
    entry.sent = true;
    const [outcome, answer] = await post(entry);
    busy = false;
    if (outcome === "again") {
      trouble = answer;
      timer = setTimeout(send, 1000 * WAITS_S[Math.min(tries++, WAITS_S.length - 1)]);
      return keep();
    }
    trouble = null;
    tries = 0;
    queue.shift();
    keep();
    heard[outcome](entry, answer);
    send();
  }

  addEventListener("online", () => send());
  addEventListener("focus", () => trouble && send()); // back from the tab in which somebody logged in again
  if (queue.length) setTimeout(send);

  return {
    add,
    takeBack,
    items: () => queue.map((entry) => entry.item_id),
    idle: () => new Promise((done) => { if (queue.length) idlers.push(done); else done(); }),
    troubled: () => trouble !== null,
  };
}

async function post({ item_id, body, owner: whose }) {
  const sent = JSON.stringify(body);
  try {
    const response = await fetch(`/review/items/${item_id}/decision`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", "Leafloop-Owner": whose },
      body: sent,
      keepalive: sent.length < KEEPALIVE_MOST, // it arrives also when the page is left at this moment
      signal: AbortSignal.timeout(SILENCE_MS),
    });
    if (response.ok) return ["taken", await response.json()];
    if (response.status === 401) return ["again", "login"];
    if (response.status >= 500 || response.status === 429 || response.status === 408) return ["again", "lost"];
    const problem = await response.json().catch(() => ({ detail: String(response.status) }));
    if (problem.code === "other_login") return ["again", "login"];
    return [response.status === 409 || response.status === 404 ? "conflict" : "refused", problem];
  } catch {
    return ["again", "lost"]; // no network, or a proxy's page
  }
}

function load() {
  try {
    return JSON.parse(recall(QUEUE)) ?? [];
  } catch {
    return [];
  }
}
