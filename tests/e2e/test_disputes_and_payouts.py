"""What happens after a payment, in a running demo: a bank takes it back, Stripe pays out, and webhooks fail to come.

The payer's bank and the calendar are moved through the stand-in's own controls; everything else is the portal's pages.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import DESKTOP, PHONE, LiveDemo, until
from tests.e2e.test_story import fill_card, judge, read, reconciled, screenshots, sign_in
from tests.e2e.test_ways_to_pay import choose_amount

__all__ = ["screenshots"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

Shoot = Callable[[Page, str], None]
DISPUTED, GOOD = "4000000000000259", "4242424242424242"


def control(demo: LiveDemo, path: str, **body: Any) -> Any:
    """One of the stand-in's controls, over HTTP."""
    request = urllib.request.Request(
        f"{demo.standin_url}/_standin/{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def pay(page: Page, demo: LiveDemo, account: str, amount: str, card: str) -> str:
    """Pay by card through the pages; returns the payment's public id."""
    choose_amount(page, demo, account, amount)
    fill_card(page, card)
    page.locator("#pay-button").click()
    expect(page).to_have_url(re.compile("/receipt"))
    return page.url.split("/payments/")[1].split("/")[0]


def dispute_of(demo: LiveDemo, payment_id: str, state: str) -> str:
    """The public id of a payment's dispute, once it is in a state."""
    query = (
        "SELECT d.public_id FROM dispute d JOIN payment p ON p.id = d.payment_id "
        f"WHERE p.public_id = '{payment_id}' AND d.state = '{state}'"
    )
    ((found,),) = until(lambda: read(demo, query))
    return str(found)


def stripes(demo: LiveDemo, dispute_id: str) -> str:
    ((found,),) = read(demo, f"SELECT stripe_dispute_id FROM dispute WHERE public_id = '{dispute_id}'")
    return str(found)


def booked(demo: LiveDemo, payment_id: str) -> int:
    """What we still have of a payment, in cents."""
    ((cents,),) = read(
        demo,
        "SELECT sum(b.amount_cents) FROM booking b JOIN payment p ON p.id = b.payment_id "
        f"WHERE p.public_id = '{payment_id}'",
    )
    return int(cents)


@pytest.mark.parametrize(
    ("size", "email", "account", "won"),
    [(PHONE, "testa@example.com", "JDC-1001", True), (DESKTOP, "paula@example.com", "JDC-1003", False)],
    ids=["phone-won", "desktop-lost"],
)
def test_a_bank_takes_a_payment_back_and_decides(
    live_demo: LiveDemo,
    open_page: Callable[..., Page],
    screenshots: Shoot,
    size: tuple[int, int],
    email: str,
    account: str,
    won: bool,
) -> None:
    page = open_page(size)
    sign_in(page, live_demo, email)
    payment_id = pay(page, live_demo, account, "21.50", DISPUTED)
    dispute_id = dispute_of(live_demo, payment_id, "needs_response")
    assert booked(live_demo, payment_id) == 0

    # The patient sees that the line is looked at, and why.
    ((visit_id, charge_id),) = read(
        live_demo,
        "SELECT v.public_id, c.public_id FROM dispute_part x JOIN charge c ON c.id = x.charge_id "
        f"JOIN visit v ON v.id = c.visit_id JOIN dispute d ON d.id = x.dispute_id WHERE d.public_id = '{dispute_id}' "
        "ORDER BY c.id LIMIT 1",
    )
    page.goto(f"{live_demo.url}/visits/{visit_id}")
    expect(page.get_by_text("We are checking this").first).to_be_visible()
    judge(page)
    screenshots(page, "disputed-visit")
    page.goto(f"{live_demo.url}/charges/{charge_id}/why")
    expect(page.get_by_text("Your bank took a payment back").first).to_be_visible()
    judge(page)
    screenshots(page, "disputed-why")

    # Staff see it on the page where they land, and what to answer by when.
    desk = open_page(size)
    sign_in(desk, live_demo, "staff@example.com")
    expect(desk.get_by_role("link", name=re.compile("Disputes to answer"))).to_be_visible()
    judge(desk)
    screenshots(desk, "desk-attention")
    desk.get_by_role("link", name=re.compile("Disputes to answer")).click()
    expect(desk.get_by_text(re.compile(r"\d+ days left")).first).to_be_visible()
    judge(desk)
    screenshots(desk, "desk-disputes")
    desk.locator(f"a[href*='{dispute_id}']").click()
    expect(desk.get_by_role("heading", name="How to answer")).to_be_visible()
    judge(desk)
    screenshots(desk, "desk-dispute")
    desk.get_by_role("link", name="Answer it at Stripe").click()
    expect(desk.get_by_role("heading", name="Stripe stand-in")).to_be_visible()

    # The bank decides.
    control(live_demo, f"disputes/{stripes(live_demo, dispute_id)}/close", won=won)
    dispute_of(live_demo, payment_id, "won" if won else "lost")
    assert booked(live_demo, payment_id) == (2150 if won else 0)
    desk.goto(f"{live_demo.url}/desk/disputes/{dispute_id}")
    expect(desk.get_by_text("the money is back" if won else "The bank keeps the money").first).to_be_visible()
    judge(desk)
    screenshots(desk, "desk-dispute-decided")
    page.goto(f"{live_demo.url}/charges/{charge_id}/why")
    screenshots(page, "decided-why")
    judge(page)
    if won:
        expect(page.get_by_text("was returned to us").first).to_be_visible()
    result = reconciled(live_demo)
    assert result["total"]["difference_cents"] == 0
    (row,) = [one for one in result["accounts"] if one["account"] == account]
    assert row["captures_cents"] == row["stripe_cents"] == row["posted_cents"]


@pytest.mark.parametrize(
    ("size", "email", "account"),
    [(PHONE, "sam@example.com", "JDC-1002"), (DESKTOP, "paula@example.com", "JDC-1003")],
    ids=["phone", "desktop"],
)
def test_staff_see_what_stripe_paid_out_and_what_came_without_a_webhook(
    live_demo: LiveDemo,
    open_page: Callable[..., Page],
    screenshots: Shoot,
    size: tuple[int, int],
    email: str,
    account: str,
) -> None:
    page = open_page(size)
    sign_in(page, live_demo, email)
    pay(page, live_demo, account, "60.00", GOOD)  # more than the disputes and their fees took

    # The endpoint is down: what happens now is found by asking.
    control(live_demo, "webhooks", down=True)
    try:
        payment_id = pay(page, live_demo, account, "12.00", GOOD)
        ((charge,),) = read(live_demo, f"SELECT stripe_charge_id FROM payment WHERE public_id = '{payment_id}'")
        control(live_demo, "disputes", charge=charge, reason="duplicate", amount=300)
        dispute_of_it = until(
            lambda: read(
                live_demo,
                "SELECT 1 FROM stripe_event e JOIN payment p ON p.stripe_intent_id = e.intent_id "
                f"WHERE p.public_id = '{payment_id}' AND e.source = 'catch_up' AND e.type LIKE '%dispute%'",
            ),
            seconds=280,
        )
        assert dispute_of_it
        dispute_of(live_demo, payment_id, "needs_response")
    finally:
        control(live_demo, "webhooks", down=False)
    desk = open_page(size)
    sign_in(desk, live_demo, "staff@example.com")
    desk.goto(f"{live_demo.url}/desk/sync")
    desk.get_by_role("link", name="Stripe’s events in detail").click()
    expect(desk.get_by_text("catch-up", exact=True).first).to_be_visible()
    judge(desk)
    screenshots(desk, "desk-webhooks")
    assert booked(live_demo, payment_id) == 900
    assert reconciled(live_demo)["total"]["difference_cents"] == 0

    # Days pass, and Stripe pays out: each movement is matched, fees are told.
    before = len(read(live_demo, "SELECT 1 FROM payout"))
    control(live_demo, "clock", advance_seconds=3 * 86_400)
    until(lambda: len(read(live_demo, "SELECT 1 FROM payout WHERE complete_at IS NOT NULL")) > before)
    desk.goto(f"{live_demo.url}/desk/payouts")
    expect(desk.get_by_text("Matched").first).to_be_visible()
    judge(desk)
    screenshots(desk, "desk-payouts")
    desk.locator("table a").first.click()
    expect(desk.get_by_text("Paid to the bank")).to_be_visible()
    judge(desk)
    screenshots(desk, "desk-payout")
    result = reconciled(live_demo)["payouts"]
    assert result["count"] > before
    assert (result["difference_cents"], result["exceptions"]) == (0, [])
    assert result["net_cents"] == result["gross_cents"] - result["fee_cents"]
    desk.goto(f"{live_demo.url}/desk/payouts/exceptions")
    expect(desk.get_by_text("Everything fits")).to_be_visible()
    judge(desk)

    # The bank sends a payout back: an exception with what to do, until somebody has dealt with it.
    bank = open_page(size)
    bank.goto(live_demo.standin_url)
    bank.get_by_role("button", name="Fail this payout").first.click()
    expect(bank.get_by_role("heading", name="Stripe stand-in")).to_be_visible()
    until(lambda: read(live_demo, "SELECT 1 FROM payout WHERE exception = 'payout_failed'"))
    desk.goto(f"{live_demo.url}/desk/")
    desk.get_by_role("link", name=re.compile("Exceptions in payouts")).first.click()
    expect(desk.get_by_text("The bank sent the payout back").first).to_be_visible()
    expect(desk.get_by_text("Check the clinic’s bank account in Stripe’s dashboard").first).to_be_visible()
    judge(desk)
    screenshots(desk, "desk-exceptions")
    desk.get_by_role("link", name=re.compile("Mark as dealt with")).first.click()
    desk.get_by_role("textbox").fill("The account number at Stripe was old. Corrected.")
    desk.get_by_role("button", name="Mark as dealt with").click()
    expect(desk.get_by_text("Noted. It is off the list.")).to_be_visible()
    assert reconciled(live_demo)["payouts"]["exceptions"] == []
