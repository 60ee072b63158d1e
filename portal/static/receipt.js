// The print button is there only where it works.
const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("print"));
if (button) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
