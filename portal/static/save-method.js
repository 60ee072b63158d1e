// Saving a card or bank account without paying: Stripe's Payment Element on a SetupIntent.
// https://docs.stripe.com/js/setup_intents/confirm_setup

import { appearance, elementOptions, locale, onSubmit, part, ready, say, unloaded, withStripe } from "./stripe-page.js";

withStripe((stripe) => {
  const elements = stripe.elements({ clientSecret: say("clientSecret"), locale: locale(), appearance: appearance() });
  const element = elements.create("payment", elementOptions());
  element.on("ready", ready);
  element.on("loaderror", unloaded);
  element.mount(part("payment-element"));
  onSubmit(async () => {
    const checked = await elements.submit();
    if (checked.error) return { error: checked.error, unsent: true };
    return stripe.confirmSetup({ elements, confirmParams: { return_url: say("returnUrl") } });
  });
});
