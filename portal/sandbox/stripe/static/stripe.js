"use strict";
// The stand-in's stripe.js: the part of https://docs.stripe.com/js that a Payment Element page uses. It sets styles
// through the CSSOM only, so it works under a strict content security policy.
(() => {
  const ORIGIN = new URL(document.currentScript.src).origin;
  const RETURNED = ["succeeded", "processing", "requires_capture"];
  let counter = 0;

  function integrationError(message) {
    const error = new Error(message);
    error.name = "IntegrationError";
    return error;
  }

  function style(node, values) { for (const [name, value] of Object.entries(values)) { node.style[name] = value; } }

  const kindOf = (secret) => (secret.startsWith("seti_") ? "setup_intent" : "payment_intent");

  async function api(key, verb, path, params) {
    const query = new URLSearchParams(params);
    const options = { method: verb, headers: { Authorization: "Bearer " + key } };
    if (verb === "POST") { options.body = query; }
    try {
      const answer = await fetch(ORIGIN + path + (verb === "GET" ? "?" + query : ""), options);
      return await answer.json();
    } catch (_error) {
      return { error: { type: "api_connection_error", message: "We are experiencing issues connecting to our payments provider. Please check your internet connection and try again." } };
    }
  }

  function retrieve(key, secret) {
    const id = secret.split("_secret_")[0];
    return api(key, "GET", `/v1/${kindOf(secret)}s/${encodeURIComponent(id)}`, { client_secret: secret });
  }

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
    update(options) { Object.assign(this._options, options); return this; }

    _receive(event) {
      if (event.origin !== ORIGIN || !this._frame || event.source !== this._frame.contentWindow) { return; }
      const message = event.data || {};
      if (message.source !== "standin-element" || message.element !== this._id) { return; }
      if (message.type === "hello") {
        const { key, clientSecret, appearance, locale } = this._elements._settings();
        this._send({ type: "init", key, clientSecret, appearance, locale });
      } else if (message.type === "height") {
        this._frame.style.height = message.height + "px";
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
      if (!/_secret_/.test(this._options.clientSecret || "")) { throw integrationError("Invalid value for elements(): clientSecret should be a client secret of the form ${id}_secret_${secret}."); }
      this._element = new PaymentElement(this, options);
      return this._element;
    }
    getElement(type) { return type === "payment" ? this._element : null; }
    update(options) {
      Object.assign(this._options, options);
      if (this._element && this._element._frame) { this._element._call("update", { appearance: this._options.appearance, locale: this._options.locale }); }
    }
    async fetchUpdates() { return {}; }
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

  async function takeAction(key, secret, intent) {
    const action = intent.next_action;
    if (intent.status !== "requires_action" || !action) { return intent; }
    if (action.type === "redirect_to_url") {
      location.assign(action.redirect_to_url.url);
      return new Promise(() => {});
    }
    await showChallenge(action.use_stripe_sdk.stripe_js);
    return retrieve(key, secret);
  }

  // {error} or {paymentIntent}, as the documentation of confirmPayment promises.
  function outcome(intent) {
    if (intent.error) { return { error: intent.error }; }
    const error = intent.object === "setup_intent" ? intent.last_setup_error : intent.last_payment_error;
    const name = intent.object === "setup_intent" ? "setupIntent" : "paymentIntent";
    if (intent.status === "requires_payment_method" && error) { return { error: { ...error, [intent.object]: intent } }; }
    return { [name]: intent };
  }

  function returnTo(returnUrl, intent) {
    const url = new URL(returnUrl);
    url.searchParams.set(intent.object, intent.id);
    url.searchParams.set(intent.object + "_client_secret", intent.client_secret);
    url.searchParams.set("redirect_status", intent.status === "succeeded" ? "succeeded" : "pending");
    location.assign(url.href);
    return new Promise(() => {});
  }

  async function confirmIntent(key, options) {
    const { elements, confirmParams = {}, redirect = "always" } = options;
    const secret = options.clientSecret || (elements && elements._options.clientSecret);
    if (!secret) { throw integrationError("stripe.confirmPayment(): expected elements or a clientSecret."); }
    if (redirect === "always" && !confirmParams.return_url) {
      throw integrationError("stripe.confirmPayment(): the `confirmParams.return_url` argument is required when `redirect` is `always`.");
    }
    let intent;
    if (elements) {
      const billing = confirmParams.payment_method_data && confirmParams.payment_method_data.billing_details;
      const returnUrl = confirmParams.return_url || location.href;
      const answer = await elements._element._call("confirm", { returnUrl, billing });
      if (answer.error) { return { error: answer.error }; }
      intent = answer.intent;
    } else {
      const id = secret.split("_secret_")[0];
      intent = await api(key, "POST", `/v1/${kindOf(secret)}s/${encodeURIComponent(id)}/confirm`, {
        client_secret: secret, payment_method: confirmParams.payment_method, use_stripe_sdk: "true",
        return_url: confirmParams.return_url || location.href,
      });
      if (intent.error) { return { error: intent.error }; }
    }
    intent = await takeAction(key, secret, intent);
    const result = outcome(intent);
    if (!result.error && redirect === "always" && RETURNED.includes(intent.status)) {
      return returnTo(confirmParams.return_url, intent);
    }
    return result;
  }

  function Stripe(key) {
    if (typeof key !== "string" || key === "") { throw integrationError("Please call Stripe() with your publishable key. You used an empty string."); }
    if (!key.startsWith("pk_test_")) { throw integrationError("The Stripe stand-in takes test publishable keys (pk_test_...) only."); }
    return {
      elements: (options) => new Elements(key, options),
      confirmPayment: (options) => confirmIntent(key, options),
      confirmSetup: (options) => confirmIntent(key, options),
      retrievePaymentIntent: async (secret) => outcomeOfRetrieve(await retrieve(key, secret), "paymentIntent"),
      retrieveSetupIntent: async (secret) => outcomeOfRetrieve(await retrieve(key, secret), "setupIntent"),
      handleNextAction: async ({ clientSecret }) => {
        const intent = await retrieve(key, clientSecret);
        return intent.error ? { error: intent.error } : outcome(await takeAction(key, clientSecret, intent));
      },
      registerAppInfo: () => {},
    };
  }
  const outcomeOfRetrieve = (intent, name) => (intent.error ? { error: intent.error } : { [name]: intent });

  Stripe.version = "dahlia";
  window.Stripe = Stripe;
})();
