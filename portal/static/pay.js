// The card form: mounts Stripe's Payment Element and confirms the payment. Everything it says comes from data-*
// attributes of #pay-form, so that it is translated with the page. It never says that a payment succeeded: the page
// that Stripe sends the browser to asks the server.
// https://docs.stripe.com/js/elements_object/create_without_intent and https://docs.stripe.com/js/payment_intents/confirm_payment

/**
 * @typedef {{ type: string, code?: string, message?: string, payment_intent?: { status: string } }} StripeError
 * @typedef {{ error?: StripeError }} Outcome
 * @typedef {{ mount(target: HTMLElement): void, on(event: string, handler: (event: any) => void): void }} StripeElement
 * @typedef {{ create(type: "payment"): StripeElement, submit(): Promise<Outcome> }} StripeElements
 * @typedef {{
 *   elements(options: { clientSecret: string, locale: string, appearance: object }): StripeElements,
 *   confirmPayment(options: { elements: StripeElements, confirmParams: { return_url: string } }): Promise<Outcome>,
 * }} StripeClient
 * @typedef {(key: string) => StripeClient} StripeConstructor
 */

/** @param {string} id @returns {HTMLElement} */
function part(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`#${id} is missing`);
  return found;
}

const form = /** @type {HTMLFormElement} */ (part("pay-form"));
const payButton = /** @type {HTMLButtonElement} */ (part("pay-button"));
const cancelButton = /** @type {HTMLButtonElement} */ (part("pay-cancel"));
const problem = part("pay-error");

/** @param {string} name @returns {string} */
function say(name) {
  return form.dataset[name] ?? "";
}

/** @param {string} title @param {string} text @param {boolean} [look] offer the page that knows the outcome */
function show(title, text, look = false) {
  part("pay-error-title").textContent = title;
  part("pay-error-text").textContent = text;
  part("pay-error-look").hidden = !look;
  problem.hidden = false;
  problem.focus();
}

/** @param {boolean} busy */
function working(busy) {
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

/** The page's tokens, so that the form inside Stripe's frame looks like the rest. @returns {object} */
function appearance() {
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
 * What to do about an error. Types: https://docs.stripe.com/api/errors
 * @param {StripeError} error
 */
function explain(error) {
  const status = error.payment_intent?.status;
  if (status === "succeeded" || status === "processing" || status === "canceled") {
    // Over already, in another tab or by a try whose answer was lost.
    location.assign(say("returnUrl"));
    return;
  }
  working(false);
  if (error.type === "validation_error") {
    show(say("sayCheck"), error.message || say("sayCheckText"));
  } else if (error.type === "card_error" || error.code === "payment_intent_authentication_failure") {
    show(say("sayFailed"), `${error.message || say("sayDeclined")} ${say("sayNotCharged")}`);
  } else {
    show(say("sayUnknown"), say("sayUnknownText"), true);
  }
}

function unloaded() {
  form.hidden = true;
  part("pay-loading").hidden = true;
  show(say("sayUnloaded"), say("sayUnloadedText"));
}

/** @param {StripeClient} stripe */
function begin(stripe) {
  const elements = stripe.elements({
    clientSecret: say("clientSecret"),
    locale: say("locale"),
    appearance: appearance(),
  });
  const element = elements.create("payment");
  element.on("ready", () => {
    part("pay-loading").hidden = true;
    payButton.disabled = false;
  });
  element.on("loaderror", unloaded);
  element.mount(part("payment-element"));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (payButton.disabled) return;
    working(true);
    try {
      const checked = await elements.submit();
      const { error } = checked.error
        ? checked
        : await stripe.confirmPayment({ elements, confirmParams: { return_url: say("returnUrl") } });
      // Without an error the browser is on its way to the return page.
      if (error) explain(error);
    } catch {
      explain({ type: "api_connection_error" });
    }
  });
}

// Back from the bank with the back button: this page's state is stale, the server knows better.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

form.hidden = false;
const construct = /** @type {StripeConstructor | undefined} */ (/** @type {any} */ (window).Stripe);
if (construct) {
  begin(construct(say("publishableKey")));
} else {
  unloaded();
}
export {};
