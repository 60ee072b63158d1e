"""Several tabs, the back button, a bill that changes meanwhile; and a bill paid in full, with its papers."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pypdf
import pytest
from playwright.sync_api import Page, expect

from tests.browser import DESKTOP, PHONE, LiveDemo
from tests.e2e.test_story import GOOD, dollars, fill_card, judge, mails_to, read, reconciled, screenshots, sign_in
from tests.e2e.test_ways_to_pay import choose_amount, payment_id

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

__all__ = ["screenshots"]


def taken(demo: LiveDemo, account: str) -> int:
    """What the books say was taken for an account, in cents."""
    ((cents,),) = read(
        demo,
        "SELECT coalesce(sum(b.amount_cents), 0) FROM booking b JOIN account a ON a.id = b.account_id "
        f"WHERE a.ref = '{account}'",
    )
    return int(cents)


def test_tabs_with_different_amounts_and_the_back_button_pay_once(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    first = open_page(DESKTOP)
    sign_in(first, live_demo, "sam@example.com")
    choose_amount(first, live_demo, "JDC-1002", "5.00")
    second = first.context.new_page()
    second.set_default_timeout(15_000)
    choose_amount(second, live_demo, "JDC-1002", "7.00")

    # The first tab's intent was closed before the second one could be opened: its button takes nothing.
    fill_card(first, GOOD)
    first.locator("#pay-button").click()
    expect(first.get_by_text("That payment was closed. You have not been charged for it.")).to_be_visible()
    assert taken(live_demo, "JDC-1002") == 0

    fill_card(second, GOOD)
    second.locator("#pay-button").click()
    expect(second).to_have_url(re.compile("/receipt"))
    expect(second.locator("h1")).to_contain_text("$7.00")
    paid = payment_id(second)

    # Back from the receipt to the pay page, and once more to the choice; then forward and a reload.
    second.go_back()
    expect(second).to_have_url(re.compile(f"{paid}/receipt"))
    second.goto(f"{live_demo.url}/payments/{paid}")
    expect(second).to_have_url(re.compile("/receipt"))
    second.reload()
    expect(second.locator("h1")).to_contain_text("$7.00")
    # The choice sent again by a tab that was open all the time is a new choice, which nobody has confirmed.
    choose_amount(first, live_demo, "JDC-1002", "5.00")
    first.go_back()
    first.reload()
    result = reconciled(live_demo)
    (row,) = [one for one in result["accounts"] if one["account"] == "JDC-1002"]
    assert (row["captures_cents"], row["stripe_cents"], row["posted_cents"]) == (700, 700, 700)


def test_a_bill_that_changes_while_the_card_page_is_open_is_not_paid(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    page, desk = open_page(PHONE), open_page(DESKTOP)
    sign_in(page, live_demo, "testa@example.com")
    ((account_id, visit_id),) = read(
        live_demo,
        "SELECT a.public_id, v.public_id FROM visit v JOIN account a ON a.id = v.account_id WHERE v.ref = 'V-260604-1'",
    )
    # One chosen charge, and what it is for is shown before it is paid.
    page.goto(f"{live_demo.url}/accounts/{account_id}/pay?visit={visit_id}")
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.locator("#pay-form")).to_be_visible()
    expect(page.get_by_role("heading", name="What you are paying for")).to_be_visible()
    asked = dollars(page.locator("h1").inner_text())
    lines = page.locator(".pay-what .pair:not(.pair-total) dd")
    assert sum(dollars(lines.nth(one).inner_text()) for one in range(lines.count())) == asked

    sign_in(desk, live_demo, "staff@example.com")
    desk.goto(f"{live_demo.url}/desk/visits/{visit_id}")
    desk.get_by_role("link", name=re.compile("Put on hold")).first.click()
    desk.locator("input[type=radio]").first.check()
    desk.get_by_role("button", name="Put on hold").click()
    expect(desk.get_by_text("On hold since").first).to_be_visible()

    page.reload()
    expect(page.get_by_text("Your bill has changed, so this payment was closed")).to_be_visible()
    judge(page)
    screenshots(page, "bill-changed")
    assert read(live_demo, "SELECT state FROM payment ORDER BY id DESC LIMIT 1") == [("canceled",)]
    # Giving a payment up is a button, too.
    choose_amount(page, live_demo, "JDC-1001", "3.00")
    page.locator("#pay-cancel").click()
    expect(page.get_by_text("The payment was canceled. You have not been charged.")).to_be_visible()
    assert taken(live_demo, "JDC-1001") == 0


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_everything_is_paid_and_its_papers_are_there(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    page = open_page(size)
    sign_in(page, live_demo, "paula@example.com")
    ((account_id,),) = read(live_demo, "SELECT public_id FROM account WHERE ref = 'JDC-1003'")
    page.goto(f"{live_demo.url}/accounts/{account_id}/pay")
    due = dollars(page.locator(".choice-amount").first.inner_text())
    page.get_by_label("Everything I can pay now").check()
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.locator("#pay-form")).to_be_visible()
    expect(page.get_by_text("HSA and FSA cards are welcome").first).to_be_visible()
    fill_card(page, GOOD)
    page.locator("#pay-button").click()
    expect(page).to_have_url(re.compile("/receipt"))
    assert dollars(page.locator("h1").inner_text()) == due
    paid = payment_id(page)
    expect(page.get_by_text("You have nothing left to pay on this account right now")).to_be_visible()
    page.goto(f"{live_demo.url}/accounts/{account_id}/pay")
    expect(page.get_by_text("There is nothing to pay right now").first).to_be_visible()
    judge(page)
    assert reconciled(live_demo)["total"]["difference_cents"] == 0
    page.goto(f"{live_demo.url}/payments/{paid}/receipt")
    expect(page.locator(".progress-steps .is-done")).to_have_count(3)
    judge(page)
    screenshots(page, "receipt-in-full")

    # The papers, from the links that are there, as PDFs that read well aloud.
    receipt = page.get_by_role("link", name="Receipt as PDF").get_attribute("href")
    page.goto(f"{live_demo.url}/payments")
    judge(page)
    screenshots(page, "payments-list")
    year = page.get_by_role("link", name=re.compile(r"All receipts of \d{4} \(PDF\)")).get_attribute("href")
    for address in (receipt, year):
        answer = page.request.get(f"{live_demo.url}{address}")
        assert (answer.status, answer.headers["content-type"]) == (200, "application/pdf")
        pdf = pypdf.PdfReader(io.BytesIO(answer.body()))
        root = pdf.trailer["/Root"]
        assert root["/MarkInfo"]["/Marked"]
        assert "/StructTreeRoot" in root
        text = " ".join(" ".join(one.extract_text() for one in pdf.pages).split())
        for wanted in ("Juniper Demo Clinic", "Kit Pretendparent", "Date of service", f"${due / 100:,.2f}"):
            assert wanted in text, (address, wanted)
    (mail,) = mails_to(open_page(DESKTOP), live_demo, "paula@example.com", count=1)
    assert f"${due / 100:,.2f}" in mail
    assert "Pretendparent" not in mail
