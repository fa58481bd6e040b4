// On every page: marks that scripts run, writes times in the reader's own zone, and lets photos be zoomed.
import { forgetMe } from "./mine.js";

document.documentElement.classList.add("js");

function localTimes(root) {
  const page = document.documentElement.lang; // the page's language, as it is written where the reader lives
  const here = navigator.languages.find((language) => language.split("-")[0] === page) ?? page;
  const form = new Intl.DateTimeFormat(here, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.valueOf())) time.textContent = form.format(moment);
  }
}

function photo(figure) {
  const frame = figure.querySelector("[data-photo-window]");
  const canvas = figure.querySelector("[data-photo-canvas]");
  const zoom = figure.querySelector("[data-zoom]");
  const hide = figure.querySelector("[data-hide]");

  // x and y: the point to look at, as parts of the photo's width and height.
  function toggle(x, y) {
    const on = frame.classList.toggle("zoomed");
    zoom.setAttribute("aria-pressed", String(on));
    if (!on) return frame.removeAttribute("tabindex");
    frame.tabIndex = 0; // the arrow keys move the photo
    const image = canvas.querySelector("img");
    if (image?.dataset.full) {
      image.src = image.dataset.full;
      delete image.dataset.full;
    }
    frame.scrollLeft = x * canvas.offsetWidth - frame.clientWidth / 2;
    frame.scrollTop = y * canvas.offsetHeight - frame.clientHeight / 2;
  }

  zoom.hidden = false;
  zoom.addEventListener("click", () => toggle(0.5, 0.5));
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    toggle((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
  if (hide) {
    hide.hidden = false;
    hide.addEventListener("click", () => {
      hide.setAttribute("aria-pressed", String(figure.classList.toggle("boxes-hidden")));
    });
  }
}

export function wire(root) {
  localTimes(root);
  root.querySelectorAll("[data-photo]").forEach(photo);
}

wire(document);

// Without a net the field page opens all the same (sw.js). It may wait until the page is there; where the address is not secure
// there is no worker, and all else works.
addEventListener("load", () => navigator.serviceWorker?.register("/sw.js").catch(() => {}));

// Whoever logs out is told of what has not gone up yet: it stays on this phone, and goes up under this login alone. What the phone
// remembered of them (name, consent, drafts) goes: the next person may use the same phone.
const logout = document.getElementById("logout");
logout?.addEventListener("submit", async (event) => {
  if ("sure" in logout.dataset) return forgetMe();
  event.preventDefault();
  logout.dataset.sure = "";
  const warning = document.getElementById("logout-waits");
  const waiting = await import("./store.js").then((store) => store.entries()).catch(() => []);
  if (!waiting.some((one) => one.state === "waiting")) return logout.requestSubmit();
  warning.hidden = false;
  const anyway = warning.querySelector("[data-logout-anyway]");
  anyway.addEventListener("click", () => logout.requestSubmit());
  anyway.focus();
});
