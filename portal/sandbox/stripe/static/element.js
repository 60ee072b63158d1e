// The form inside the Payment Element's frame. Card numbers are typed here, sent to the stand-in's API from here, and
// never reach the merchant's page; it talks to the page that embeds it by postMessage, and only to that one.
import { openSheet } from "./element_sheet.js";
import { languageFor, textIn } from "./element_texts.js";

const parentOrigin = new URLSearchParams(location.search).get("parent");
const elementId = new URLSearchParams(location.search).get("element");
const form = document.getElementById("form");
const $ = (id) => document.getElementById(id);
// Wallets, as their tokens name them. They pay with a card.
const WALLETS = { apple_pay: "applePay", google_pay: "googlePay" };
let session = null; // { key, clientSecret, intent, locale, options }
let confirming = null;
let linked = null; // the bank account that was connected: { connection, last4 }
let approved = null; // the wallet's answer, good for one confirmation
let lastChange = "";

const text = (code, values) => textIn(session ? session.locale : "en", code, values);

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
  email() {
    const value = $("email").value.trim();
    if (value === "") { return "incomplete_email"; }
    return /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(value) ? null : "invalid_email";
  },
  postal() { return digits($("postal").value).length < 5 ? "incomplete_zip" : null; },
  holder() { return $("holder").value.trim().length < 2 ? "incomplete_name" : null; },
  routing() { return digits($("routing").value).length < 9 ? "incomplete_routing_number" : null; },
  account() { return digits($("account").value).length < 4 ? "incomplete_account_number" : null; },
};

const method = () => form.elements.method.value;
const byHand = () => form.elements.way.value === "manual";
const cents = (amount) => new Intl.NumberFormat(session.locale, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol" }).format(amount / 100);

// Whether the merchant asks for this part of the billing details himself: fields.billingDetails of the element's options.
function never(...path) {
  let at = (session.options.fields || {}).billingDetails;
  for (const part of path) {
    if (at === "never") { return true; }
    at = (at || {})[part];
  }
  return at === "never";
}

function fieldsAsked() {
  if (method() === "card") { return ["number", "expiry", "cvc", ...(never("address", "postalCode") ? [] : ["postal"])]; }
  if (method() !== "us_bank_account") { return []; }
  const person = [["email", "email"], ["name", "holder"]].filter(([part]) => !never(part)).map(([, name]) => name);
  return [...person, ...(byHand() ? ["routing", "account"] : [])];
}

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
  const names = fieldsAsked();
  const bankMissing = method() === "us_bank_account" && !byHand() && !linked;
  const payload = {
    elementType: "payment", collapsed: false, value: { type: method() },
    empty: names.length > 0 && names.every((name) => $(name).value === ""),
    complete: !bankMissing && names.every((name) => CHECKS[name]() === null),
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
  if (event.target.name === "method" || event.target.name === "way") { chooseMethod(); changed(); }
});
form.addEventListener("focusout", (event) => {
  const name = event.target.name;
  if (CHECKS[name] && event.target.value !== "") { show(name, CHECKS[name]()); }
  tell({ type: "event", name: "blur", payload: { elementType: "payment" } });
});
form.addEventListener("focusin", () => tell({ type: "event", name: "focus", payload: { elementType: "payment" } }));
form.addEventListener("submit", (event) => event.preventDefault());

function chooseMethod() {
  approved = null;
  for (const part of document.querySelectorAll("[data-for]")) { part.hidden = !part.dataset.for.split(" ").includes(method()); }
  for (const part of document.querySelectorAll("[data-way]")) { part.hidden = part.dataset.way !== form.elements.way.value; }
  $("postal-field").hidden = never("address", "postalCode");
  $("email-field").hidden = never("email");
  $("holder-field").hidden = never("name");
  const { intent, options } = session;
  const terms = options.terms || {};
  const business = (options.business || {}).name || text("business");
  const saved = intent.object === "setup_intent" || Boolean(intent.setup_future_usage);
  const shown = (asked) => asked === "always" || (asked !== "never" && saved);
  $("card-terms").hidden = method() === "us_bank_account" || !shown(method() === "card" ? terms.card : terms[WALLETS[method()]]);
  $("card-terms").textContent = text("card_terms", { business });
  $("mandate").hidden = terms.usBankAccount === "never";
  $("mandate").textContent = saved ? text("mandate_saved", { business }) : text("mandate_once", { business, amount: cents(intent.amount) });
  $("wallet-next").textContent = text("wallet_next", { wallet: text(method()) });
  $("linked").hidden = !linked;
  $("linked").textContent = linked ? text("linked", linked) : "";
  measure();
}

function invalid(code, values) { return { type: "validation_error", code, message: text(code, values) }; }

function validate() {
  let first = null;
  for (const name of fieldsAsked()) {
    const code = CHECKS[name]();
    show(name, code);
    if (code && !first) { first = { name, code }; }
  }
  if (!first) { return null; }
  $(first.name).focus();
  return invalid(first.code);
}

// Wallets and banks

function ask(title, yes) {
  // The page's own button was pressed, so the page has the focus.
  tell({ type: "reveal" });
  return openSheet(method(), title, yes);
}

async function connectBank() {
  const chosen = await ask(text("sheet_bank"), text("connect"));
  if (chosen) { linked = { connection: chosen.value, last4: chosen.dataset.last4 }; show("choose-bank", null); }
  chooseMethod();
  changed();
}

