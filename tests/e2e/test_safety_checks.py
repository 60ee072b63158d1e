"""A charge that the safety check stopped, in a browser: the patient reads why, the desk releases it, it can be paid."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser import DESKTOP, PHONE, LiveDemo
from tests.e2e.test_story import GOOD, fill_card, judge, read, reconciled, screenshots, sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

__all__ = ["screenshots"]


def test_a_held_charge_is_explained_released_and_paid(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Callable[[Page, str], None]
) -> None:
    patient, desk = open_page(PHONE), open_page(DESKTOP)
    (visit,) = read(live_demo, "SELECT public_id FROM visit WHERE ref = 'V-261009-1'")
    sign_in(patient, live_demo, "carla@example.com")
    patient.goto(f"{live_demo.url}/visits/{visit[0]}")
    expect(patient.get_by_text("Nothing to pay for this visit right now")).to_be_visible()
    patient.get_by_text("We checked this bill: 13 checks, 12 fine, 1 we are looking at").click()
    expect(patient.get_by_text("Preventive care is free where the law says so")).to_be_visible()
    judge(patient)
    screenshots(patient, "checked-held")

    sign_in(desk, live_demo, "staff@example.com")
    desk.goto(f"{live_demo.url}/desk/to-check")
    judge(desk)
    screenshots(desk, "to-check")
    task = desk.locator("tbody.item").filter(has_text="A share of a preventive service")
    task.get_by_role("link", name="Take off hold").click()
    expect(desk.get_by_text("What the safety check found")).to_be_visible()
    judge(desk)
    desk.get_by_label("What you found").fill("The plan is grandfathered and may charge for it.")
    desk.get_by_role("button", name="Take off hold").click()
    expect(desk.get_by_text("The charge is off hold.")).to_be_visible()

    patient.reload()
    expect(patient.get_by_text("We checked this bill: 13 checks, all fine")).to_be_visible()
    judge(patient)
    patient.get_by_role("link", name="Pay for this visit").click()
    patient.get_by_role("button", name="Continue", exact=True).click()
    fill_card(patient, GOOD)
    patient.locator("#pay-button").click()
    expect(patient).to_have_url(re.compile("/receipt"))
    assert reconciled(live_demo)["total"]["difference_cents"] == 0
