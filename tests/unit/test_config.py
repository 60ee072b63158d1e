"""Settings that may not start a portal don't, and every fault is told at once."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portal.config import STRIPE_API, STRIPE_JS, BadSettings, Settings

STAND_IN = {"STRIPE_API_BASE": "http://127.0.0.1:12111", "STRIPE_JS_ORIGIN": "http://127.0.0.1:12112"}
LIVE = {
    "STRIPE_SECRET_KEY": "sk_live_sample",
    "STRIPE_PUBLISHABLE_KEY": "pk_live_sample",
    "BASE_URL": "https://billing.clinic.example",
}
GOOD = {
    "DATABASE_URL": "sqlite:///portal.sqlite",
    "SECRET_KEY": "secret-of-the-tests-that-is-long-enough",
    "BASE_URL": "http://127.0.0.1:8080",
    "STRIPE_SECRET_KEY": "sk_test_sample",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_sample",
    "STRIPE_WEBHOOK_SECRET": "whsec_Zx3vQm81LpTr5KwYb0NcUe7HsDfGj2A",
    "CLINIC_NAME": "Juniper Demo Clinic",
    "CLINIC_PHONE": "(555) 010-0199",
    "MAIL_FROM": "billing@juniper-demo.example",
    "SMTP_URL": "smtp://user:hush@mail.example:587",
    "QUEUE_PATH": "queue.sqlite",
}


def faults_of(**changed: str | None) -> list[str]:
    """What is wrong with the good settings when some are changed (None leaves one out)."""
    env = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    try:
        Settings.from_env(env)
    except BadSettings as error:
        return error.faults
    return []


def test_good_settings_start() -> None:
    settings = Settings.from_env(GOOD)
    assert (settings.stripe_api_base, settings.stripe_js_origin) == (STRIPE_API, STRIPE_JS)
    assert (settings.https, settings.sandbox) == (False, False)
    assert Settings.from_env({**GOOD, **LIVE}).stripe_secret_key == LIVE["STRIPE_SECRET_KEY"]


def test_nothing_at_all_is_told_at_once() -> None:
    with pytest.raises(BadSettings) as error:
        Settings.from_env({})
    told = str(error.value)
    assert [name for name in GOOD if name not in told] == []
    assert told.count("\n") == len(error.value.faults) >= len(GOOD)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_each_of_them_is_needed(name: str) -> None:
    for missing in (None, "", "  "):
        (fault,) = faults_of(**{name: missing})
        assert name in fault


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://somewhere/db"),
        ("DATABASE_URL", "portal.sqlite"),
        ("SECRET_KEY", "short"),
        ("BASE_URL", "127.0.0.1:8080"),
        ("BASE_URL", "https://["),
        ("BASE_URL", "http://127.0.0.1:8080/path"),
        ("BASE_URL", "https://user@billing.example"),
        ("STRIPE_SECRET_KEY", "pk_test_sample"),
        ("STRIPE_SECRET_KEY", "sk_test"),
        ("STRIPE_PUBLISHABLE_KEY", "sk_test_sample"),
        ("STRIPE_WEBHOOK_SECRET", "sample"),
        ("MAIL_FROM", "billing"),
        ("SMTP_URL", "http://mail.example"),
        ("STRIPE_API_BASE", "api.stripe.com"),
        ("REFUND_APPROVAL_ABOVE", "a hundred"),
        ("REFUND_APPROVAL_ABOVE", "99.9"),
        ("REFUND_APPROVAL_ABOVE", "-1"),
        ("CREDIT_REFUND_DAYS", "soon"),
        ("CREDIT_REFUND_DAYS", "365"),
        ("CLINIC_TIMEZONE", "Mars/Olympus"),
        ("CLINIC_TIMEZONE", "../../etc/passwd"),
    ],
)
def test_what_is_malformed_is_named_and_not_repeated(name: str, value: str) -> None:
    faults = faults_of(**{name: value})
    assert any(name in fault for fault in faults)
    assert not any(value in fault for fault in faults)


def test_several_faults_are_told_together() -> None:
    faults = faults_of(SECRET_KEY="x", SMTP_URL=None, BASE_URL="http://billing.clinic.example")
    assert len(faults) == 3


@pytest.mark.parametrize("origin", sorted(STAND_IN))
def test_a_live_key_goes_to_stripe_only(origin: str) -> None:
    (fault,) = faults_of(**LIVE, **{origin: STAND_IN[origin]})
    assert "live key" in fault
    assert faults_of(**STAND_IN) == []


@pytest.mark.parametrize(
    "lookalike", ["https://api.stripe.com.evil.example", "http://api.stripe.com", "https://api.stripe.com:444"]
)
def test_what_looks_like_stripe_is_not(lookalike: str) -> None:
    assert faults_of(**LIVE, STRIPE_API_BASE=lookalike) != []


def test_a_live_key_starts_no_sandbox() -> None:
    (fault,) = faults_of(**LIVE, PLAINBILL_SANDBOX="1")
    assert "PLAINBILL_SANDBOX" in fault


@pytest.mark.parametrize("mixed", ["STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY"])
def test_keys_of_two_modes_do_not_go_together(mixed: str) -> None:
    assert any("different modes" in fault for fault in faults_of(**{mixed: LIVE[mixed]}))


def test_a_restricted_live_key_is_live() -> None:
    assert any("live key" in fault for fault in faults_of(**{**LIVE, "STRIPE_SECRET_KEY": "rk_live_x"}, **STAND_IN))


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://localhost", True),
        ("https://billing.clinic.example", True),
        ("http://billing.clinic.example", False),
        ("http://192.168.0.7", False),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://0.0.0.0:8080", False),
    ],
)
def test_pages_outside_this_machine_are_https(address: str, fine: bool) -> None:
    assert (faults_of(BASE_URL=address) == []) is fine


def test_when_money_goes_back_is_decided_by_the_operator() -> None:
    usual, own = Settings.from_env(GOOD), {**GOOD, "REFUND_APPROVAL_ABOVE": "250.50", "CREDIT_REFUND_DAYS": "0"}
    assert (usual.refund_approval_cents, usual.credit_refund_days) == (10_000, 7)
    decided = Settings.from_env(own)
    assert (decided.refund_approval_cents, decided.credit_refund_days) == (25_050, 0)
    assert Settings.from_env({**GOOD, "REFUND_APPROVAL_ABOVE": "40"}).refund_approval_cents == 4_000


DRAWN = "q7Rk-2mZt_5VhXw8CpLs3NdYb6JfGa1Ue4Ho9TiK"


@pytest.mark.parametrize(
    "secret",
    [
        "changeme" * 4,
        "changeme-changeme-changeme-12345",
        "please-CHANGE-ME-before-going-live",
        "your_secret_key_goes_here_0123456789",
        "a" * 64,
        "0123456789012345678901234567890123",
        "changeit-changeit-changeit-123456",
        "my-super-secret-flask-session-value",
        "please-set-a-real-secret-in-production",
        "0123456789" * 4,
        DRAWN[:16] * 2,
        "aabbccddeeff00112233445566778899"[:8] * 4,
    ],
)
def test_a_secret_that_anybody_could_type_is_refused(secret: str) -> None:
    (fault,) = faults_of(SECRET_KEY=secret)
    assert "SECRET_KEY can be guessed" in fault
    assert "secrets.token_urlsafe" in fault
    assert secret not in fault


@pytest.mark.parametrize("secret", [DRAWN, "0f3a9c1be7d2486550a1b2c3d4e5f6978899aabbccddeeff0011223344556677"])
def test_a_secret_that_was_drawn_is_taken(secret: str) -> None:
    assert faults_of(SECRET_KEY=secret) == []


@given(st.binary(min_size=24, max_size=64))
def test_whatever_is_drawn_is_taken(drawn: bytes) -> None:
    """The commands that people use to draw a secret, on any bytes that look drawn."""
    assume(len(set(drawn)) >= 16)
    for secret in (base64.urlsafe_b64encode(drawn).decode(), drawn.hex() if len(drawn) >= 32 else DRAWN):
        assume(len(set(secret)) >= 10)
        assert faults_of(SECRET_KEY=secret) == []


@pytest.mark.parametrize(
    "secret",
    ["whsec_x", "whsec_plainbill_standin", "whsec_changemechangemechangemechangeme", f"whsec_{'a' * 32}", "whsec_ x"],
)
@pytest.mark.parametrize("keys", [{}, LIVE])
def test_a_webhook_secret_that_stripe_never_made_is_refused(secret: str, keys: dict[str, str]) -> None:
    (fault,) = faults_of(**keys, STRIPE_WEBHOOK_SECRET=secret)
    assert "signing secret" in fault
    assert secret not in fault
    assert faults_of(**STAND_IN, STRIPE_WEBHOOK_SECRET="whsec_x") == []


@pytest.mark.parametrize("mode", ["test", "live"])
@pytest.mark.parametrize("kind", ["sk", "rk"])
def test_keys_of_two_accounts_do_not_go_together(mode: str, kind: str) -> None:
    one, other, rest = "51Hx0000SampleAcct", "51Hx0000OtherAcct0", "GeCMAyzHPFme6v6ahY"

    def faults(secret: str, publishable: str) -> list[str]:
        return faults_of(
            STRIPE_SECRET_KEY=f"{kind}_{mode}_{secret}",
            STRIPE_PUBLISHABLE_KEY=f"pk_{mode}_{publishable}",
            BASE_URL="https://billing.clinic.example",
        )

    (fault,) = faults(one + rest, other + rest)
    assert "two Stripe accounts" in fault
    assert faults(one + rest, one + "another") == []
    for old in ("4eC39HqLyjWDarjtT1zdp7dc", "51short"):  # names no account: nothing can be said
        assert faults(old, one + rest) == faults(one + rest, old) == []


def test_either_queue_will_do() -> None:
    assert faults_of(QUEUE_PATH=None, REDIS_URL="redis://127.0.0.1/0") == []
    assert faults_of(REDIS_URL="unix:///run/redis.sock") == []
    assert faults_of(REDIS_URL="memory://") == ["REDIS_URL is malformed"]


def test_secrets_are_kept_out_of_what_is_printed() -> None:
    env = {**GOOD, "DATABASE_URL": "postgresql://portal:sesame@db.example/portal"}
    settings: Any = Settings.from_env(env)
    for shown in (repr(settings), str(settings), f"{settings}", repr([settings])):
        for secret in ("secret-of", "sk_test_sample", "whsec_Zx3", "sesame", "hush"):
            assert secret not in shown


def test_settings_do_not_change() -> None:
    settings: Any = Settings.from_env(GOOD)
    with pytest.raises(AttributeError):
        settings.sandbox = True
