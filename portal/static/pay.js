// Paying: mounts Stripe's Payment Element, or charges a saved method, and confirms the payment.
// https://docs.stripe.com/js/elements_object/create and https://docs.stripe.com/js/payment_intents/confirm_payment

import { appearance, elementOptions, form, locale, onSubmit, part, ready, say, unloaded, withStripe } from "./stripe-page.js";

/** @typedef {import("@stripe/stripe-js").Stripe} Stripe */
/** @typedef {import("@stripe/stripe-js").StripeElements} StripeElements */

/**
 * Keeping the method for next time: what is agreed must be written down before anything is confirmed. Returns what to
 * wait for before confirming.
 * @param {StripeElements} elements @returns {() => Promise<unknown>}
 */
function keeping(elements) {
  const box = /** @type {HTMLInputElement | null} */ (document.getElementById("keep-method"));
  /** @type {Promise<unknown>} */
  let told = Promise.resolve();
  if (!box) return () => told;
  box.addEventListener("change", () => {
    told = told.then(() => tell(box, elements));
  });
  return () => told;
}

/** @param {HTMLInputElement} box @param {StripeElements} elements */
async function tell(box, elements) {
  const body = new URLSearchParams({ csrf_token: box.dataset.token ?? "", keep: box.checked ? "1" : "0" });
  const answer = await fetch(box.dataset.url ?? "", { method: "POST", body, credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) {
    // What the server has written down is what counts: the page comes back with it, and with what Stripe has.
    location.reload();
    await new Promise(() => {});
  }
  await elements.fetchUpdates();
}

/** @param {Stripe} stripe */
function withForm(stripe) {
  const elements = stripe.elements({ clientSecret: say("clientSecret"), locale: locale(), appearance: appearance() });
  const element = elements.create("payment", elementOptions());
  element.on("ready", ready);
  element.on("loaderror", unloaded);
  const note = document.getElementById("bank-note");
  element.on("change", (event) => {
    if (note) note.hidden = event.value.type !== "us_bank_account";
  });
  element.mount(part("payment-element"));
  const kept = keeping(elements);
  onSubmit(async () => {
    await kept();
    const checked = await elements.submit();
    if (checked.error) return { error: checked.error, unsent: true };
    return stripe.confirmPayment({ elements, confirmParams: { return_url: say("returnUrl") } });
  });
}

/** @param {Stripe} stripe @param {string} method */
function withSaved(stripe, method) {
  ready();
  onSubmit(() =>
    stripe.confirmPayment({
      clientSecret: say("clientSecret"),
      confirmParams: { payment_method: method, return_url: say("returnUrl") },
    }),
  );
}

withStripe((stripe) => {
  const saved = form.dataset.savedMethod;
  if (saved) withSaved(stripe, saved);
  else withForm(stripe);
});
