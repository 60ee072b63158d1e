"""Settings, read once from the environment.

Everything that is missing or malformed is listed in one :class:`BadSettings`, and the portal does not start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from portal.hostnames import BadHost, browser_host

STRIPE_API = "https://api.stripe.com"
STRIPE_JS = "https://js.stripe.com"


_DATABASE_URL = r"(sqlite:///|postgresql(\+psycopg)?://).+"


class BadSettings(Exception):
    """The environment does not describe a portal that may start; the text lists every fault."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("The portal cannot start:\n" + "\n".join(f"  - {fault}" for fault in faults))


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator decides. Secrets are kept out of ``repr``."""

    database_url: str
    secret_key: str
    base_url: str
    stripe_secret_key: str
    stripe_publishable_key: str
    stripe_webhook_secret: str
    clinic_name: str
    clinic_phone: str
    mail_from: str
    smtp_url: str
    stripe_api_base: str = STRIPE_API
    stripe_js_origin: str = STRIPE_JS
    clinic_timezone: str = "America/Chicago"
    redis_url: str = ""
    queue_path: str = ""
    log_json: bool = True
    trusted_proxies: int = 0
    #: Hosts beside ``base_url``'s that the portal answers to, each with its port where it has one.
    extra_hosts: tuple[str, ...] = ()
    sandbox: bool = False
    #: A refund above it (in cents) needs a supervisor who is someone else.
    refund_approval_cents: int = 10_000
    #: How many days after it was found a credit is given back.
    credit_refund_days: int = 7
    #: A file that says what is allowed in payment plans; empty is the shipped one.
    plans_policy: str = ""
    #: The back office this portal speaks to: one of :data:`portal.ledger.registry.LEDGERS`.
    ledger: str = "embedded"

    def __repr__(self) -> str:
        return f"<Settings {self.base_url} {self.clinic_name!r}>"

    @property
    def https(self) -> bool:
        """Whether pages are served over TLS; only then are cookies marked Secure and HSTS sent."""
        return self.base_url.startswith("https://")

    @property
    def live(self) -> bool:
        """Whether real money moves."""
        return "_live_" in self.stripe_secret_key

    @classmethod
    def for_listing(cls) -> Settings:
        """Settings of a portal that is looked at and never run: it reaches nothing and nobody."""
        words = {field.name: "" for field in fields(cls) if field.default is MISSING}
        words |= {"secret_key": "-" * 32, "base_url": "http://localhost", "database_url": "sqlite://"}
        return cls(**words, queue_path=":memory:")  # type: ignore[arg-type]

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read and check the settings.

        Raises :class:`BadSettings` naming every variable at fault, never its value.
        """
        faults: list[str] = []

        def need(name: str, default: str | None = None, pattern: str = r".+") -> str:
            value = env.get(name, "").strip() or default
            if value is None:
                faults.append(f"{name} is not set")
                return ""
            if not re.fullmatch(pattern, value):
                faults.append(f"{name} is malformed")
            return value

        url = r"https?://[^/\s?#@]+"
        settings = cls(
            database_url=need("DATABASE_URL", pattern=_DATABASE_URL),
            secret_key=need("SECRET_KEY", pattern=r".{32,}"),
            base_url=need("BASE_URL", pattern=url + "/?").rstrip("/"),
            stripe_secret_key=need("STRIPE_SECRET_KEY", pattern=r"[rs]k_(test|live)_\w+"),
            stripe_publishable_key=need("STRIPE_PUBLISHABLE_KEY", pattern=r"pk_(test|live)_\w+"),
            stripe_webhook_secret=need("STRIPE_WEBHOOK_SECRET", pattern=r"whsec_.+"),
            clinic_name=need("CLINIC_NAME"),
            clinic_phone=need("CLINIC_PHONE"),
            mail_from=need("MAIL_FROM", pattern=r"[^@\s]+@[^@\s]+"),
            smtp_url=need("SMTP_URL", pattern=r"smtps?://.+"),
            stripe_api_base=need("STRIPE_API_BASE", STRIPE_API, url),
            stripe_js_origin=need("STRIPE_JS_ORIGIN", STRIPE_JS, url),
            clinic_timezone=need("CLINIC_TIMEZONE", "America/Chicago"),
            # "memory://" and its like would count rate limits by process.
            redis_url=need("REDIS_URL", "", r"(|(rediss?|unix)://.+)"),
            queue_path=env.get("QUEUE_PATH", "").strip(),
            trusted_proxies=_digits(need("TRUSTED_PROXIES", "0", r"[0-9]")),
            extra_hosts=tuple(env.get("EXTRA_HOSTS", "").replace(",", " ").split()),
            log_json=env.get("LOG_FORMAT", "json") == "json",
            sandbox=env.get("PLAINBILL_SANDBOX", "") == "1",
            refund_approval_cents=_cents(need("REFUND_APPROVAL_ABOVE", "100.00", r"\d{1,7}(\.\d\d)?")),
            plans_policy=env.get("PLANS_POLICY", "").strip(),
            ledger=ledger_name(env),
            credit_refund_days=_digits(need("CREDIT_REFUND_DAYS", "7", r"[0-9]{1,2}")),
        )
        try:
            base = urlsplit(settings.base_url)
        except ValueError:
            raise BadSettings([*faults, "BASE_URL is malformed"]) from None
        try:
            ZoneInfo(settings.clinic_timezone)
        except (ZoneInfoNotFoundError, ValueError):
            faults.append("CLINIC_TIMEZONE is not an IANA time zone")
        if len(settings.secret_key) >= 32 and _is_guessable(settings.secret_key):
            faults.append(f"SECRET_KEY can be guessed; make one with: {_MAKE_A_SECRET}")
        if settings.stripe_api_base == STRIPE_API and settings.stripe_webhook_secret.startswith("whsec_"):
            drawn = settings.stripe_webhook_secret.removeprefix("whsec_")
            if not re.fullmatch(r"[\w+/=-]{24,}", drawn, re.ASCII) or _is_guessable(drawn):
                faults.append(
                    "STRIPE_WEBHOOK_SECRET is none of Stripe's: copy the signing secret of the endpoint "
                    "from Stripe's dashboard (Developers, Webhooks)"
                )
        if _are_of_two_accounts(settings.stripe_secret_key, settings.stripe_publishable_key):
            faults.append(
                "STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY are of two Stripe accounts: "
                "copy both from the same account's dashboard (Developers, API keys)"
            )
        live = [key for key in (settings.stripe_secret_key, settings.stripe_publishable_key) if "_live_" in key]
        if live and len(live) == 1:
            faults.append("STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY are of different modes")
        if live and (settings.stripe_api_base, settings.stripe_js_origin) != (STRIPE_API, STRIPE_JS):
            faults.append("STRIPE_API_BASE and STRIPE_JS_ORIGIN must be Stripe's own with a live key")
        if live and settings.sandbox:
            faults.append("PLAINBILL_SANDBOX does not go with a live key")
        for name, hosts in (("BASE_URL", (base.netloc,)), ("EXTRA_HOSTS", settings.extra_hosts)):
            if not all(_is_host(host) for host in hosts if host):
                faults.append(f"{name} names a host that no browser can ask for")
        if not (settings.redis_url or settings.queue_path):
            faults.append("REDIS_URL or QUEUE_PATH must say where the worker's queue is")
        if not settings.https and base.hostname not in ("127.0.0.1", "localhost", None):
            faults.append("BASE_URL must be https outside this machine")
        if faults:
            raise BadSettings(faults)
        return settings


