// What waits on this phone: photos and words in IndexedDB, until they have arrived. Knows neither the page nor the network.
//
// An entry: {id, kind: "photo" | "words", owner, made, state, why, ...}
//   state  waiting (goes up when it can), refused (until somebody tries again; for good where `bad`), done (its receipt is shown
//          until it is put away)
//   why    what kept it from going up the last time: offline, busy, login
//   bad    the photo itself is of no use, so it is not kept any longer; else it may be the only copy
//   photo  blob, name, size, thumb, fields, word (pairs of texts, to be said of its answer), place (its upload at the service),
//          sent (bytes that are safe there), answer
//   words  url, fields (pairs of texts)

const DATABASE = "leafloop";
const ENTRIES = "outbox";
const CHANNEL = "leafloop.outbox";
let opened = null;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(ENTRIES, { keyPath: "id" });
    asked.onsuccess = () => {
      asked.result.onversionchange = asked.result.onclose = () => { asked.result.close(); opened = null; };
      resolve(asked.result);
    };
    asked.onerror = () => { opened = null; reject(asked.error); };
  });
  return opened;
}

// Resolves when it is on the disk, not when it was asked for.
async function transact(mode, work) {
  const transaction = (await database()).transaction(ENTRIES, mode, { durability: "strict" });
  return new Promise((resolve, reject) => {
    const asked = work(transaction.objectStore(ENTRIES));
    transaction.oncomplete = () => resolve(asked.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? asked.error);
  });
}

// Oldest first.
export async function entries() {
  const all = await transact("readonly", (store) => store.getAll());
  return all.sort((a, b) => a.made.localeCompare(b.made));
}

export const entry = (id) => transact("readonly", (store) => store.get(id));

export async function add(one) {
  await transact("readwrite", (store) => store.put(one));
  tell();
}

// A photo has its answer: it is done, and what was said with it waits now as a word about that answer. One step, so that a stop
// in between neither loses the word nor says it twice.
export async function settle(id, changes, word) {
  await transact("readwrite", (store) => {
    const asked = store.get(id);
    asked.onsuccess = () => {
      if (!asked.result) return;
      store.put({ ...asked.result, ...changes });
      if (word) store.put(word);
    };
    return asked;
  });
  tell();
}

// Changes an entry that is still there; one that was removed meanwhile stays removed.
export async function change(id, changes) {
  let changed = null;
  await transact("readwrite", (store) => {
    const asked = store.get(id);
    asked.onsuccess = () => { if (asked.result) store.put((changed = { ...asked.result, ...changes })); };
    return asked;
  });
  if (changed) tell();
  return changed;
}

export async function remove(id) {
  await transact("readwrite", (store) => store.delete(id));
  tell();
}

// Other tabs and the service worker hear of each change; so does who listens here.
const listeners = new Set();
const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(CHANNEL);
if (channel) channel.onmessage = () => listeners.forEach((listener) => listener());

export const onChange = (listener) => listeners.add(listener);

function tell() {
  channel?.postMessage("changed");
  listeners.forEach((listener) => listener());
}
