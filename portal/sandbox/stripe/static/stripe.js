"use strict";
// The stand-in's stripe.js: the part of https://docs.stripe.com/js that a Payment Element page uses. It sets styles
// through the CSSOM only, so it works under a strict content security policy.
(() => {
  const ORIGIN = new URL(document.currentScript.src).origin;
  const DONE = ["succeeded", "processing", "requires_capture"];
  let counter = 0;

  function integrationError(message) {
    const error = new Error(message);
    error.name = "IntegrationError";
    return error;
  }

  function style(node, values) { for (const [name, value] of Object.entries(values)) { node.style[name] = value; } }

  const kindOf = (secret) => (secret.startsWith("seti_") ? "setup_intent" : "payment_intent");
  const CALL_NAMES = { payment_intent: "paymentIntent", setup_intent: "setupIntent" };

  // A client secret of the kind that the called function is for; an IntegrationError for anything else.
  function checkedSecret(secret, kind, call) {
    const prefix = kind === "setup_intent" ? "seti_" : "pi_";
    if (typeof secret !== "string" || !/^(pi|seti)_\w+_secret_/.test(secret) || (kind && !secret.startsWith(prefix))) {
      throw integrationError(`Invalid value for ${call}: the client secret should be of the form ${kind ? prefix : ""}\${id}_secret_\${secret}.`);
    }
    return secret;
  }

  const pathOf = (secret) => `/v1/${kindOf(secret)}s/${encodeURIComponent(secret.split("_secret_")[0])}`;

  // Nested parameters as Stripe's API reads them: a[b]=c, a[0]=c.
  function encode(into, prefix, value) {
    for (const [name, part] of Object.entries(value)) {
      const key = prefix ? `${prefix}[${name}]` : name;
      if (part !== null && typeof part === "object") { encode(into, key, part); }
      else if (part !== null && part !== undefined) { into.append(key, part); }
    }
    return into;
  }

  async function api(key, verb, path, params) {
    const query = encode(new URLSearchParams(), "", params);
    const options = { method: verb, headers: { Authorization: "Bearer " + key } };
    if (verb === "POST") { options.body = query; }
    try {
      const answer = await fetch(ORIGIN + path + (verb === "GET" ? "?" + query : ""), options);
      return await answer.json();
    } catch (_error) {
      return { error: { type: "api_connection_error", message: "We are experiencing issues connecting to our payments provider. Please check your internet connection and try again." } };
    }
  }

  const retrieve = (key, secret) => api(key, "GET", pathOf(secret), { client_secret: secret });

  class PaymentElement {
    constructor(elements, options) {
      this._elements = elements;
      this._options = options || {};
      this._id = "element-" + ++counter;
      this._listeners = {};
      this._calls = new Map();
      this._frame = null;
      this._ready = null;
      this._onMessage = (event) => this._receive(event);
    }

    on(name, listener) { (this._listeners[name] = this._listeners[name] || []).push(listener); return this; }
    once(name, listener) {
      const wrapped = (payload) => { this.off(name, wrapped); listener(payload); };
      return this.on(name, wrapped);
    }
    off(name, listener) {
      this._listeners[name] = (this._listeners[name] || []).filter((one) => listener && one !== listener);
      return this;
    }
    _emit(name, payload) { (this._listeners[name] || []).slice().forEach((listener) => listener(payload)); }

    mount(target) {
      const node = typeof target === "string" ? document.querySelector(target) : target;
      if (!node) { throw integrationError(`Invalid DOM element. Make sure to call element.mount() with a valid DOM element or selector: ${target}`); }
      if (this._frame) { this.unmount(); }
      const frame = document.createElement("iframe");
      frame.title = "Secure payment input frame";
      frame.name = "standin-" + this._id;
      frame.allow = "payment *";
      style(frame, { border: "0", width: "calc(100% + 6px)", margin: "-3px", height: "0", display: "block", colorScheme: "light" });
      frame.src = `${ORIGIN}/element/payment?element=${this._id}&parent=${encodeURIComponent(location.origin)}`;
      this._frame = frame;
      window.addEventListener("message", this._onMessage);
      this._ready = new Promise((resolve) => { this._resolveReady = resolve; });
      this._patience = setTimeout(() => this._emit("loaderror", {
        elementType: "payment", error: { type: "api_connection_error", message: "The Payment Element could not be loaded." },
      }), 10000);
      node.replaceChildren(frame);
      return this;
    }

    unmount() {
      window.removeEventListener("message", this._onMessage);
      clearTimeout(this._patience);
      if (this._frame) { this._frame.remove(); }
      this._frame = null;
      return this;
    }
    destroy() { this.unmount(); this._listeners = {}; this._elements._forget(this); }
    focus() { this._call("focus"); }
    blur() { if (this._frame) { this._frame.blur(); } }
    clear() { this._call("clear"); }
    collapse() { return this; }
    update(options) {
      Object.assign(this._options, options);
      if (this._frame) { this._call("update", { options: this._options }); }
      return this;
    }

    _receive(event) {
      if (event.origin !== ORIGIN || !this._frame || event.source !== this._frame.contentWindow) { return; }
      const message = event.data || {};
      if (message.source !== "standin-element" || message.element !== this._id) { return; }
      if (message.type === "hello") {
        const { key, clientSecret, appearance, locale } = this._elements._settings();
        this._send({ type: "init", key, clientSecret, appearance, locale, options: this._options });
      } else if (message.type === "height") {
        this._frame.style.height = message.height + "px";
      } else if (message.type === "reveal") {
        this._frame.focus();
        this._frame.scrollIntoView({ block: "nearest" });
      } else if (message.type === "event") {
        if (message.name === "ready" || message.name === "loaderror") { clearTimeout(this._patience); }
        if (message.name === "ready") { this._resolveReady(); }
        this._emit(message.name, message.payload);
      } else if (message.type === "answer") {
        const resolve = this._calls.get(message.n);
        this._calls.delete(message.n);
        if (resolve) { resolve(message.result); }
      }
    }

    _send(message) {
      this._frame.contentWindow.postMessage({ source: "standin-stripe", element: this._id, ...message }, ORIGIN);
    }

    async _call(call, args) {
      if (!this._frame) { throw integrationError("The Payment Element is not mounted."); }
      await this._ready;
      return new Promise((resolve) => {
        const n = ++counter;
        this._calls.set(n, resolve);
        this._send({ type: "call", call, args: args || {}, n });
      });
    }
  }

  class Elements {
    constructor(key, options) {
      this._key = key;
      this._options = options || {};
      this._element = null;
      this._submitted = false;
    }
    _settings() {
      const { clientSecret, appearance, locale } = this._options;
      return { key: this._key, clientSecret, appearance, locale };
    }
    _forget(element) { if (this._element === element) { this._element = null; } }
    create(type, options) {
      if (type !== "payment") { throw integrationError(`The stand-in has no "${type}" element.`); }
      if (this._element) { throw integrationError("Can only create one Element of type payment."); }
      checkedSecret(this._options.clientSecret, null, "elements()");
      this._element = new PaymentElement(this, options);
      return this._element;
    }
    getElement(type) { return type === "payment" ? this._element : null; }
    update(options) {
      Object.assign(this._options, options);
      if (this._element && this._element._frame) { this._element._call("update", { appearance: this._options.appearance, locale: this._options.locale }); }
    }
    async fetchUpdates() { return this._element && this._element._frame ? this._element._call("fetchUpdates") : {}; }
    async submit() {
      if (!this._element) { throw integrationError("elements.submit() needs a mounted Payment Element."); }
      return this._element._call("submit");
    }
  }

  // The 3-D Secure page in a dialog over the merchant's page.
  function showChallenge(url) {
    return new Promise((resolve) => {
      const before = document.activeElement;
      const shade = document.createElement("div");
      shade.setAttribute("role", "dialog");
      shade.setAttribute("aria-modal", "true");
      shade.setAttribute("aria-label", "3-D Secure authentication");
      style(shade, { position: "fixed", inset: "0", zIndex: "2147483647", background: "rgba(15, 23, 42, 0.6)", display: "flex", alignItems: "center", justifyContent: "center", padding: "12px" });
      const frame = document.createElement("iframe");
      frame.title = "3-D Secure authentication";
      frame.name = "standin-3ds";
      frame.src = `${url}&parent=${encodeURIComponent(location.origin)}`;
      style(frame, { border: "0", width: "100%", maxWidth: "440px", height: "min(440px, 100%)", borderRadius: "8px", background: "#fff" });
      const done = (event) => {
        if (event.origin !== ORIGIN || event.source !== frame.contentWindow) { return; }
        if (!event.data || event.data.source !== "standin-3ds") { return; }
        window.removeEventListener("message", done);
        shade.remove();
        if (before && before.focus) { before.focus(); }
        resolve();
      };
      window.addEventListener("message", done);
      frame.addEventListener("load", () => frame.focus());
      shade.append(frame);
      document.body.append(shade);
    });
  }

  // Does what next_action asks of the customer. Micro-deposits arrive days later: nothing can be done about them here.
  async function takeAction(key, secret, intent) {
    const action = intent.next_action;
    if (intent.status !== "requires_action" || !action) { return intent; }
    if (action.type === "redirect_to_url") {
      location.assign(action.redirect_to_url.url);
      return new Promise(() => {});
    }
    if (action.type !== "use_stripe_sdk") { return intent; }
    await showChallenge(action.use_stripe_sdk.stripe_js);
    return retrieve(key, secret);
  }

  const shown = (intent) => (intent.error ? { error: intent.error } : { [CALL_NAMES[intent.object]]: intent });

  // {error} or {paymentIntent}, as the documentation of confirmPayment promises.
  function outcome(intent) {
    const error = intent.object === "setup_intent" ? intent.last_setup_error : intent.last_payment_error;
    if (intent.status === "requires_payment_method" && error) { return { error: { ...error, [intent.object]: intent } }; }
    return shown(intent);
  }

  // Over, or waiting for something that does not happen on this page: the customer goes back to the return_url.
  function over(intent) {
    const waiting = intent.status === "requires_action" && intent.next_action && intent.next_action.type === "verify_with_microdeposits";
    return waiting || DONE.includes(intent.status);
  }

  function returnTo(returnUrl, intent) {
    const url = new URL(returnUrl);
    url.searchParams.set(intent.object, intent.id);
    url.searchParams.set(intent.object + "_client_secret", intent.client_secret);
    url.searchParams.set("redirect_status", intent.status === "succeeded" ? "succeeded" : "pending");
    location.assign(url.href);
    return new Promise(() => {});
  }

  // What the element was told never to ask must come with the confirmation.
  function checkBilling(element, given, call) {
    const asked = (element._options.fields || {}).billingDetails;
    const wanted = asked === "never" ? { name: "never", email: "never", address: { postalCode: "never" } } : asked || {};
    const address = wanted.address === "never" ? { postalCode: "never" } : wanted.address || {};
    const missing = [["name", wanted.name, given.name], ["email", wanted.email, given.email],
      ["address.postal_code", address.postalCode, (given.address || {}).postal_code]]
      .find(([, setting, value]) => setting === "never" && value === undefined);
    if (missing) {
      throw integrationError(`You specified "never" for fields.billing_details.${missing[0]} when creating the payment Element, but did not pass confirmParams.payment_method_data.billing_details.${missing[0]} when calling ${call}.`);
    }
  }

  async function confirmIntent(key, kind, options) {
    const call = kind === "setup_intent" ? "stripe.confirmSetup()" : "stripe.confirmPayment()";
    const { elements, confirmParams = {}, redirect = "always" } = options || {};
    if (!["always", "if_required"].includes(redirect)) { throw integrationError(`Invalid value for ${call}: redirect should be one of always, if_required. You specified: ${redirect}.`); }
    if (!elements && !options.clientSecret) { throw integrationError(`${call}: expected elements or a clientSecret.`); }
    const secret = checkedSecret(elements ? elements._options.clientSecret : options.clientSecret, kind, call);
    if (redirect === "always" && !confirmParams.return_url) {
      throw integrationError(`${call}: the \`confirmParams.return_url\` argument is required when \`redirect\` is \`always\`.`);
    }
    const { payment_method_data: data, ...rest } = confirmParams;
    const params = { ...rest, return_url: confirmParams.return_url || location.href };
    let intent;
    if (elements) {
      if (!elements._element) { throw integrationError(`${call}: elements should have a mounted Payment Element.`); }
      const billing = (data && data.billing_details) || {};
      checkBilling(elements._element, billing, call);
      const answer = await elements._element._call("confirm", { params, billing });
      intent = answer.error ? answer : answer.intent;
    } else {
      // A saved method, or the one that the server has chosen for the intent already.
      intent = await api(key, "POST", pathOf(secret) + "/confirm", {
        ...params, ...(data ? { payment_method_data: data } : {}), client_secret: secret, use_stripe_sdk: true,
      });
    }
    if (intent.error) { return { error: intent.error }; }
    intent = await takeAction(key, secret, intent);
    const result = outcome(intent);
    if (!result.error && redirect === "always" && over(intent)) { return returnTo(confirmParams.return_url, intent); }
    return result;
  }

  async function handleNextAction(key, { clientSecret }) {
    const secret = checkedSecret(clientSecret, null, "stripe.handleNextAction()");
    const intent = await retrieve(key, secret);
    if (intent.error) { return { error: intent.error }; }
    if (intent.status !== "requires_action") {
      return { error: {
        type: "invalid_request_error", code: `${intent.object}_unexpected_state`, [intent.object]: intent,
        message: `handleNextAction: the ${CALL_NAMES[intent.object]} is not in the requires_action state.`,
      } };
    }
    return outcome(await takeAction(key, secret, intent));
  }

  async function verifyMicrodeposits(key, kind, call, secret, data) {
    const { amounts, descriptor_code } = data || {};
    if (!amounts && !descriptor_code) { throw integrationError(`${call}: expected amounts or a descriptor_code.`); }
    return shown(await api(key, "POST", pathOf(checkedSecret(secret, kind, call)) + "/verify_microdeposits", {
      client_secret: secret, amounts, descriptor_code,
    }));
  }

  function Stripe(key) {
    if (typeof key !== "string" || key === "") { throw integrationError("Please call Stripe() with your publishable key. You used an empty string."); }
    if (!key.startsWith("pk_test_")) { throw integrationError("The Stripe stand-in takes test publishable keys (pk_test_...) only."); }
    return {
      elements: (options) => new Elements(key, options),
      confirmPayment: (options) => confirmIntent(key, "payment_intent", options),
      confirmSetup: (options) => confirmIntent(key, "setup_intent", options),
      retrievePaymentIntent: async (secret) => shown(await retrieve(key, checkedSecret(secret, "payment_intent", "stripe.retrievePaymentIntent()"))),
      retrieveSetupIntent: async (secret) => shown(await retrieve(key, checkedSecret(secret, "setup_intent", "stripe.retrieveSetupIntent()"))),
      handleNextAction: (options) => handleNextAction(key, options),
      verifyMicrodepositsForPayment: (secret, data) => verifyMicrodeposits(key, "payment_intent", "stripe.verifyMicrodepositsForPayment()", secret, data),
      verifyMicrodepositsForSetup: (secret, data) => verifyMicrodeposits(key, "setup_intent", "stripe.verifyMicrodepositsForSetup()", secret, data),
      registerAppInfo: () => {},
    };
  }
  Stripe.version = "dahlia";
  window.Stripe = Stripe;
})();