_MAKE_A_SECRET = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
#: What people write where a secret should stand, and what is in this project for everybody to read; letters only.
_PLACEHOLDERS = (
    "changeme", "changeit", "changethis", "fixme", "dummy", "supersecret", "mysecret", "realsecret", "setthis",
    "replaceme", "replacethis", "placeholder", "yoursecret", "secretkey", "topsecret",
    "password", "passphrase", "insecure", "letmein", "donotuse", "example", "plainbill", "standin", "juniperdemo",
    "abcdefgh", "qwerty",
)  # fmt: skip


def _is_guessable(secret: str) -> bool:
    """Whether a secret is a placeholder, or so regular that nobody can have drawn it."""
    letters = re.sub(r"[^a-z]", "", secret.lower())
    # "abcabcab", and one letter over and over
    repeats = any(secret[period:] == secret[:-period] for period in range(1, len(secret) // 2 + 1))
    return repeats or len(set(secret)) < 10 or any(word in letters for word in _PLACEHOLDERS)


def _are_of_two_accounts(secret_key: str, publishable_key: str) -> bool:
    """Whether two keys of Stripe's name different accounts.

    Since 2019 a key is its kind, its mode, "5", and then the account's id without ``acct_``; of an older key, which
    does not name its account, nothing is said here (the worker asks Stripe when it starts).
    """
    named = [re.match(r"[a-z]k_(?:test|live)_5(1[A-Za-z0-9]{15})", key) for key in (secret_key, publishable_key)]
    return all(named) and len({one[1] for one in named if one}) == 2


def _is_host(host: str) -> bool:
    try:
        browser_host(host, "https")
    except BadHost:
        return False
    return True


def _digits(text: str) -> int:
    """A whole number; 0 for what was found malformed."""
    return int(text) if text.isascii() and text.isdigit() else 0


def _cents(text: str) -> int:
    """Dollars, or dollars and cents, as cents; 0 for what was found malformed."""
    whole, _, part = text.partition(".")
    return _digits(whole) * 100 + _digits(part)


def database_url(env: Mapping[str, str]) -> str:
    """``DATABASE_URL`` alone. Raises :class:`BadSettings`."""
    value = env.get("DATABASE_URL", "").strip()
    if not re.fullmatch(_DATABASE_URL, value):
        raise BadSettings(["DATABASE_URL is malformed" if value else "DATABASE_URL is not set"])
    return value


def ledger_name(env: Mapping[str, str]) -> str:
    """``LEDGER`` alone; who opens the ledger knows whether there is one of that name."""
    return env.get("LEDGER", "").strip() or "embedded"
