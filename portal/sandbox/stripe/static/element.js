"use strict";
// The inside of the Payment Element: runs in the stand-in's origin, so that the merchant's page never sees a card
// number. Talks to the page that embeds it by postMessage, and only to that one.
(() => {
  const parentOrigin = new URLSearchParams(location.search).get("parent");
  const elementId = new URLSearchParams(location.search).get("element");
  const form = document.getElementById("form");
  const $ = (id) => document.getElementById(id);
  let session = null; // { key, clientSecret, intent, locale }
  let confirming = null;
  let lastChange = "";

  const TEXTS = {
    en: {
      test_mode: "Test mode – no real money", method: "Payment method", card: "Card", bank: "US bank account",
      number: "Card number", expiry: "Expiration date", cvc: "Security code", postal: "ZIP code",
      holder: "Full name", routing: "Routing number", account: "Account number",
      mandate: "By paying, you authorize a one-time debit of your bank account for this payment.",
      incomplete_number: "Your card number is incomplete.", invalid_number: "Your card number is invalid.",
      incomplete_expiry: "Your card’s expiration date is incomplete.",
      invalid_expiry_year_past: "Your card’s expiration year is in the past.",
      invalid_expiry_month_past: "Your card’s expiration date is in the past.",
      invalid_expiry_month: "Your card’s expiration date is invalid.",
      invalid_expiry_year: "Your card’s expiration year is invalid.",
      incomplete_cvc: "Your card’s security code is incomplete.", incomplete_zip: "Your ZIP is incomplete.",
      incomplete_name: "Your name is incomplete.", incomplete_routing_number: "Your routing number is incomplete.",
      incomplete_account_number: "Your account number is incomplete.",
      api_connection_error: "We are experiencing issues connecting to our payments provider. Please check your internet connection and try again.",
    },
    es: {
      test_mode: "Modo de prueba: no es dinero real", method: "Forma de pago", card: "Tarjeta", bank: "Cuenta bancaria de EE. UU.",
      number: "Número de tarjeta", expiry: "Fecha de vencimiento", cvc: "Código de seguridad", postal: "Código postal",
      holder: "Nombre completo", routing: "Número de ruta", account: "Número de cuenta",
      mandate: "Al pagar, usted autoriza un único débito de su cuenta bancaria para este pago.",
      incomplete_number: "El número de tarjeta está incompleto.", invalid_number: "El número de tarjeta no es válido.",
      incomplete_expiry: "La fecha de vencimiento está incompleta.",
      invalid_expiry_year_past: "El año de vencimiento ya pasó.",
      invalid_expiry_month_past: "La fecha de vencimiento ya pasó.",
      invalid_expiry_month: "La fecha de vencimiento no es válida.",
      invalid_expiry_year: "El año de vencimiento no es válido.",
      incomplete_cvc: "El código de seguridad está incompleto.", incomplete_zip: "El código postal está incompleto.",
      incomplete_name: "Su nombre está incompleto.", incomplete_routing_number: "El número de ruta está incompleto.",
      incomplete_account_number: "El número de cuenta está incompleto.",
      api_connection_error: "Tenemos problemas para conectarnos con nuestro proveedor de pagos. Revise su conexión e inténtelo de nuevo.",
    },
  };
  const text = (code) => (TEXTS[session ? session.locale : "en"] || TEXTS.en)[code] || TEXTS.en[code] || code;

  function tell(message) {
    window.parent.postMessage({ source: "standin-element", element: elementId, ...message }, parentOrigin);
  }

  // Reading the fields

  const digits = (value) => value.replace(/\D/g, "");

  function brandOf(number) {
    const table = [[/^4/, "visa", "Visa"], [/^(5[1-5]|2[2-7])/, "mastercard", "Mastercard"], [/^3[47]/, "amex", "Amex"],
      [/^6(011|5|4[4-9])/, "discover", "Discover"]];
    const found = table.find(([pattern]) => pattern.test(number));
    return found ? { name: found[1], label: found[2] } : { name: "unknown", label: "" };
  }

  const lengthOf = (brand) => (brand === "amex" ? 15 : 16);

  function luhn(number) {
    let sum = 0;
    for (let i = 0; i < number.length; i++) {
      let digit = Number(number[number.length - 1 - i]);
      if (i % 2 === 1) { digit *= 2; if (digit > 9) { digit -= 9; } }
      sum += digit;
    }
    return sum % 10 === 0;
  }

  const CHECKS = {
    number() {
      const number = digits($("number").value);
      if (number.length < lengthOf(brandOf(number).name)) { return "incomplete_number"; }
      return luhn(number) ? null : "invalid_number";
    },
    expiry() {
      const value = digits($("expiry").value);
      if (value.length < 4) { return "incomplete_expiry"; }
      const month = Number(value.slice(0, 2)), year = 2000 + Number(value.slice(2, 4)), now = new Date();
      if (month < 1 || month > 12) { return "invalid_expiry_month"; }
      if (year < now.getFullYear()) { return "invalid_expiry_year_past"; }
      if (year > now.getFullYear() + 50) { return "invalid_expiry_year"; }
      if (year === now.getFullYear() && month < now.getMonth() + 1) { return "invalid_expiry_month_past"; }
      return null;
    },
    cvc() {
      const wanted = brandOf(digits($("number").value)).name === "amex" ? 4 : 3;
      return digits($("cvc").value).length < wanted ? "incomplete_cvc" : null;
    },
    postal() { return digits($("postal").value).length < 5 ? "incomplete_zip" : null; },
    holder() { return $("holder").value.trim().length < 2 ? "incomplete_name" : null; },
    routing() { return digits($("routing").value).length < 9 ? "incomplete_routing_number" : null; },
    account() { return digits($("account").value).length < 4 ? "incomplete_account_number" : null; },
  };
  const FIELDS = { card: ["number", "expiry", "cvc", "postal"], us_bank_account: ["holder", "routing", "account"] };

  const method = () => form.elements.method.value;

  function show(name, code) {
    $(name + "-error").textContent = code ? text(code) : "";
    if (code) { $(name).setAttribute("aria-invalid", "true"); } else { $(name).removeAttribute("aria-invalid"); }
    measure();
  }

  // Format while typing, the caret staying after the digit it was after.

  function reformat(input, format) {
    const before = digits(input.value.slice(0, input.selectionStart)).length;
    const shown = format(digits(input.value));
    if (shown === input.value) { return; }
    input.value = shown;
    let at = 0, seen = 0;
    while (at < shown.length && seen < before) { if (/\d/.test(shown[at])) { seen++; } at++; }
    if (before === digits(shown).length) { at = shown.length; }
    input.setSelectionRange(at, at);
  }

  function numberFormat(value) {
    const brand = brandOf(value).name;
    const kept = value.slice(0, lengthOf(brand));
    const parts = brand === "amex" ? [kept.slice(0, 4), kept.slice(4, 10), kept.slice(10)] : kept.match(/.{1,4}/g) || [];
    return parts.filter(Boolean).join(" ");
  }

  function expiryFormat(value) {
    const padded = /^[2-9]/.test(value) ? "0" + value : value;
    return padded.length > 2 ? padded.slice(0, 2) + " / " + padded.slice(2, 4) : padded;
  }

  const FORMATS = {
    number: numberFormat, expiry: expiryFormat, routing: (v) => v.slice(0, 9), account: (v) => v.slice(0, 17),
    cvc: (v) => v.slice(0, brandOf(digits($("number").value)).name === "amex" ? 4 : 3), postal: (v) => v.slice(0, 5),
  };

  function changed() {
    const names = FIELDS[method()];
    const payload = {
      elementType: "payment", collapsed: false, value: { type: method() },
      empty: names.every((name) => $(name).value === ""), complete: names.every((name) => CHECKS[name]() === null),
    };
    if (JSON.stringify(payload) !== lastChange) {
      lastChange = JSON.stringify(payload);
      tell({ type: "event", name: "change", payload });
    }
  }

  form.addEventListener("input", (event) => {
    const name = event.target.name;
    if (FORMATS[name]) {
      // Deleting must be able to remove the separators as well.
      const erasing = event.inputType && event.inputType.startsWith("delete") && name === "expiry";
      if (!erasing) { reformat(event.target, FORMATS[name]); }
    }
    if (name === "number") { $("brand").textContent = brandOf(digits($("number").value)).label; }
    if (CHECKS[name] && $(name).hasAttribute("aria-invalid")) { show(name, CHECKS[name]()); }
    changed();
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "method") { chooseMethod(); changed(); }
  });
  form.addEventListener("focusout", (event) => {
    const name = event.target.name;
    if (CHECKS[name] && event.target.value !== "") { show(name, CHECKS[name]()); }
    tell({ type: "event", name: "blur", payload: { elementType: "payment" } });
  });
  form.addEventListener("focusin", () => tell({ type: "event", name: "focus", payload: { elementType: "payment" } }));
  form.addEventListener("submit", (event) => event.preventDefault());

  function chooseMethod() {
    $("card-fields").hidden = method() !== "card";
    $("bank-fields").hidden = method() === "card";
    measure();
  }

  function validate() {
    let first = null;
    for (const name of FIELDS[method()]) {
      const code = CHECKS[name]();
      show(name, code);
      if (code && !first) { first = { name, code }; }
    }
    if (!first) { return null; }
    $(first.name).focus();
    return { type: "validation_error", code: first.code, message: text(first.code) };
  }

  // The API, from this origin

  function encode(into, prefix, value) {
    for (const [name, part] of Object.entries(value)) {
      const key = prefix ? `${prefix}[${name}]` : name;
      if (part !== null && typeof part === "object") { encode(into, key, part); }
      else if (part !== null && part !== undefined && part !== "") { into.append(key, part); }
    }
    return into;
  }

  async function api(verb, path, params) {
    const query = encode(new URLSearchParams(), "", params);
    const options = { method: verb, headers: { Authorization: "Bearer " + session.key } };
    if (verb === "POST") { options.body = query; }
    try {
      const answer = await fetch(verb === "GET" ? `${path}?${query}` : path, options);
      return await answer.json();
    } catch (_error) {
      return { error: { type: "api_connection_error", message: text("api_connection_error") } };
    }
  }

  const intentPath = () => {
    const id = session.clientSecret.split("_secret_")[0];
    return `/v1/${id.startsWith("seti_") ? "setup_intents" : "payment_intents"}/${encodeURIComponent(id)}`;
  };

  async function confirmOnce({ returnUrl, billing }) {
    const problem = validate();
    if (problem) { return { error: problem }; }
    const given = billing || {};
    let data;
    if (method() === "card") {
      const expiry = digits($("expiry").value);
      data = {
        type: "card",
        card: { number: digits($("number").value), exp_month: Number(expiry.slice(0, 2)), exp_year: 2000 + Number(expiry.slice(2)), cvc: $("cvc").value },
        billing_details: { ...given, address: { country: "US", ...(given.address || {}), postal_code: $("postal").value } },
      };
    } else {
      data = {
        type: "us_bank_account",
        us_bank_account: { account_holder_type: "individual", routing_number: $("routing").value, account_number: $("account").value },
        billing_details: { ...given, name: $("holder").value.trim() },
      };
    }
    const made = await api("POST", "/v1/payment_methods", data);
    if (made.error) { return made; }
    const params = { payment_method: made.id, client_secret: session.clientSecret, use_stripe_sdk: true, return_url: returnUrl };
    const intent = await api("POST", intentPath() + "/confirm", params);
    return intent.error ? intent : { intent };
  }

  const CALLS = {
    submit() {
      const problem = validate();
      return problem ? { error: problem } : { selectedPaymentMethod: method() };
    },
    confirm(args) {
      // A second press while the first is under way gets the first one's answer.
      confirming = confirming || confirmOnce(args).finally(() => { confirming = null; });
      return confirming;
    },
    focus() { $(FIELDS[method()][0]).focus(); return {}; },
    clear() { form.reset(); Object.values(FIELDS).flat().forEach((name) => show(name, null)); chooseMethod(); changed(); return {}; },
    update(args) { dress(args.appearance, args.locale); return {}; },
  };

  // Starting

  const SAFE = /^[#\w\s(),.%'"-]{1,120}$/;

  function dress(appearance, locale) {
    const names = ["colorPrimary", "colorBackground", "colorText", "colorDanger", "fontFamily", "fontSizeBase", "borderRadius"];
    const given = (appearance && appearance.variables) || {};
    for (const name of names) {
      if (typeof given[name] === "string" && SAFE.test(given[name])) {
        document.documentElement.style.setProperty("--" + name, given[name]);
      }
    }
    if (locale && session) {
      const asked = locale === "auto" ? navigator.language : locale;
      session.locale = TEXTS[asked.slice(0, 2)] ? asked.slice(0, 2) : "en";
    }
    document.documentElement.lang = session ? session.locale : "en";
    document.querySelectorAll("[data-text]").forEach((node) => { node.textContent = text(node.dataset.text); });
  }

  let sentHeight = 0;
  function measure() {
    const height = Math.ceil(form.getBoundingClientRect().height) + 6;
    if (height !== sentHeight) { sentHeight = height; tell({ type: "height", height }); }
  }

  async function start(message) {
    session = { key: message.key, clientSecret: message.clientSecret, locale: "en" };
    dress(message.appearance, message.locale || "auto");
    const intent = await api("GET", intentPath(), { client_secret: message.clientSecret });
    if (intent.error) {
      tell({ type: "event", name: "loaderror", payload: { elementType: "payment", error: intent.error } });
      return;
    }
    const types = intent.payment_method_types;
    $("methods").hidden = types.length < 2;
    if (!types.includes("card")) { form.elements.method.value = types[0]; }
    form.hidden = false;
    chooseMethod();
    new ResizeObserver(measure).observe(form);
    tell({ type: "event", name: "ready", payload: { elementType: "payment" } });
    changed();
  }

  window.addEventListener("message", async (event) => {
    if (event.origin !== parentOrigin || event.source !== window.parent) { return; }
    const message = event.data || {};
    if (message.source !== "standin-stripe" || message.element !== elementId) { return; }
    if (message.type === "init" && !session) { start(message); }
    if (message.type === "call" && session && Object.hasOwn(CALLS, message.call)) {
      tell({ type: "answer", n: message.n, result: await CALLS[message.call](message.args || {}) });
    }
  });
  tell({ type: "hello" });
})();