async function askWallet() {
  const { intent } = session;
  const wallet = text(method());
  const saving = intent.object === "setup_intent";
  const title = saving ? text("sheet_save", { wallet }) : text("sheet_pay", { wallet, amount: cents(intent.amount) });
  const chosen = await ask(title, text(saving ? "save" : "pay"));
  approved = chosen && chosen.value;
}

$("choose-bank").addEventListener("click", connectBank);

// Everything that is needed before a confirmation; an error, or null.
async function prepare() {
  const problem = validate();
  if (problem) { return problem; }
  if (method() === "us_bank_account" && !byHand() && !linked) {
    await connectBank();
    if (!linked) {
      show("choose-bank", "incomplete_bank_account");
      $("choose-bank").focus();
      return invalid("incomplete_bank_account");
    }
  }
  if (WALLETS[method()]) {
    await askWallet();
    if (!approved) { return invalid("wallet_canceled", { wallet: text(method()) }); }
  }
  return null;
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

function methodData(given) {
  const kind = method();
  if (WALLETS[kind]) { return { type: "card", card: { token: `tok_${WALLETS[kind]}_${approved}` }, billing_details: given }; }
  if (kind === "card") {
    const expiry = digits($("expiry").value);
    const address = { country: "US", ...(given.address || {}), ...(never("address", "postalCode") ? {} : { postal_code: $("postal").value }) };
    return {
      type: "card",
      card: { number: digits($("number").value), exp_month: Number(expiry.slice(0, 2)), exp_year: 2000 + Number(expiry.slice(2)), cvc: $("cvc").value },
      billing_details: { ...given, address },
    };
  }
  const person = { ...(never("name") ? {} : { name: $("holder").value.trim() }), ...(never("email") ? {} : { email: $("email").value.trim() }) };
  const account = byHand()
    ? { routing_number: $("routing").value, account_number: $("account").value, account_type: $("account-type").value }
    : { financial_connections_account: linked.connection };
  return { type: kind, us_bank_account: { account_holder_type: "individual", ...account }, billing_details: { ...given, ...person } };
}

async function confirmOnce({ params, billing }) {
  const problem = approved ? null : await prepare();
  if (problem) { return { error: problem }; }
  const data = methodData(billing || {});
  approved = null;
  const made = await api("POST", "/v1/payment_methods", data);
  if (made.error) { return made; }
  const intent = await api("POST", intentPath() + "/confirm", {
    ...params, payment_method: made.id, client_secret: session.clientSecret, use_stripe_sdk: true,
  });
  return intent.error ? intent : { intent };
}

const CALLS = {
  async submit() {
    const problem = await prepare();
    return problem ? { error: problem } : { selectedPaymentMethod: method() };
  },
  confirm(args) {
    // A second press while the first is under way gets the first one's answer.
    confirming = confirming || confirmOnce(args).finally(() => { confirming = null; });
    return confirming;
  },
  focus() { ($(fieldsAsked()[0]) || form.elements.method[0]).focus(); return {}; },
  clear() {
    const kept = method();
    form.reset();
    form.elements.method.value = kept;
    linked = null;
    Object.keys(CHECKS).forEach((name) => show(name, null));
    chooseMethod();
    changed();
    return {};
  },
  async fetchUpdates() {
    const error = await fetchIntent();
    if (error) { return { error }; }
    offer();
    chooseMethod();
    changed();
    return {};
  },
  update({ appearance, locale, options }) {
    session.options = options || session.options;
    dress(appearance, locale);
    offer();
    chooseMethod();
    changed();
    return {};
  },
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
  if (locale && session) { session.locale = languageFor(locale); }
  document.documentElement.lang = session ? session.locale : "en";
  document.querySelectorAll("[data-text]").forEach((node) => { node.textContent = text(node.dataset.text); });
}

let sentHeight = 0;
function measure() {
  const height = Math.ceil(form.getBoundingClientRect().height) + 6;
  if (height !== sentHeight) { sentHeight = height; tell({ type: "height", height }); }
}

// Shows the methods that the intent allows, a wallet wherever a card is, unless the options say never.
function offer() {
  const { intent, options } = session;
  const wallets = options.wallets || {};
  const shown = Array.from(form.elements.method).filter((radio) => {
    const wallet = WALLETS[radio.value];
    const refused = wallet && wallets[wallet] === "never";
    const offered = !refused && intent.payment_method_types.includes(wallet ? "card" : radio.value);
    radio.parentElement.hidden = !offered;
    return offered;
  });
  $("methods").hidden = shown.length < 2;
  if (shown.length > 0 && !shown.some((radio) => radio.checked)) { shown[0].checked = true; }
}

function prefill() {
  const billing = (session.options.defaultValues || {}).billingDetails || {};
  const values = { email: billing.email, holder: billing.name, postal: (billing.address || {}).postal_code };
  for (const [name, value] of Object.entries(values)) { if (value && !$(name).value) { $(name).value = value; } }
}

async function fetchIntent() {
  const intent = await api("GET", intentPath(), { client_secret: session.clientSecret });
  if (!intent.error) { session.intent = intent; }
  return intent.error;
}

async function start(message) {
  session = { key: message.key, clientSecret: message.clientSecret, locale: "en", options: message.options || {} };
  dress(message.appearance, message.locale || "auto");
  const error = await fetchIntent();
  if (error) {
    tell({ type: "event", name: "loaderror", payload: { elementType: "payment", error } });
    return;
  }
  prefill();
  offer();
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
