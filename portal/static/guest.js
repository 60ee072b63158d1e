// The statement's QR code opens /guest#CODE. The part after the "#" never leaves the browser by itself: this puts it in
// the form, and takes it out of the address bar and the history, so that the next person at this screen does not see it.

const input = /** @type {HTMLInputElement | null} */ (document.getElementById("code"));
const told = document.getElementById("code-filled");
// What a code can be, with or without its hyphens; other fragments are places on the page.
const CODE = /^[0-9A-HJKMNP-TV-Z]{4}-?[0-9A-HJKMNP-TV-Z]{5}-?[0-9A-HJKMNP-TV-Z]{4}$/i;

function takeCode() {
  const code = location.hash.slice(1).toUpperCase();
  if (!input || !CODE.test(code)) return;
  history.replaceState(null, "", location.pathname);
  const bare = code.replaceAll("-", "");
  input.value = `${bare.slice(0, 4)}-${bare.slice(4, 9)}-${bare.slice(9)}`;
  if (told) told.hidden = false;
  document.getElementById("born_on")?.focus();
}

takeCode();
// Another statement scanned while this page is open changes the fragment only.
window.addEventListener("hashchange", takeCode);
export {};
