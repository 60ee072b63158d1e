// What the Payment Element says, by language. {name} stands for a value.
const TEXTS = {
  en: {
    test_mode: "Test mode – no real money", method: "Payment method", card: "Card", bank: "US bank account",
    apple_pay: "Apple Pay", google_pay: "Google Pay",
    number: "Card number", expiry: "Expiration date", cvc: "Security code", postal: "ZIP code",
    email: "Email", holder: "Full name", routing: "Routing number", account: "Account number", account_type: "Type of account", checking: "Checking", savings: "Savings",
    way: "How to verify the account", instant: "Sign in at your bank (right away)",
    manual: "Enter bank details manually (1 to 2 days)", choose_bank: "Choose your bank",
    linked: "Linked: STRIPE TEST BANK ···· {last4}",
    deposits: "Small deposits are sent to this account. Once you have confirmed them, the account can be used.",
    mandate_once: "By continuing, you authorize {business} to debit this bank account once, for {amount}. A debit that was wrong can be disputed with your bank.",
    mandate_saved: "By continuing, you authorize {business} to keep this bank account and to debit it for what you owe, until you tell {business} to stop.",
    card_terms: "By providing your card details, you allow {business} to charge your card for future payments in line with its terms.",
    wallet_next: "Another step will appear to continue with {wallet}.",
    simulated: "This is simulated: no wallet and no bank is asked.", test_account: "Test account", wallet_card: "Card in the wallet",
    sheet_pay: "Simulated {wallet}: pay {amount}?", sheet_save: "Simulated {wallet}: save this card?",
    sheet_bank: "Simulated bank sign-in: which account?", pay: "Pay", save: "Save", connect: "Connect this account", cancel: "Cancel",
    incomplete_number: "Your card number is incomplete.", invalid_number: "Your card number is invalid.",
    incomplete_expiry: "Your card’s expiration date is incomplete.",
    invalid_expiry_year_past: "Your card’s expiration year is in the past.",
    invalid_expiry_month_past: "Your card’s expiration date is in the past.",
    invalid_expiry_month: "Your card’s expiration date is invalid.",
    invalid_expiry_year: "Your card’s expiration year is invalid.",
    incomplete_cvc: "Your card’s security code is incomplete.", incomplete_zip: "Your ZIP is incomplete.",
    incomplete_email: "Your email is incomplete.", invalid_email: "Your email is invalid.",
    incomplete_name: "Your name is incomplete.", incomplete_routing_number: "Your routing number is incomplete.",
    incomplete_account_number: "Your account number is incomplete.",
    incomplete_bank_account: "Choose your bank to link an account.",
    wallet_canceled: "{wallet} was canceled. Try again or choose another way to pay.",
    business: "this business",
    api_connection_error: "We are experiencing issues connecting to our payments provider. Please check your internet connection and try again.",
  },
  es: {
    test_mode: "Modo de prueba: no es dinero real", method: "Forma de pago", card: "Tarjeta", bank: "Cuenta bancaria de EE. UU.",
    apple_pay: "Apple Pay", google_pay: "Google Pay",
    number: "Número de tarjeta", expiry: "Fecha de vencimiento", cvc: "Código de seguridad", postal: "Código postal",
    email: "Correo electrónico", holder: "Nombre completo", routing: "Número de ruta", account: "Número de cuenta", account_type: "Tipo de cuenta", checking: "Corriente", savings: "De ahorros",
    way: "Cómo verificar la cuenta", instant: "Entrar en su banco (al momento)",
    manual: "Escribir los datos bancarios (de 1 a 2 días)", choose_bank: "Elija su banco",
    linked: "Vinculada: STRIPE TEST BANK ···· {last4}",
    deposits: "Se envían pequeños depósitos a esta cuenta. Cuando los haya confirmado, la cuenta se podrá usar.",
    mandate_once: "Al continuar, usted autoriza a {business} a debitar esta cuenta bancaria una sola vez, por {amount}. Puede reclamar un débito incorrecto en su banco.",
    mandate_saved: "Al continuar, usted autoriza a {business} a guardar esta cuenta bancaria y a debitar lo que usted deba, hasta que le pida que no lo haga más.",
    card_terms: "Al dar los datos de su tarjeta, permite que {business} le cobre pagos futuros según sus condiciones.",
    wallet_next: "Se abrirá otro paso para continuar con {wallet}.",
    simulated: "Esto es una simulación: no se consulta ninguna billetera ni banco.", test_account: "Cuenta de prueba", wallet_card: "Tarjeta de la billetera",
    sheet_pay: "{wallet} simulado: ¿pagar {amount}?", sheet_save: "{wallet} simulado: ¿guardar esta tarjeta?",
    sheet_bank: "Banco simulado: ¿qué cuenta?", pay: "Pagar", save: "Guardar", connect: "Vincular esta cuenta", cancel: "Cancelar",
    incomplete_number: "El número de tarjeta está incompleto.", invalid_number: "El número de tarjeta no es válido.",
    incomplete_expiry: "La fecha de vencimiento está incompleta.",
    invalid_expiry_year_past: "El año de vencimiento ya pasó.",
    invalid_expiry_month_past: "La fecha de vencimiento ya pasó.",
    invalid_expiry_month: "La fecha de vencimiento no es válida.",
    invalid_expiry_year: "El año de vencimiento no es válido.",
    incomplete_cvc: "El código de seguridad está incompleto.", incomplete_zip: "El código postal está incompleto.",
    incomplete_email: "El correo electrónico está incompleto.", invalid_email: "El correo electrónico no es válido.",
    incomplete_name: "Su nombre está incompleto.", incomplete_routing_number: "El número de ruta está incompleto.",
    incomplete_account_number: "El número de cuenta está incompleto.",
    incomplete_bank_account: "Elija su banco para vincular una cuenta.",
    wallet_canceled: "Se canceló {wallet}. Inténtelo de nuevo o elija otra forma de pago.",
    business: "este comercio",
    api_connection_error: "Tenemos problemas para conectarnos con nuestro proveedor de pagos. Revise su conexión e inténtelo de nuevo.",
  },
};

// The language that is spoken for a locale such as "es-MX" or "auto".
export function languageFor(locale) {
  const asked = (locale === "auto" ? navigator.language : locale).slice(0, 2);
  return TEXTS[asked] ? asked : "en";
}

export function textIn(language, code, values = {}) {
  const template = TEXTS[language][code] || TEXTS.en[code] || code;
  return template.replace(/\{(\w+)\}/g, (_whole, name) => values[name]);
}
