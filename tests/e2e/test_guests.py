"""Paying with the code of a printed statement, end to end; and somebody who tries stolen cards with one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from portal.accounts.models import Account
from portal.db import writing
from portal.payments.queries import reserved
from portal.statements.service import issue_statement
from tests.browser import DESKTOP, PHONE, LiveDemo, until
from tests.e2e.test_story import (
    DECLINED,
    GOOD_AFTER_3DS,
    dollars,
    fill_card,
    judge,
    mails_to,
    read,
    reconciled,
    screenshots,
    sign_in,
)
from tests.e2e.test_ways_to_pay import DAY, let_pass

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

__all__ = ["screenshots"]

#: Who is on the accounts that guests pay in this story.
PEOPLE = ("Testa", "Demopatient", "Sam", "Sampleman", "Paula", "Pretendparent", "Kit", "JDC-100")


def issue(demo: LiveDemo, ref: str, code: str) -> None:
    """A statement with a code that the test knows."""
    engine = sa.create_engine(demo.database_url)
    with Session(engine) as session, writing():
        issue_statement(
            session,
            account_id=session.scalars(sa.select(Account.id).where(Account.ref == ref)).one(),
            issued_by=None,
            secret=demo.environment["SECRET_KEY"],
            timezone="America/Chicago",
            on_its_way=reserved,
            to_pdf=lambda draft: f"%PDF-1.7 {draft.number}".encode(),
            code=code,
        )
        session.commit()
    engine.dispose()


def come_in(page: Page, demo: LiveDemo, code: str, born_on: str) -> None:
    page.goto(f"{demo.url}/guest#{code}")
    page.get_by_label("Date of birth").fill(born_on)
    page.get_by_role("button", name="See the amount due").click()


def says_nothing_of_anybody(page: Page) -> None:
    html = page.content()
    assert [name for name in PEOPLE if re.search(rf"\b{name}", html)] == []


@pytest.mark.parametrize(
    ("size", "ref", "code", "born_on", "amount"),
    [
        (PHONE, "JDC-1002", "PH0NE00000001", "11/2/1951", "7.77"),
        (DESKTOP, "JDC-1003", "DESKT0P000001", "2024-05-09", "8.88"),
    ],
    ids=["phone", "desktop"],
)
def test_a_guest_pays_with_the_code_of_a_statement(
    live_demo: LiveDemo,
    open_page: Callable[..., Page],
    screenshots: Callable[[Page, str], None],
    size: tuple[int, int],
    ref: str,
    code: str,
    born_on: str,
    amount: str,
) -> None:
    issue(live_demo, ref, code)
    page = open_page(size)
    page.goto(f"{live_demo.url}/sign-in")
    page.get_by_role("link", name="Pay a bill without signing in").click()
    judge(page)
    screenshots(page, "guest-start")

    # The QR code's link fills in the code, and leaves it neither in the address bar nor in the history.
    page.goto(f"{live_demo.url}/guest#{code}")
    expect(page.get_by_label("Code from your statement")).to_have_value(f"{code[:4]}-{code[4:9]}-{code[9:]}")
    assert code not in page.url
    expect(page.get_by_text("We filled in the code")).to_be_visible()
    expect(page.get_by_label("Date of birth")).to_be_focused()
    judge(page)

    # A typing error is told; a wrong date is not told from a wrong code.
    page.keyboard.type("4/31/1980")
    page.keyboard.press("Enter")
    expect(page.locator("#error-summary")).to_contain_text("month, day and year")
    judge(page)
    screenshots(page, "guest-malformed")
    page.get_by_label("Date of birth").fill("4/30/1980")
    page.get_by_role("button", name="See the amount due").click()
    expect(page.locator("#error-summary")).to_contain_text("This code and date of birth don’t open a bill")
    judge(page)
    screenshots(page, "guest-refused")
    page.get_by_label("Date of birth").fill(born_on)
    page.get_by_role("button", name="See the amount due").click()

    # The amount due, and nothing else.
    expect(page.get_by_text("Amount due now")).to_be_visible()
    judge(page)
    screenshots(page, "guest-bill")
    says_nothing_of_anybody(page)
    due = dollars(page.locator("main").inner_text())
    page.get_by_label("Another amount").check()
    page.get_by_label("Amount", exact=True).fill(amount)
    page.get_by_label("Email for your receipt").fill(f"{size[0]}@guest.example.org")
    page.get_by_role("button", name="Continue to payment").click()

    # A card with 3-D Secure: the pass is still good after the way through the bank.
    expect(page.locator("#pay-form")).to_be_visible()
    says_nothing_of_anybody(page)
    fill_card(page, GOOD_AFTER_3DS)
    judge(page)
    screenshots(page, "guest-pay")
    pay_url = page.url
    page.locator("#pay-button").dblclick()
    page.frame_locator("iframe[src*='3d-secure']").get_by_role("button", name="Complete authentication").click()
    expect(page).to_have_url(re.compile("/guest/payments/.*/receipt"))
    expect(page.locator("main")).to_contain_text(f"You paid ${amount}")
    judge(page)
    screenshots(page, "guest-receipt")
    says_nothing_of_anybody(page)
    page.reload()
    page.goto(pay_url)  # the back button
    expect(page).to_have_url(re.compile("/receipt"))
    page.goto(f"{live_demo.url}/guest/bill")
    screenshots(page, "guest-bill-after")
    judge(page)
    cents = round(float(amount) * 100)
    assert str(due - cents)[-2:] in page.locator(".big-amount-value").inner_text()
    assert dollars(page.locator(".big-amount-value").inner_text()) == due - cents

    # The mail is about an amount; the books have it once.
    (text,) = mails_to(open_page(DESKTOP), live_demo, f"{size[0]}@guest.example.org", count=1)
    assert f"${amount}" in text
    assert [name for name in PEOPLE if name in text] == []
    result = reconciled(live_demo)
    assert result["total"]["difference_cents"] == 0
    payment_id = pay_url.rstrip("/").split("/")[-1]
    assert read(live_demo, f"SELECT amount_cents FROM booking WHERE subject = '{payment_id}'") == [(cents,)]

    # Done is done, on this device and with every copy of the cookie.
    page.get_by_role("button", name="Done, close this bill").click()
    expect(page.get_by_text("You are done")).to_be_visible()
    screenshots(page, "guest-done")
    page.goto(pay_url)
    expect(page).to_have_url(re.compile("/guest$"))


def test_a_guest_pays_from_a_bank_account(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    issue(live_demo, "JDC-1002", "BANKG00000001")
    page = open_page(PHONE)
    come_in(page, live_demo, "BANKG00000001", "11/2/1951")
    expect(page.get_by_text("Amount due now")).to_be_visible()
    due = dollars(page.locator(".big-amount-value").inner_text())
    page.get_by_label("Email for your receipt").fill("bank@guest.example.org")
    page.get_by_role("button", name="Continue to payment").click()
    frame = page.frame_locator("#payment-element iframe")
    frame.get_by_text("US bank account").click()
    frame.locator("#email").fill("bank@guest.example.org")
    frame.locator("#holder").fill("A Person")
    page.locator("#pay-button").click()
    frame.locator("#sheet-yes").click()
    expect(page.get_by_role("heading", name="Your payment is on its way")).to_be_visible()
    judge(page)
    screenshots(page, "guest-bank-on-its-way")
    says_nothing_of_anybody(page)
    paid = page.url

    # All of it is on its way, so nobody is asked for it: neither here nor with the code once more.
    page.goto(f"{live_demo.url}/guest/bill")
    expect(page.get_by_text("is on its way. It is not counted again here.")).to_be_visible()
    assert dollars(page.locator(".big-amount-value").inner_text()) == 0
    judge(page)
    other = open_page(DESKTOP)
    come_in(other, live_demo, "BANKG00000001", "11/2/1951")
    assert dollars(other.locator(".big-amount-value").inner_text()) == 0
    says_nothing_of_anybody(other)
    let_pass(live_demo, 5 * DAY)
    assert until(lambda: read(live_demo, "SELECT 1 FROM payment WHERE state = 'succeeded'"))
    (text,) = mails_to(open_page(DESKTOP), live_demo, "bank@guest.example.org", count=1)
    assert f"${due / 100:,.2f}" in text
    page.goto(paid)  # days later the pass is over, and says so
    expect(page).to_have_url(re.compile("/guest$"))
    expect(page.get_by_text("If you have just paid, your payment is not lost")).to_be_visible()
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def as_if_from_everywhere(demo: LiveDemo) -> None:
    """Every guest's payment comes from a network of its own; here they all come from this machine."""
    engine = sa.create_engine(demo.database_url)
    with Session(engine) as session, writing():
        session.execute(sa.text("UPDATE guest_payment SET network = 'network ' || payment_id"))
        session.commit()
    engine.dispose()


