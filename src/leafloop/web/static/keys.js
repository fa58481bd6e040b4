// The keyboard layer: which key means which act. Knows the names of acts, neither photos nor network.
// Single keys can be switched off (WCAG 2.1.4): somebody who speaks to the machine, or uses a switch, presses them by accident.

const ACTS = {
  enter: "send", s: "skip", x: "reject", o: "second", u: "undo", n: "nothingThere", l: "noLeaf", c: "comment", a: "acceptAbove", b: "addBox",
  "?": "help", z: "boxUndo", "shift+z": "boxRedo", delete: "removeBox", backspace: "removeBox", escape: "leave",
  "+": "zoomIn", "=": "zoomIn", "-": "zoomOut", f: "fit", "[": "lower", "]": "raise",
};
const HELD = new Set(["zoomIn", "zoomOut", "boxUndo", "boxRedo", "lower", "raise"]); // a held key repeats these alone
const ALWAYS = new Set(["enter", "escape", "delete"]); // no letters: speech does not press them
const WRITING = "textarea, select, input:not([type=range]):not([type=checkbox])";
const PRESSED = "button, a[href], summary, input[type=checkbox]"; // Enter and Space belong to what has the focus

// acts: {name: () => false | anything}; `digit(n)` for 0-9. False: the key was not for us, and the browser may have it.
// quiet(): whether single keys are switched off. Gives the function that stops listening.
export function listen(target, acts, quiet) {
  const heard = (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    const act = event.target.closest?.("dialog[open]") ? null : meant(event, quiet());
    if (act && acts[act.name]?.(act.value) !== false) event.preventDefault();
  };
  target.addEventListener("keydown", heard);
  return () => target.removeEventListener("keydown", heard);
}

function meant(event, quiet) {
  const key = event.key.toLowerCase();
  const command = event.ctrlKey || event.metaKey;
  if (event.target.closest?.(WRITING)) {
    if (key === "enter" && command) return { name: "send" };
    return key === "escape" ? { name: "leave" } : null;
  }
  if (event.altKey || (command && key !== "z" && key !== "y")) return null;
  if (command) return { name: key === "y" || event.shiftKey ? "boxRedo" : "boxUndo" };
  if (key === "enter" && event.target.closest?.(PRESSED)) return null;
  if (quiet && !ALWAYS.has(key)) return null;
  if (/^[0-9]$/.test(key)) return event.repeat ? null : { name: "digit", value: Number(key) };
  const name = ACTS[event.shiftKey && key === "z" ? "shift+z" : key];
  // A key held a moment too long must not decide the next photo too.
  return name && (!event.repeat || HELD.has(name)) ? { name } : null;
}
