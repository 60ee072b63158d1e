// The simulated wallet and the simulated bank sign-in: they take the place of the fields inside the frame, as the real
// ones take the place of the page.
const sheet = document.getElementById("sheet");
const fields = document.getElementById("fields");
let open = null;

// The page gives the frame the focus, and with it the frame's body: the sheet is what has to be answered.
window.addEventListener("focus", () => {
  if (open && !sheet.contains(document.activeElement)) { sheet.focus(); }
});

// Opens the sheet for a method and resolves with the chosen radio button, or null when it was canceled. Asked again
// while it is open, it gives the same answer.
export function openSheet(method, title, yes) {
  if (open) { return open; }
  const before = document.activeElement;
  document.getElementById("sheet-title").textContent = title;
  document.getElementById("sheet-yes").textContent = yes;
  for (const part of sheet.querySelectorAll("[data-sheet]")) { part.hidden = !part.dataset.sheet.split(" ").includes(method); }
  fields.hidden = true;
  sheet.hidden = false;
  sheet.focus();
  open = new Promise((resolve) => {
    const done = (answer) => {
      sheet.onclick = sheet.onkeydown = null;
      sheet.hidden = true;
      fields.hidden = false;
      open = null;
      if (before && before !== document.body) { before.focus(); }
      resolve(answer);
    };
    sheet.onclick = (event) => {
      if (event.target.id === "sheet-no") { done(null); }
      if (event.target.id === "sheet-yes") { done(sheet.querySelector("[data-sheet]:not([hidden]) input:checked")); }
    };
    sheet.onkeydown = (event) => {
      if (event.key === "Escape") { done(null); }
      // Enter in a radio button would submit the form around the sheet.
      if (event.key === "Enter" && event.target.type === "radio") { event.preventDefault(); }
    };
  });
  return open;
}