def test_somebody_who_tries_stolen_cards_meets_a_closed_door(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    """Fifteen declined cards over three statements, the last of them as a script would, without the page."""
    codes = (("JDC-1001", "ATTACK0000001", "3/14/1984"), ("JDC-1002", "ATTACK0000002", "11/2/1951"),
             ("JDC-1003", "ATTACK0000003", "7/21/1990"))  # fmt: skip
    pages = []
    for ref, code, born_on in codes:
        issue(live_demo, ref, code)
        page = open_page(PHONE)
        come_in(page, live_demo, code, born_on)
        page.get_by_label("Another amount").check()
        page.get_by_label("Amount", exact=True).fill("1.00")
        page.get_by_role("button", name="Continue to payment").click()
        expect(page.locator("#pay-form")).to_be_visible()
        pages.append(page)
    as_if_from_everywhere(live_demo)

    # A person sees the decline; a script does not look.
    fill_card(pages[0], DECLINED)
    pages[0].locator("#pay-button").click()
    expect(pages[0].locator("#pay-error")).to_contain_text("You have not been charged")
    judge(pages[0])
    screenshots(pages[0], "guest-declined")
    tries = [1 + sum(try_a_card(pages[0], live_demo) for _ in range(4))]
    # After a while a payment takes no card any more; how soon depends on how fast Stripe's events are dealt with.
    tries += [sum(try_a_card(page, live_demo) for _ in range(5)) for page in pages[1:]]
    assert 12 <= sum(tries) <= 15

    # No guest gets to a card, and no card can be tried on what was open. Who has a bill sees it and whom to call.
    other = open_page(DESKTOP)
    until = time.monotonic() + 60
    while "is paused for a while" not in other.content():
        assert time.monotonic() < until, "guest payment was not paused"
        live_demo.nudge()
        other.goto(f"{live_demo.url}/guest")
    judge(other)
    screenshots(other, "guest-start-paused")
    issue(live_demo, "JDC-1001", "BYSTAND000001")
    come_in(other, live_demo, "BYSTAND000001", "3/14/1984")
    expect(other.get_by_text("Amount due now")).to_be_visible()
    expect(other.locator("main")).to_contain_text("call us at")
    expect(other.get_by_role("button", name="Continue to payment")).to_have_count(0)
    judge(other)
    screenshots(other, "guest-bill-paused")
    while read(live_demo, "SELECT 1 FROM payment WHERE source = 'guest' AND state IN ('created', 'open', 'action')"):
        assert time.monotonic() < until, "an attempt is still open"
        live_demo.nudge()
    assert [try_a_card(page, live_demo) for page in pages] == [0, 0, 0]
    pages[0].reload()
    expect(pages[0].locator("main")).to_contain_text(re.compile("paused|closed"))
    judge(pages[0])
    screenshots(pages[0], "guest-paused")

    # The desk sees it, and a supervisor opens it again.
    desk = open_page(DESKTOP)
    sign_in(desk, live_demo, "supervisor@example.com")
    desk.get_by_role("link", name="Guests").click()
    expect(desk.get_by_text("Guest payment is paused until")).to_be_visible()
    judge(desk)
    screenshots(desk, "desk-guest-payment")
    desk.get_by_role("button", name="Open guest payment again").click()
    expect(desk.get_by_text("Guest payment is open again")).to_be_visible()
    judge(desk)
    screenshots(desk, "desk-guest-payment-open")
    other.goto(f"{live_demo.url}/guest/bill")
    expect(other.get_by_role("button", name="Continue to payment")).to_be_visible()
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def try_a_card(page: Page, demo: LiveDemo) -> int:
    """Confirm the page's intent with a stolen card, straight at Stripe; 1 when it was declined, 0 when it can't be."""
    form = page.locator("#pay-form")
    if page not in _SECRETS:
        _SECRETS[page] = form.get_attribute("data-client-secret") or ""
    secret = _SECRETS[page]
    key = {"Authorization": f"Bearer {demo.environment['STRIPE_PUBLISHABLE_KEY']}"}
    number = {"number": DECLINED, "exp_month": "12", "exp_year": "2034", "cvc": "123"}
    card: dict[str, str | float | bool] = {"type": "card", **{f"card[{name}]": value for name, value in number.items()}}
    made = page.request.post(f"{demo.standin_url}/v1/payment_methods", headers=key, form=card).json()
    answer = page.request.post(
        f"{demo.standin_url}/v1/payment_intents/{secret.split('_secret_')[0]}/confirm",
        headers=key,
        form={
            "client_secret": secret,
            "return_url": f"{demo.url}/guest/payments/{uuid4().hex}/return",
            "payment_method": made["id"],
        },
    ).json()
    assert "error" in answer, answer
    return 1 if answer["error"].get("code") == "card_declined" else 0


#: What a script has noted of a page, and keeps using after the page has moved on.
_SECRETS: dict[Page, str] = {}
