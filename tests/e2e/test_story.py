"""The main job, end to end, through the pages of a running demo: understand a bill, pay it, ask about it.

Everything is real but the people and Stripe: gunicorn, the worker, the outbox, the books, a browser.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser import DESKTOP, PHONE, LiveDemo

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

DECLINED, GOOD_AFTER_3DS, GOOD = "4000000000000002", "4000002760003184", "4242424242424242"
#: What no mail may hold of anybody in the story.
SECRETS = ("testa", "demopatient", "paula", "pretendparent", "kit", "99213", "99214", "health plan", "copay")


@pytest.fixture
def screenshots() -> Callable[[Page, str], None]:
    """``screenshots(page, "home")`` keeps a picture where PLAINBILL_SCREENSHOTS says."""
    folder = os.environ.get("PLAINBILL_SCREENSHOTS")

    def take(page: Page, name: str) -> None:
        if folder:
            width = page.viewport_size["width"] if page.viewport_size else 0
            page.screenshot(path=str(Path(folder) / f"{name}-{width}.png"), full_page=True)

    return take


def judge(page: Page) -> None:
    """No accessibility violations, and nothing that has to be scrolled sideways."""
    page.wait_for_load_state()  # a frame without its document is no page to judge
    found = Axe().run(page).response["violations"]
    assert not found, [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]
    width = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    wide = page.evaluate(
        "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 "
        "&& !e.closest('.visually-hidden')).slice(0, 5).map(e => e.outerHTML.slice(0, 160))"
    )
    assert width[0] <= width[1], f"{page.url} is {width[0]} wide on a screen of {width[1]}: {wide}"


def sign_in(page: Page, demo: LiveDemo, email: str) -> None:
    page.goto(f"{demo.url}/sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(demo.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page).not_to_have_url(re.compile("sign-in"))


def dollars(text: str) -> int:
    """The first amount in a text, in cents."""
    found = re.search(r"\$([\d,]+)\.(\d\d)", text)
    assert found, text
    return int(found[1].replace(",", "")) * 100 + int(found[2])


def fill_card(page: Page, number: str) -> None:
    frame = page.frame_locator("#payment-element iframe")
    frame.locator("#number").fill(number)
    frame.locator("#expiry").fill("12 / 34")
    frame.locator("#cvc").fill("123")
    frame.locator("#postal").fill("60601")


def read(demo: LiveDemo, query: str) -> list[Any]:
    engine = sa.create_engine(demo.database_url)
    with engine.connect() as connection:
        rows = connection.execute(sa.text(query)).all()
    engine.dispose()
    return list(rows)


def reconciled(demo: LiveDemo) -> dict[str, Any]:
    """``portal reconcile --json`` once nothing is on its way any more; it must exit with 0."""
    until = time.monotonic() + 90
    while True:
        demo.nudge()
        done = subprocess.run(
            demo.command("reconcile", "--json"),
            env=demo.environment,
            capture_output=True,
            text=True,
            timeout=180,  # a loaded machine is no failure
        )
        assert done.returncode == 0, done.stdout + done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        if result["total"]["in_transit_cents"] == 0 or time.monotonic() > until:
            return result


@pytest.mark.parametrize(
    ("size", "email", "account", "visit_ref", "amount"),
    [
        (PHONE, "testa@example.com", "JDC-1001", "V-260707-1", "37.41"),
        (DESKTOP, "paula@example.com", "JDC-1003", "V-260712-1", "12.34"),
    ],
    ids=["phone", "desktop"],
)
def test_a_bill_is_understood_paid_asked_about_and_in_the_books(
    live_demo: LiveDemo,
    open_page: Callable[..., Page],
    screenshots: Callable[[Page, str], None],
    size: tuple[int, int],
    email: str,
    account: str,
    visit_ref: str,
    amount: str,
) -> None:
    cents = round(float(amount) * 100)
    page = open_page(size)
    page.goto(live_demo.url)
    judge(page)
    screenshots(page, "sign-in")
    sign_in(page, live_demo, email)

    # Home: what is due, as of when.
    judge(page)
    screenshots(page, "home")
    expect(page.get_by_text("As of").first).to_be_visible()
    due_before = dollars(page.locator("main").inner_text())

    # The visit: each charge, explained; and why it is owed, to the cent.
    ((visit_id,),) = read(live_demo, f"SELECT public_id FROM visit WHERE ref = '{visit_ref}'")
    page.locator(f"a[href*='{visit_id}']").first.click()
    judge(page)
    page.locator("details summary").first.click()
    screenshots(page, "visit")
    judge(page)
    page.get_by_role("link", name=re.compile("Why do I owe this")).first.click()
    judge(page)
    screenshots(page, "why")
    expect(page.get_by_text("Remittance from").first).to_be_visible()
    page.go_back()

    # Choosing: bad amounts get words, good ones go on.
    page.get_by_role("link", name="Pay for this visit").click()
    judge(page)
    page.get_by_label("Another amount").check()
    page.get_by_label("Amount", exact=True).fill("1e9")
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.get_by_text("numbers only").first).to_be_visible()
    judge(page)
    screenshots(page, "choose-error")
    page.get_by_label("Amount", exact=True).fill(amount)
    page.get_by_role("button", name="Continue", exact=True).click()

    # A declined card says what to do; nothing is taken.
    fill_card(page, DECLINED)
    screenshots(page, "pay")
    page.locator("#pay-button").click()
    expect(page.locator("#pay-error")).to_contain_text("You have not been charged")
    judge(page)
    screenshots(page, "declined")
    payment_id = page.url.rstrip("/").split("/")[-1]
    assert read(live_demo, f"SELECT 1 FROM entry WHERE source_id LIKE '{payment_id}/%'") == []

    # The next card asks for 3-D Secure and succeeds.
    fill_card(page, GOOD_AFTER_3DS)
    page.locator("#pay-button").click()
    page.frame_locator("iframe[src*='3d-secure']").get_by_role("button", name="Complete authentication").click()
    expect(page).to_have_url(re.compile("/receipt"))
    expect(page.locator("main")).to_contain_text(f"${amount}")
    judge(page)
    screenshots(page, "receipt")
    page.reload()
    page.goto(f"{live_demo.url}/payments/{payment_id}")  # the back button
    expect(page).to_have_url(re.compile("/receipt"))

    # The balance is less by that much, the books have it once, and they agree.
    page.goto(live_demo.url)
    assert dollars(page.locator("main").inner_text()) == due_before - cents
    result = reconciled(live_demo)
    assert result["total"]["difference_cents"] == 0
    (row,) = [one for one in result["accounts"] if one["account"] == account]
    assert (row["captures_cents"], row["stripe_cents"], row["posted_cents"]) == (cents, cents, cents)
    posted = read(
        live_demo,
        "SELECT l.book, l.account_ref, l.amount_cents FROM ledger_transaction t "
        f"JOIN ledger_line l ON l.transaction_id = t.id WHERE t.key = '{payment_id}' ORDER BY l.amount_cents",
    )
    assert [line[2] for line in posted if line[0] == "card_clearing"] == [cents]
    assert sum(line[2] for line in posted if line[0] == "patient_receivable") == -cents
    assert {line[1] for line in posted} == {account}

    # A question from the line; staff sees and answers it; the patient sees the answer.
    page.goto(f"{live_demo.url}/visits/{visit_id}")
    page.get_by_role("link", name=re.compile("Ask about this")).first.click()
    judge(page)
    screenshots(page, "ask")
    question = f"Why is this more than last time? <b>{size[0]}</b>"
    page.get_by_label(re.compile("question|message", re.IGNORECASE)).last.fill(question)
    page.get_by_role("button", name=re.compile("Send")).click()
    expect(page.get_by_text(question)).to_be_visible()
    judge(page)
    thread_id = page.url.rstrip("/").split("/")[-1]

    desk = open_page(DESKTOP)
    sign_in(desk, live_demo, "staff@example.com")
    judge(desk)
    screenshots(desk, "desk-inbox")
    desk.locator(f"a[href*='{thread_id}']").first.click()
    judge(desk)
    expect(desk.get_by_text(question)).to_be_visible()
    desk.get_by_label(re.compile("answer", re.IGNORECASE)).last.fill("The deductible starts anew each year.")
    screenshots(desk, "desk-thread")
    desk.get_by_role("button", name=re.compile("^Send")).click()
    expect(desk.get_by_text("The deductible starts anew each year.")).to_be_visible()

    page.goto(live_demo.url)
    screenshots(page, "home-after")
    page.goto(f"{live_demo.url}/messages/{thread_id}")
    expect(page.get_by_text("The deductible starts anew each year.")).to_be_visible()
    judge(page)
    screenshots(page, "thread")

    # The mails say that there is something, and nothing about anybody.
    mail = open_page(DESKTOP)
    texts = mails_to(mail, live_demo, email, count=2)
    assert any("payment" in text.lower() and f"${amount}" in text for text in texts)
    assert any("answer" in text.lower() for text in texts)
    for text in texts:
        for secret in SECRETS:
            assert secret not in text.lower().replace(email, "")
    screenshots(mail, "mail")

    # Signing out ends it.
    page.get_by_role("button", name="Sign out").first.click()
    page.goto(f"{live_demo.url}/visits/{visit_id}")
    expect(page).to_have_url(re.compile("sign-in"))


def mails_to(page: Page, demo: LiveDemo, email: str, *, count: int) -> list[str]:
    """The texts of the newest ``count`` mails to somebody, once they have come."""
    until = time.monotonic() + 90
    while True:
        demo.nudge()
        page.goto(demo.mail_url)
        rows = page.locator("tr, li").filter(has_text=email)
        if rows.count() >= count or time.monotonic() > until:
            break
    assert rows.count() >= count, page.locator("body").inner_text()
    addresses = [rows.nth(number).get_by_role("link").first.get_attribute("href") for number in range(count)]
    texts = []
    for address in addresses:
        page.goto(f"{demo.standin_url}{address}")
        texts.append(page.locator("main").inner_text())
    return texts


def test_a_double_click_and_a_second_tab_take_the_money_once(
    live_demo: LiveDemo, open_page: Callable[..., Page]
) -> None:
    first = open_page(DESKTOP)
    sign_in(first, live_demo, "sam@example.com")
    ((account_id,),) = read(live_demo, "SELECT public_id FROM account WHERE ref = 'JDC-1002'")
    first.goto(f"{live_demo.url}/accounts/{account_id}/pay")
    first.get_by_label("Another amount").check()
    first.get_by_label("Amount", exact=True).fill("5.00")
    first.get_by_role("button", name="Continue", exact=True).click()
    expect(first.locator("#pay-form")).to_be_visible()
    second = first.context.new_page()
    second.goto(first.url)
    expect(second.locator("#pay-form")).to_be_visible()
    fill_card(first, GOOD)
    fill_card(second, GOOD)
    first.locator("#pay-button").dblclick()
    expect(first).to_have_url(re.compile("/receipt"))
    second.locator("#pay-button").click()
    expect(second.locator("#pay-error").or_(second.get_by_text("Receipt").first).first).to_be_visible()
    result = reconciled(live_demo)
    (row,) = [one for one in result["accounts"] if one["account"] == "JDC-1002"]
    assert (row["captures_cents"], row["stripe_cents"], row["posted_cents"]) == (500, 500, 500)
