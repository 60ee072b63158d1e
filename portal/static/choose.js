// Ticking a visit ticks its charges, and taking one of them away leaves the visit chosen in part. Without this script
// a ticked visit still means all of its charges: the server reads both.

for (const visit of document.querySelectorAll(".choice-visit")) {
  /** @type {HTMLInputElement | null} */
  const whole = visit.querySelector("input[name=visits]");
  /** @type {NodeListOf<HTMLInputElement>} */
  const lines = visit.querySelectorAll("input[name=lines]");
  if (!whole) continue;

  const reflect = () => {
    const ticked = [...lines].filter((line) => line.checked).length;
    whole.checked = ticked === lines.length;
    whole.indeterminate = ticked > 0 && ticked < lines.length;
  };
  whole.addEventListener("change", () => {
    for (const line of lines) line.checked = whole.checked;
  });
  for (const line of lines) line.addEventListener("change", reflect);
  reflect();
}
export {};
