// What the pages with Stripe's form share: words from data-* attributes, the error box, the busy button, the look of
// the form, and what to say about an error. It never says that anything succeeded: the page that Stripe sends the
// browser to asks the server.

/** @typedef {import("@stripe/stripe-js").Stripe} Stripe */
/** @typedef {import("@stripe/stripe-js").StripeError} StripeError */
/** @typedef {import("@stripe/stripe-js").Appearance} Appearance */
/** @typedef {import("@stripe/stripe-js").StripeElementLocale} Locale */
/** ``unsent``: it came before anything was confirmed, so that nothing can have been charged. */
/** @typedef {{ type: string, unsent?: boolean, code?: string, decline_code?: string, message?: string, param?: string, payment_intent?: { status: string }, setup_intent?: { status: string } }} Problem */

/** @param {string} id @returns {HTMLElement} */
export function part(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`#${id} is missing`);
  return found;
}

export const form = /** @type {HTMLFormElement} */ (part("pay-form"));
const payButton = /** @type {HTMLButtonElement} */ (part("pay-button"));
const cancelButton = /** @type {HTMLButtonElement} */ (part("pay-cancel"));
const problem = part("pay-error");

/** @param {string} name @returns {string} */
export function say(name) {
  return form.dataset[name] ?? "";
}

/** What went wrong in our own words, by Stripe's code. @param {Problem} error @returns {string} */
function wordsFor(error) {
  /** @type {Record<string, string>} */
  const words = JSON.parse(say("words") || "{}");
  // The general words are under an empty code: a card that has expired, say, has a code and no decline_code.
  const known = [error.decline_code, error.code].find((code) => code && words[code]);
  return words[known ?? ""] || say("sayDeclined");
}

/** @param {string} title @param {string} text @param {boolean} [look] offer the page that knows the outcome */
export function show(title, text, look = false) {
  part("pay-error-title").textContent = title;
  part("pay-error-text").textContent = text;
  part("pay-error-look").hidden = !look;
  problem.hidden = false;
  problem.focus();
}

/** @param {boolean} busy */
export function working(busy) {
  payButton.disabled = busy;
  cancelButton.disabled = busy;
  form.setAttribute("aria-busy", String(busy));
  const status = part("pay-working");
  status.textContent = busy ? say("sayWorking") : "";
  if (busy) {
    const spinner = document.createElement("span");
    spinner.className = "spinner";
    spinner.setAttribute("aria-hidden", "true");
    status.prepend(spinner);
    problem.hidden = true;
  }
}

/** The page's tokens, so that the form inside Stripe's frame looks like the rest. @returns {Appearance} */
export function appearance() {
  const tokens = getComputedStyle(document.documentElement);
  const token = (/** @type {string} */ name) => tokens.getPropertyValue(name).trim();
  return {
    theme: "stripe",
    variables: {
      colorPrimary: token("--pb-accent"),
      colorText: token("--pb-ink"),
      colorTextSecondary: token("--pb-ink-soft"),
      colorDanger: token("--pb-danger"),
      fontFamily: token("--pb-font"),
      fontSizeBase: "17px",
      borderRadius: "8px",
      spacingUnit: "5px",
    },
  };
}

/**
 * What the form shows besides its fields. The page itself says what keeping a card means, in words that are kept; the
 * mandate of a bank debit is Stripe's to show.
 * @returns {import("@stripe/stripe-js").StripePaymentElementOptions}
 */
export function elementOptions() {
  return {
    business: { name: say("business") },
    terms: { card: "never", applePay: "never", googlePay: "never" },
  };
}

/** The page's language, as far as Stripe has it. @returns {Locale} */
export function locale() {
  return /** @type {Locale} */ (say("locale") || "auto");
}

const OVER = ["succeeded", "processing", "canceled"];
const NOT_CONFIRMED = ["payment_intent_authentication_failure", "setup_intent_authentication_failure"];

/** Whether this payment's page was left for its outcome before, and came back here as if nothing were. */
function cameBack() {
  const key = `left:${say("returnUrl")}`;
  try {
    const before = sessionStorage.getItem(key) !== null;
    sessionStorage.setItem(key, "1");
    return before;
  } catch {
    return false; // a browser that keeps nothing for sites
  }
}

/**
 * What to do about an error. Types: https://docs.stripe.com/api/errors
 * @param {Problem} error
 */
export function explain(error) {
  const status = error.payment_intent?.status ?? error.setup_intent?.status ?? "";
  const unknown = error.code === "resource_missing" && error.param === "intent";
  if (unknown && cameBack()) {
    // The server knows the intent and Stripe's script does not: the keys are of two accounts. Going on would be a circle.
    working(false);
    unloaded();
    return;
  }
  if (OVER.includes(status) || unknown) {
    // Over already, in another tab or by a try whose answer was lost; or Stripe does not know it any more.
    location.assign(say("returnUrl"));
    return;
  }
  working(false);
  if (error.code === "wallet_canceled" || (error.unsent && error.type !== "validation_error")) {
    // Apple Pay's or Google Pay's window was closed, or did not open: the form is as it was.
    show(say("sayStopped"), `${say("sayStoppedText")} ${say("sayNotCharged")}`);
  } else if (error.type === "validation_error") {
    show(say("sayCheck"), error.message || say("sayCheckText"));
  } else if (error.type === "card_error" || NOT_CONFIRMED.includes(error.code ?? "") || error.code === "resource_missing") {
    show(say("sayFailed"), `${wordsFor(error)} ${say("sayNotCharged")}`.trim());
  } else {
    show(say("sayUnknown"), say("sayUnknownText"), true);
  }
}

export function unloaded() {
  form.hidden = true;
  part("pay-loading").hidden = true;
  show(say("sayUnloaded"), say("sayUnloadedText"));
}

export function ready() {
  part("pay-loading").hidden = true;
  payButton.disabled = false;
}

/**
 * Call ``confirm`` when the button is pressed, once at a time. Without an error the browser is on its way.
 * @param {() => Promise<{ error?: StripeError, unsent?: boolean }>} confirm
 */
export function onSubmit(confirm) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (payButton.disabled) return;
    working(true);
    try {
      const { error, unsent = false } = await confirm();
      if (error) explain({ ...error, unsent });
    } catch {
      explain({ type: "api_connection_error" });
    }
  });
}

/** Begin with Stripe, or say that it did not load. @param {(stripe: Stripe) => void} begin */
export function withStripe(begin) {
  // Back from the bank with the back button: this page's state is stale, the server knows better.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  form.hidden = false;
  if (window.Stripe) begin(window.Stripe(say("publishableKey")));
  else unloaded();
}
