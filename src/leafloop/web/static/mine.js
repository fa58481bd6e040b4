// What this phone remembers of one person, between two visits. Every name has the owner in it, so that nobody finds what the last
// person on the phone left there. Knows neither page nor network.
//
// Storage may be switched off, or full: then nothing is remembered, and nothing breaks.

export const owner = document.body.dataset.owner; // the login under which the page came; "": nobody's
const OURS = `leafloop.${owner}.`;
export const QUEUE = "review.decisions"; // the one thing that outlives a logout: work that has not arrived

const within = (work) => { try { return work(); } catch { return null; } };

export const recall = (name) => within(() => localStorage.getItem(OURS + name));
export const forget = (name) => within(() => localStorage.removeItem(OURS + name));
export const names = (beginning) => within(ours)?.filter((name) => name.startsWith(beginning)) ?? [];

// Whether it was kept.
export const keep = (name, value) => within(() => { localStorage.setItem(OURS + name, value); return true; }) ?? false;

const ours = () => Object.keys(localStorage).filter((name) => name.startsWith(OURS)).map((name) => name.slice(OURS.length));

// At the logout.
export function forgetMe() {
  for (const name of names("")) if (name !== QUEUE) forget(name);
  within(() => sessionStorage.clear());
}
