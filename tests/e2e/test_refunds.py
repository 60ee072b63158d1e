"""Refunds in a browser: the desk asks, a supervisor approves, a bank sends one back, a credit is found and returned."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import DESKTOP, PHONE, LiveDemo, until
from tests.e2e.test_story import GOOD, fill_card, judge, read, reconciled, screenshots, sign_in
from tests.e2e.test_ways_to_pay import choose_amount

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

__all__ = ["screenshots"]

REFUND_FAILS = "4000000000005126"
Picture = Callable[[Page, str], None]

#: The insurer decides anew on Testa's visit of June 4: $18.00 of her copay of $30.00 is its own after all.
_HEAD = [
    "GS*HP*EHP01*JUNIPERDEMO*20261120*0600*26324001*X*005010X221A1",
    "ST*835*0001",
    "BPR*I*18*C*ACH*CCP*01*999999992*DA*1*1999999991**01*999999992*DA*2*20261120",
    "TRN*1*EHP-EFT-1120*1999999991",
    "DTM*405*20261120",
    "N1*PR*EXAMPLE HEALTH PLAN*XV*EHP01",
    "N1*PE*JUNIPER DEMO CLINIC*XX*1234567893",
    "LX*1",
]
_WHO = ["NM1*QC*1*DEMOPATIENT*TESTA****MI*EHP100001", "DTM*232*20260604", "DTM*233*20260604"]
_BEFORE = [
    "CLP*V-260604-1*22*-267*-96.2**12*EHP26155001*11*1",
    *_WHO,
    "SVC*HC:99213*-185*-82**1",
    "DTM*472*20260604",
    "CAS*CO*45*-73",
    "CAS*PR*3*-30",
    "REF*6R*1",
    "SVC*HC:80053*-64*-14.2**1",
    "DTM*472*20260604",
    "CAS*CO*45*-49.8",
    "REF*6R*2",
    "SVC*HC:36415*-18*-0**1",
    "DTM*472*20260604",
    "CAS*CO*97*-18",
    "REF*6R*3",
]
_AFTER = [
    "CLP*V-260604-1*1*267*114.2*12*12*EHP26155009*11*1",
    *_WHO,
    "SVC*HC:99213*185*100**1",
    "DTM*472*20260604",
    "CAS*CO*45*73",
    "CAS*PR*3*12",
    "REF*6R*1",
    "SVC*HC:80053*64*14.2**1",
    "DTM*472*20260604",
    "CAS*CO*45*49.8",
    "REF*6R*2",
    "SVC*HC:36415*18*0**1",
    "DTM*472*20260604",
    "CAS*CO*97*18",
    "REF*6R*3",
]


def correction() -> bytes:
    """The 835 file that makes the credit."""
    body = [*_HEAD[1:], *_BEFORE, *_AFTER]
    parties = f"ZZ*{'EHP01':<15}*ZZ*{'JUNIPERDEMO':<15}"
    isa = f"ISA*00*{'':10}*00*{'':10}*{parties}*261120*0600*^*00501*026324001*0*T*:"
    segments = [isa, _HEAD[0], *body, f"SE*{len(body) + 1}*0001", "GE*1*26324001", "IEA*1*026324001"]
    return "~\n".join(segments).encode() + b"~\n"


def pay(page: Page, demo: LiveDemo, account: str, amount: str, card: str) -> str:
    """Pay an amount by card; the payment's public id."""
    choose_amount(page, demo, account, amount)
    payment_id = page.url.rstrip("/").split("/")[-1]
    fill_card(page, card)
    page.locator("#pay-button").click()
    expect(page).to_have_url(re.compile("/receipt"))
    return payment_id


def ask(desk: Page, demo: LiveDemo, account: str, payment_id: str, amount: str, why: str, picture: Picture) -> None:
    """From the account to the refund's page, by an amount (all of it for an empty one)."""
    ((account_id,),) = read(demo, f"SELECT public_id FROM account WHERE ref = '{account}'")
    desk.goto(f"{demo.url}/desk/accounts/{account_id}")
    desk.locator(f"a[href*='{payment_id}/refund']").click()
    judge(desk)
    if amount:
        desk.get_by_label("An amount").check()
        desk.get_by_label("Amount", exact=True).fill(amount)
    desk.get_by_label(why).check()
    desk.get_by_label("What happened").fill("Called this morning.")
    picture(desk, "refund-form")
    desk.get_by_role("button", name="See what will happen").click()
    judge(desk)
    picture(desk, "refund-confirm")


