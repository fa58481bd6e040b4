// The login page: a key that came by QR code stands in the address after "#", where no server and no log sees it.
const form = document.getElementById("login-form");
const key = document.getElementById("key");
const show = document.getElementById("show");

document.getElementById("show-check").hidden = false;
show.addEventListener("change", () => {
  key.type = show.checked ? "text" : "password";
});

const given = decodeURIComponent(location.hash.slice(1));
if (given.startsWith("lf_")) {
  history.replaceState(null, "", location.pathname + location.search); // not in the history, not on a screenshot
  key.value = given;
  if ("signedIn" in form.dataset) {
    // A link from a stranger must not move somebody's photos to another account unseen: ask first.
    document.getElementById("replace-words").hidden = false;
    form.querySelector("[type=submit]").focus();
  } else {
    form.requestSubmit();
  }
}
