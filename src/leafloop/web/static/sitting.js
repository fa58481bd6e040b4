// How long a reviewer looks at a photo, and how many there were in this sitting. Knows no photo.
const KEPT = "leafloop.review.seconds";

// Seconds since it was started, without the time in which the page was not looked at.
export function stopwatch() {
  let startedAt = 0;
  let hiddenAt = 0;
  let hidden = 0;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiddenAt = performance.now();
    else hidden += performance.now() - hiddenAt;
  });
  return {
    start() { startedAt = performance.now(); hidden = 0; },
    seconds: () => Math.max(0, Math.round((performance.now() - startedAt - hidden) / 100) / 10),
  };
}

// The seconds of each photo decided; a reload goes on with them.
export function sitting() {
  let list = [];
  try { list = JSON.parse(sessionStorage.getItem(KEPT)) ?? []; } catch { /* then it begins anew */ }
  const keep = () => { try { sessionStorage.setItem(KEPT, JSON.stringify(list)); } catch { /* as above */ } };
  return {
    add(seconds) { list.push(seconds); keep(); },
    takeBack() { list.pop(); keep(); },
    done: () => list.length,
    pace: () => (list.reduce((a, b) => a + b, 0) / list.length).toFixed(1),
  };
}