def state_of(demo: LiveDemo, payment_id: str, state: str) -> bool:
    query = f"SELECT r.state FROM refund r JOIN payment p ON p.id = r.payment_id WHERE p.public_id = '{payment_id}'"
    return [row[0] for row in read(demo, query)] == [state]


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_large_refund_is_approved_by_somebody_else_and_the_patient_sees_it(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture, size: tuple[int, int]
) -> None:
    patient, desk, boss = open_page(size), open_page(size), open_page(size)
    sign_in(patient, live_demo, "sam@example.com")
    payment_id = pay(patient, live_demo, "JDC-1002", "120.00", GOOD)
    sign_in(desk, live_demo, "staff@example.com")
    ask(desk, live_demo, "JDC-1002", payment_id, "", "The patient asked for it", screenshots)
    expect(desk.get_by_text("A supervisor who is someone else looks at it first")).to_be_visible()
    expect(desk.get_by_text("goes on hold, because").first).to_be_visible()
    desk.get_by_role("button", name="Ask a supervisor").click()
    expect(desk.get_by_text("Somebody else has to approve this")).to_be_visible()
    expect(desk.get_by_role("button", name="Approve this refund")).to_have_count(0)
    judge(desk)
    screenshots(desk, "refund-waits")
    address = desk.url

    sign_in(boss, live_demo, "supervisor@example.com")
    boss.goto(f"{live_demo.url}/desk/refunds")
    judge(boss)
    screenshots(boss, "refunds-todo")
    boss.goto(address)
    judge(boss)
    screenshots(boss, "refund-decide")
    boss.get_by_role("button", name="Approve this refund").click()
    assert until(lambda: state_of(live_demo, payment_id, "succeeded"))
    boss.reload()
    expect(boss.get_by_text("Approved by")).to_be_visible()
    screenshots(boss, "refund-sent")

    patient.goto(f"{live_demo.url}/payments/{payment_id}/refunds")
    judge(patient)
    expect(patient.get_by_text("We sent $120.00 back to Visa ending 4242 on")).to_be_visible()
    screenshots(patient, "patient-refund")
    patient.goto(live_demo.url)
    judge(patient)
    screenshots(patient, "patient-home-refund")
    held = read(live_demo, "SELECT count(*) FROM hold WHERE reason = 'refunded' AND released_at IS NULL")
    assert held[0][0] > 0
    desk.goto(f"{live_demo.url}/desk/to-check")
    expect(desk.get_by_text("A payment of this charge was refunded").first).to_be_visible()
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def test_a_chosen_charge_is_given_back_and_the_rest_stays_paid(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture
) -> None:
    patient, desk = open_page(PHONE), open_page(PHONE)
    sign_in(patient, live_demo, "testa@example.com")
    ((account_id,),) = read(live_demo, "SELECT public_id FROM account WHERE ref = 'JDC-1001'")
    patient.goto(f"{live_demo.url}/accounts/{account_id}/pay")
    patient.get_by_label("Choose visits or charges").check()
    lines = patient.locator("input[name=lines]")
    lines.nth(0).check()
    lines.nth(1).check()
    patient.get_by_role("button", name="Continue", exact=True).click()
    expect(patient.locator("#pay-form")).to_be_visible()
    payment_id = patient.url.rstrip("/").split("/")[-1]
    fill_card(patient, GOOD)
    patient.locator("#pay-button").click()
    expect(patient).to_have_url(re.compile("/receipt"))
    parts = read(
        live_demo,
        "SELECT c.public_id, x.amount_cents FROM allocation x JOIN charge c ON c.id = x.charge_id "
        f"JOIN payment p ON p.id = x.payment_id WHERE p.public_id = '{payment_id}' ORDER BY x.amount_cents",
    )
    assert len(parts) == 2

    sign_in(desk, live_demo, "staff@example.com")
    desk.goto(f"{live_demo.url}/desk/accounts/{account_id}")
    desk.locator(f"a[href*='{payment_id}/refund']").click()
    desk.get_by_label("Chosen charges, in full").check()
    desk.locator(f"input[name=lines][value='{parts[0][0]}']").check()
    desk.get_by_label("Paid twice").check()
    desk.get_by_label("What happened").fill("Paid at the front desk, too.")
    judge(desk)
    screenshots(desk, "refund-line-form")
    desk.get_by_role("button", name="See what will happen").click()
    amount = f"${parts[0][1] / 100:,.2f}"
    judge(desk)
    screenshots(desk, "refund-line-confirm")
    desk.get_by_role("button", name=f"Give back {amount}").dblclick()
    assert until(lambda: state_of(live_demo, payment_id, "succeeded"))
    patient.goto(f"{live_demo.url}/payments/{payment_id}/receipt")
    expect(patient.get_by_text("We sent you back").first).to_be_visible()
    judge(patient)
    screenshots(patient, "receipt-part-refunded")
    patient.goto(f"{live_demo.url}/payments")
    expect(patient.get_by_text(f"{amount} of it was sent back to you")).to_be_visible()
    left = read(
        live_demo,
        "SELECT c.public_id, sum(x.amount_cents) FROM booking_part x JOIN charge c ON c.id = x.charge_id "
        "GROUP BY c.public_id ORDER BY 2",
    )
    assert left == [(parts[0][0], 0), (parts[1][0], parts[1][1])]
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def test_a_refund_that_the_bank_sends_back_comes_back_to_the_desk(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture
) -> None:
    patient, desk, bank = open_page(PHONE), open_page(DESKTOP), open_page(DESKTOP)
    sign_in(patient, live_demo, "sam@example.com")
    payment_id = pay(patient, live_demo, "JDC-1002", "30.00", REFUND_FAILS)
    sign_in(desk, live_demo, "staff@example.com")
    ask(desk, live_demo, "JDC-1002", payment_id, "20.00", "Goodwill", screenshots)
    desk.get_by_role("button", name="Give back $20.00").click()
    address = desk.url
    assert until(lambda: state_of(live_demo, payment_id, "succeeded"))
    # The card's own time is two days; the button beside the refund does not wait.
    bank.goto(live_demo.standin_url)
    bank.get_by_role("button", name=re.compile("Fail this refund.*20.00")).first.click()
    assert until(lambda: state_of(live_demo, payment_id, "failed"))
    desk.goto(f"{live_demo.url}/desk/refunds")
    judge(desk)
    expect(desk.get_by_text("Call the patient").first).to_be_visible()
    screenshots(desk, "refunds-failed")
    desk.goto(address)
    judge(desk)
    screenshots(desk, "refund-failed")
    patient.goto(live_demo.url)
    judge(patient)
    expect(patient.get_by_text("Your bank did not take our refund of $20.00").first).to_be_visible()
    screenshots(patient, "patient-refund-failed")
    desk.get_by_label("What you did").fill("Called; a check for $20.00 is in the mail.")
    desk.get_by_role("button", name="I have dealt with it").click()
    expect(desk.get_by_text("Noted. It is off the list.")).to_be_visible()
    judge(desk)
    assert reconciled(live_demo)["total"]["difference_cents"] == 0


