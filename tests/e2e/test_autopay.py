"""Autopay in a browser: turned on, announced by mail, charged on its day, stopped with one press or from the mail."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

import pytest
from playwright.sync_api import Page, expect

from portal.autopay.kinds import ChargeState
from tests.browser import DESKTOP, PHONE, LiveDemo, until
from tests.e2e.test_story import GOOD, fill_card, judge, read, reconciled, screenshots, sign_in
from tests.e2e.test_ways_to_pay import let_pass_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

__all__ = ["screenshots"]

#: It can be saved, and is declined when it is charged.
DECLINED_LATER = "4000000000000341"


def account(demo: LiveDemo, ref: str) -> str:
    ((public_id,),) = read(demo, f"SELECT public_id FROM account WHERE ref = '{ref}'")
    return str(public_id)


def states(demo: LiveDemo, ref: str) -> list[str]:
    rows = read(
        demo,
        "SELECT autopay_charge.state FROM autopay_charge JOIN autopay ON autopay.id = autopay_id "
        f"JOIN account ON account.id = account_id WHERE ref = '{ref}' ORDER BY autopay_charge.id",
    )
    return [row[0] for row in rows]


def to_the_charge(demo: LiveDemo) -> None:
    """Let days pass until the announced one, which is later than ten days where banks rest on the tenth."""
    ((on,),) = read(demo, "SELECT max(charge_on) FROM autopay_charge")
    let_pass_until(demo, date.fromisoformat(str(on)))


def turn_on(
    page: Page,
    demo: LiveDemo,
    email: str,
    ref: str,
    take: Callable[[Page, str], None],
    *,
    card: str = GOOD,
    cap: str = "900",
    first: str = ChargeState.NOTICED.value,
) -> None:
    """From nothing saved to autopay that is on, and its first charge in the state ``first``."""
    sign_in(page, demo, email)
    page.get_by_role("link", name="Autopay: pay new bills automatically").first.click()
    expect(page.get_by_text("Save a card or bank account first")).to_be_visible()
    judge(page)
    take(page, "autopay-nothing-saved")
    page.get_by_role("link", name="Add a card or bank account").click()
    page.get_by_role("button", name="Agree and go on").click()
    fill_card(page, card)
    page.locator("#pay-button").click()
    expect(page.get_by_text(f"Visa ending {card[-4:]}").first).to_be_visible()
    page.goto(f"{demo.url}/accounts/{account(demo, ref)}/autopay")
    judge(page)
    take(page, "autopay-form")
    page.get_by_label("The most we may charge at a time").fill(cap)
    page.get_by_role("button", name="Continue to the agreement").click()
    expect(page.get_by_text(f"No single charge will be more than ${float(cap):,.2f}")).to_be_visible()
    judge(page)
    take(page, "autopay-agreement")
    page.get_by_role("button", name="Turn autopay on").click()
    expect(page.get_by_text("Tick the box if you agree").first).to_be_visible()
    judge(page)
    page.get_by_label("I agree to this").check()
    page.get_by_role("button", name="Turn autopay on").click()
    expect(page.get_by_text("Autopay is on.", exact=False).first).to_be_visible()
    assert until(lambda: states(demo, ref) == [first])
    # Days that pass before the mail has gone out are no notice, and nothing is charged after them.
    assert until(lambda: not read(demo, "SELECT 1 FROM notification WHERE sent_at IS NULL LIMIT 1"))
    page.reload()
    judge(page)
    take(page, "autopay-on")


def test_announced_and_charged_ten_days_later(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page = open_page(PHONE)
    turn_on(page, live_demo, "testa@example.com", "JDC-1001", screenshots)
    ((cents,),) = read(live_demo, "SELECT amount_cents FROM autopay_charge ORDER BY id DESC LIMIT 1")
    told = page.get_by_text(re.compile(r"\$[\d,.]+ on ")).first.inner_text()
    assert f"${cents / 100:,.2f}" in told
    page.goto(live_demo.url)
    expect(page.get_by_text(f"Autopay will charge up to ${cents / 100:,.2f}")).to_be_visible()
    judge(page)
    screenshots(page, "autopay-start-page")
    to_the_charge(live_demo)
    live_demo.nudge()
    assert until(lambda: states(live_demo, "JDC-1001")[:1] == ["paid"])
    (captured,) = read(live_demo, "SELECT sum(amount_cents) FROM booking")
    assert captured[0] == cents
    page.goto(f"{live_demo.url}/accounts/{account(live_demo, 'JDC-1001')}/autopay")
    expect(page.get_by_text("Paid", exact=True)).to_be_visible()
    judge(page)
    screenshots(page, "autopay-paid")
    page.get_by_role("button", name="Stop autopay").click()
    expect(page.get_by_text("Autopay is off.", exact=False).first).to_be_visible()
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def test_a_declined_charge_and_a_bill_above_the_limit_are_told(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    """The card can be saved, and is declined when it is charged; Paula's limit is below her bill."""
    sam, paula = open_page(PHONE), open_page(PHONE)
    turn_on(sam, live_demo, "sam@example.com", "JDC-1002", screenshots, card=DECLINED_LATER, cap="90000")
    turn_on(
        paula, live_demo, "paula@example.com", "JDC-1003", screenshots, cap="1.00", first=ChargeState.ABOVE_CAP.value
    )
    paula.goto(f"{live_demo.url}/accounts/{account(live_demo, 'JDC-1003')}/autopay")
    expect(paula.get_by_text("Above your limit: not charged")).to_be_visible()
    judge(paula)
    screenshots(paula, "autopay-above-limit")
    to_the_charge(live_demo)
    live_demo.nudge()
    assert until(lambda: states(live_demo, "JDC-1002")[:1] == ["failed"])
    live_demo.nudge()
    sam.reload()
    expect(sam.get_by_text("Did not go through")).to_be_visible()
    expect(sam.get_by_text("Try another card, or call the number on the back of it.")).to_be_visible()
    judge(sam)
    screenshots(sam, "autopay-failed")
    assert states(live_demo, "JDC-1003") == ["above_cap"]
    assert read(live_demo, "SELECT count(*) FROM booking") == [(0,)]
    told = dict(read(live_demo, "SELECT subject, body FROM notification WHERE key LIKE 'autopay/%'"))
    assert "You have not been charged." in told["Your autopay charge did not go through"]
    assert "limit of $1.00" in told["A bill is above your autopay limit"]
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def test_the_link_in_the_mail_stops_it(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    turn_on(open_page(DESKTOP), live_demo, "paula@example.com", "JDC-1003", screenshots)
    rows = read(live_demo, "SELECT body FROM notification WHERE key LIKE '%/notice/%' ORDER BY id DESC LIMIT 1")
    link = re.search(r"http://\S+/autopay/stop/[0-9a-f]{32}", rows[0][0])
    assert link
    stranger = open_page(PHONE)
    stranger.goto(link[0])
    judge(stranger)
    screenshots(stranger, "autopay-stop-question")
    stranger.get_by_role("button", name="Stop autopay").click()
    expect(stranger.get_by_role("heading", name="Autopay is off")).to_be_visible()
    judge(stranger)
    screenshots(stranger, "autopay-stopped")
    to_the_charge(live_demo)
    live_demo.nudge()
    assert until(lambda: states(live_demo, "JDC-1003") == ["stopped"])
