// The schedule follows the control at once. The server alone calculates: this asks for the same page again and shows
// what came of it. Without this script the button below the control does the same.

const form = document.getElementById("plan-form");
const said = document.getElementById("said");
const result = document.getElementById("result");

/** The day of the month for a plan by the month, the weekday for the others. */
const showDays = () => {
  const frequency = document.getElementById("frequency");
  if (!(frequency instanceof HTMLSelectElement)) return;
  const monthly = frequency.value === "monthly";
  for (const [name, shown] of /** @type {[string, boolean][]} */ ([["day", monthly], ["weekday", !monthly]])) {
    const box = document.getElementById(name)?.closest(".field");
    if (box instanceof HTMLElement) box.hidden = !shown;
    // The hint says which of the two counts, where both are shown.
    const hint = document.getElementById(`${name}-hint`);
    if (hint) hint.hidden = true;
  }
};
document.getElementById("frequency")?.addEventListener("change", showDays);
showDays();

if (form instanceof HTMLFormElement && said && result) {
  const again = document.getElementById("show");
  let asked = 0;
  let timer = 0;

  /** @param {string} id */
  const input = (id) => {
    const found = document.getElementById(id);
    return found instanceof HTMLInputElement ? found : null;
  };
  /** @param {string} name */
  const by = (name) => {
    const radio = form.querySelector(`input[name=by][value=${name}]`);
    return radio instanceof HTMLInputElement ? radio : null;
  };

  /** Both controls say what came of it; the one in use is left alone while somebody types.
   * @param {Document} page */
  const follow = (page) => {
    for (const name of ["each", "count"]) {
      const mine = input(name);
      const theirs = page.getElementById(name);
      if (mine && theirs instanceof HTMLInputElement && document.activeElement !== mine) mine.value = theirs.value;
      const hint = document.getElementById(`${name}-hint`);
      const newHint = page.getElementById(`${name}-hint`);
      if (hint && newHint) hint.textContent = newHint.textContent;
      const slider = input(`${name}-slider`);
      const fresh = page.getElementById(`${name}-slider`);
      if (slider && fresh instanceof HTMLInputElement) {
        slider.min = fresh.min;
        slider.max = fresh.max;
        Object.assign(slider.dataset, fresh.dataset);
        if (document.activeElement !== slider) slider.value = fresh.value;
      }
    }
    const summary = document.querySelector(".plan-lines summary span");
    const newSummary = page.querySelector(".plan-lines summary span");
    if (summary && newSummary) summary.textContent = newSummary.textContent;
  };

  const ask = async () => {
    const mine = ++asked;
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (typeof value === "string") query.append(name, value);
    let page;
    try {
      const answer = await fetch(`${form.action}?${query}`);
      if (mine !== asked) return;
      if (!answer.ok) throw new Error();
      page = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      // The button is the way that always works.
      if (mine === asked && again) again.hidden = false;
      return;
    }
    const wrong = page.querySelector("#error-summary ul");
    const newSaid = page.getElementById("said");
    const newResult = page.getElementById("result");
    if (mine !== asked || !newSaid || !newResult) return;
    said.classList.toggle("is-wrong", wrong !== null);
    said.replaceChildren(...(wrong ? [wrong] : newSaid.childNodes));
    result.replaceChildren(...newResult.childNodes);
    follow(page);
  };

  const soon = () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(ask, 250);
  };

  for (const name of ["each", "count"]) {
    const control = input(name);
    const slider = input(`${name}-slider`);
    const radio = by(name === "each" ? "amount" : "count");
    control?.addEventListener("input", () => {
      if (radio) radio.checked = true;
      const value = Math.round(Number(control.value));
      if (slider && Number.isFinite(value)) slider.value = String(value);
    });
    if (!slider || !control) continue;
    slider.hidden = false;
    slider.addEventListener("input", () => {
      // At its ends the scale means the least and the most that is possible, to the cent.
      const end = slider.value === slider.min ? slider.dataset.first : slider.value === slider.max ? slider.dataset.last : "";
      control.value = end || (name === "each" ? `${slider.value}.00` : slider.value);
      if (radio) radio.checked = true;
    });
  }
  form.addEventListener("input", soon);
  if (again) again.hidden = true;
  // What was typed before this script was there, or put back by the browser on the way back, counts as well.
  const typed = ["each", "count"].map(input).filter((control) => control && control.value !== control.defaultValue);
  if (typed.length === 1) typed[0]?.dispatchEvent(new Event("input", { bubbles: true }));
  else if (typed.length === 2) soon();
}
export {};