def test_a_credit_is_found_promised_by_a_day_and_returned(
    live_demo: LiveDemo, open_page: Callable[..., Page], screenshots: Picture, tmp_path: Path
) -> None:
    patient, desk = open_page(PHONE), open_page(DESKTOP)
    sign_in(patient, live_demo, "testa@example.com")
    ((account_id, charge_id),) = read(
        live_demo,
        "SELECT a.public_id, c.public_id FROM charge c JOIN visit v ON v.id = c.visit_id "
        "JOIN account a ON a.id = v.account_id WHERE v.ref = 'V-260604-1' AND c.code = '99213'",
    )
    patient.goto(f"{live_demo.url}/accounts/{account_id}/pay")
    patient.get_by_label("Choose visits or charges").check()
    patient.locator(f"input[value='{charge_id}']").check()
    if patient.get_by_label("Another card or bank account").count():
        patient.get_by_label("Another card or bank account").check()
    patient.get_by_role("button", name="Continue", exact=True).click()
    expect(patient.locator("#pay-form")).to_be_visible()
    payment_id = patient.url.rstrip("/").split("/")[-1]
    fill_card(patient, GOOD)
    patient.locator("#pay-button").click()
    expect(patient).to_have_url(re.compile("/receipt"))

    file = tmp_path / "correction.835"
    file.write_bytes(correction())
    sign_in(desk, live_demo, "staff@example.com")
    desk.goto(f"{live_demo.url}/desk/remittances")
    desk.locator("input[type=file]").set_input_files(file)
    desk.get_by_role("button", name="Load file").click()
    assert until(lambda: state_of(live_demo, payment_id, "approved"))

    patient.goto(live_demo.url)
    judge(patient)
    promise = "We owe you $18.00. We will send it back to Visa ending 4242 by"
    expect(patient.get_by_text(promise).first).to_be_visible()
    screenshots(patient, "patient-credit")
    ((visit_id,),) = read(live_demo, "SELECT public_id FROM visit WHERE ref = 'V-260604-1'")
    patient.goto(f"{live_demo.url}/visits/{visit_id}")
    judge(patient)
    expect(patient.get_by_text(promise).first).to_be_visible()
    screenshots(patient, "patient-credit-visit")

    desk.goto(f"{live_demo.url}/desk/refunds?list=scheduled")
    judge(desk)
    screenshots(desk, "refunds-planned")
    desk.get_by_role("link", name=re.compile("Testa Demopatient")).first.click()
    judge(desk)
    screenshots(desk, "refund-planned")
    desk.get_by_role("button", name="Send it today").click()
    assert until(lambda: state_of(live_demo, payment_id, "succeeded"))
    patient.goto(f"{live_demo.url}/payments/{payment_id}/refunds")
    judge(patient)
    expect(patient.get_by_text("We sent $18.00 back to Visa ending 4242 on")).to_be_visible()
    assert reconciled(live_demo)["total"]["difference_cents"] == 0
