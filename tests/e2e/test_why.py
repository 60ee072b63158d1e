"""Why do I owe this, and the glossary one tap away: in a browser that runs no scripts, with the keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import DESKTOP, PHONE, LiveDemo
from tests.e2e.test_story import dollars, judge, read, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NARROW = (320, 700)


@pytest.fixture
def without_scripts(browser: Browser) -> Iterator[Page]:
    """A phone on which scripts are turned off."""
    context = browser.new_context(
        viewport={"width": PHONE[0], "height": PHONE[1]}, java_script_enabled=False, locale="en-US"
    )
    page = context.new_page()
    page.set_default_timeout(15_000)
    yield page
    context.close()


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim()"))


def open_cards(page: Page) -> list[str]:
    return list(page.evaluate("[...document.querySelectorAll('.term-card:popover-open')].map(card => card.id)"))


def why_of_the_office_visit(demo: LiveDemo) -> str:
    ((charge_id,),) = read(
        demo,
        "SELECT c.public_id FROM charge c JOIN visit v ON v.id = c.visit_id "
        "WHERE v.ref = 'V-260604-1' AND c.code = '99213'",
    )
    return f"{demo.url}/charges/{charge_id}/why"


def test_without_scripts_a_word_opens_by_tap_and_by_keyboard_and_every_trace_is_there(
    live_demo: LiveDemo, without_scripts: Page
) -> None:
    page = without_scripts
    sign_in(page, live_demo, "testa@example.com")
    page.goto(why_of_the_office_visit(live_demo))
    word = page.locator(".term", has_text=re.compile("^copay$", re.IGNORECASE)).first
    card = page.locator("#term-copay")
    expect(card).to_be_hidden()

    # By tap: it opens where the word stands, and lies on the page whole.
    word.click()
    expect(card).to_be_visible()
    expect(card).to_contain_text("fixed amount")
    box, near = card.bounding_box(), word.bounding_box()
    assert box
    assert near
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE[0]
    assert abs(box["y"] - near["y"]) < 300
    card.get_by_role("button", name="Close").click()
    expect(card).to_be_hidden()

    # By keyboard: Enter opens, Tab goes into it, Escape closes and the focus is back on the word.
    word.focus()
    page.keyboard.press("Enter")
    assert open_cards(page) == ["term-copay"]
    page.keyboard.press("Tab")
    assert focused(page) == "All billing words"
    page.keyboard.press("Escape")
    assert open_cards(page) == []
    assert focused(page).lower() == "copay"

    # A screen reader hears a button.
    assert re.search(r'button "copay"', page.locator("main").aria_snapshot(), re.IGNORECASE)

    # The link in it leads to the same word in the list of all.
    word.click()
    card.get_by_role("link", name="All billing words").click()
    expect(page).to_have_url(re.compile("/glossary#copay"))
    expect(page.locator("#copay")).to_be_visible()

    # The account, its visits, their charges: what is due, drawn and in words.
    page.goto(live_demo.url)
    page.get_by_role("link", name=re.compile("Why do I owe this")).click()
    due = dollars(page.locator(".big-amount-value").inner_text())
    picture = page.get_by_role("table", name="Where the money went")
    assert dollars(picture.get_by_role("row").last.inner_text()) == due
    bars = page.locator(".flow-part")
    boxes = [bars.nth(number).bounding_box() for number in range(bars.count())]
    assert len(boxes) > 4
    assert all(box and box["width"] > 1 for box in boxes)
    page.locator(".added-name a", has_text="Jun 4, 2026").click()
    page.locator("details summary").first.click()
    expect(page.get_by_text("Remittance from").first).to_be_visible()
    page.goto(live_demo.url)
    page.get_by_role("link", name="Statements we printed").click()
    page.get_by_role("link", name=re.compile("What changed since")).click()
    expect(page.get_by_text("That is the same as when it was printed.")).to_be_visible()


def test_every_trace_is_accessible_and_nothing_is_too_wide(
    live_demo: LiveDemo, open_page: Callable[..., Page]
) -> None:
    page = open_page(DESKTOP)
    sign_in(page, live_demo, "testa@example.com")
    ((visit_id,), *_rest) = read(live_demo, "SELECT public_id FROM visit WHERE ref = 'V-260604-1'")
    ((account_id, statement_id),) = read(
        live_demo,
        "SELECT a.public_id, s.public_id FROM account a JOIN statement s ON s.account_id = a.id "
        "WHERE a.ref = 'JDC-1001'",
    )
    for address in (
        why_of_the_office_visit(live_demo),
        f"{live_demo.url}/visits/{visit_id}/why",
        f"{live_demo.url}/visits/{visit_id}",
        f"{live_demo.url}/accounts/{account_id}/why",
        f"{live_demo.url}/statements/{statement_id}/why",
        f"{live_demo.url}/accounts/{account_id}/statements",
    ):
        for width, height in (PHONE, DESKTOP, NARROW):
            page.set_viewport_size({"width": width, "height": height})
            page.goto(address)
            page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")
            judge(page)
    page.goto(why_of_the_office_visit(live_demo))
    page.locator(".term").first.click()
    expect(page.locator(".term-card").first).to_be_visible()
    judge(page)
