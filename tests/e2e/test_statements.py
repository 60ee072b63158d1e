"""The pages about statements, on a phone and at a desk."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser import DESKTOP, PHONE, LiveDemo
from tests.e2e.test_story import judge, read, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_statement_is_issued_and_found(
    live_demo: LiveDemo, open_page: Callable[..., Page], size: tuple[int, int]
) -> None:
    ((account_id,),) = read(live_demo, "SELECT public_id FROM account WHERE ref = 'JDC-1003'")
    desk = open_page(size)
    sign_in(desk, live_demo, "staff@example.com")
    desk.goto(f"{live_demo.url}/desk/accounts/{account_id}")
    judge(desk)
    desk.get_by_role("link", name="Issue a statement").click()
    judge(desk)
    desk.get_by_role("button", name="Issue the statement").click()
    expect(desk.get_by_text("is ready to print")).to_be_visible()
    judge(desk)
    number = read(live_demo, "SELECT number FROM statement ORDER BY id DESC LIMIT 1")[0][0]
    desk.get_by_role("link", name=f"Revoke the code {number}").click()
    judge(desk)

    patient = open_page(size)
    sign_in(patient, live_demo, "paula@example.com")
    judge(patient)
    patient.get_by_role("link", name="Statements we printed").click()
    expect(patient.get_by_role("link", name=f"Statement {number} (PDF)")).to_be_visible()
    judge(patient)
