"""Decisions that leave open whose a line is: nobody is asked (docs/remittances.md, "Held")."""

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.billing.balance import LineState
from portal.billing.models import Hold
from portal.billing.queries import Line, lines_of_account
from portal.db import writing
from tests.unit.remittances.books import assert_books_agree, claim, load, payment, remittance

FIRST = remittance(payment(claim(), paid=60))


def bring(session: Session, *files: bytes) -> None:
    with writing():
        for number, data in enumerate(files):
            report = load(session, data, name=f"{number}.835")
            assert report.loaded == report.transactions, report.reasons


SECOND = "SAMPLE SUPPLEMENT"


def then(*claims: list[str], paid: int, trace: str = "EFT-2", payer: str = SECOND) -> bytes:
    """Another payer's file."""
    return remittance(
        payment(*claims, paid=paid, trace=trace, payer=payer, payer_id="1888888888"), control="000000010"
    )


def lines(session: Session) -> list[Line]:
    session.rollback()
    ids = session.scalars(sa.text("SELECT id FROM account ORDER BY id")).all()
    found = [line for account_id in ids for line in lines_of_account(session, account_id)]
    session.rollback()
    return found


def asked(session: Session) -> int:
    """What may be asked for in all, in cents."""
    return sum(line.payable.cents for line in lines(session))


def secondary(*, share: int, paid: int, **facts: object) -> list[str]:
    """What a second payer says of the first's claim: 85 dealt with before, ``paid`` and ``share`` of the rest."""
    told = f"CAS*OA*23*{100 - share - paid}"
    return claim(status="2", paid=paid, contractual=0, share=share, other=[told], **facts)  # type: ignore[arg-type]


def test_a_second_payer_with_a_member_id_of_its_own_is_about_the_same_visit(session: Session) -> None:
    bring(session, FIRST, then(secondary(share=5, paid=10, member="OTHER-9"), paid=10))
    assert [(line.sums.billed.cents, line.payable.cents) for line in lines(session)] == [(10000, 500)]
    assert_books_agree(session)


def test_one_payer_with_two_member_ids_speaks_of_two_people(session: Session) -> None:
    bring(session, FIRST, then(claim(member="MEM-2"), paid=60, payer="EXAMPLE HEALTH PLAN"))
    assert [line.payable.cents for line in lines(session)] == [1500, 1500]
    assert len({line.account_id for line in lines(session)}) == 2
    assert_books_agree(session)


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(secondary(share=5, paid=10, code="99212"), id="another code"),
        pytest.param(
            [segment for segment in secondary(share=5, paid=10) if not segment.startswith(("SVC", "DTM*472"))],
            id="no lines",
        ),
    ],
)
def test_a_later_decision_that_fits_no_line_holds_the_visit(session: Session, later: list[str]) -> None:
    bring(session, FIRST, then(later, paid=10))
    assert asked(session) == 0
    assert any(line.state is LineState.ON_HOLD for line in lines(session))
    assert_books_agree(session)


def test_a_reversal_that_fits_no_line_holds_the_visit(session: Session) -> None:
    whole = [
        segment
        for segment in claim(status="22", billed=-100, paid=-60, contractual=-25, share=-15)
        if not segment.startswith(("SVC", "DTM*472"))
    ]
    other = claim("V-9", member="MEM-9", family="OTHERSON")
    bring(session, FIRST, then(whole, other, paid=0))
    held = [line for line in lines(session) if line.state is LineState.ON_HOLD]
    assert [line.sums.due.cents for line in held] == [1500]
    assert_books_agree(session)


def test_a_claim_sent_on_to_the_next_payer_waits_for_it(session: Session) -> None:
    bring(session, remittance(payment(claim(status="19"), paid=60)))
    assert [line.state for line in lines(session)] == [LineState.ON_HOLD]
    bring(session, then(secondary(share=5, paid=10), paid=10))
    assert asked(session) == 500
    assert session.scalars(sa.select(Hold.released_at)).all() != [None]
    session.rollback()


def test_modifiers_in_another_order_are_the_same_line(session: Session) -> None:
    def coded(segments: list[str], modifiers: str) -> list[str]:
        return [segment.replace("HC:99213", f"HC:99213:{modifiers}") for segment in segments]

    bring(
        session,
        remittance(payment(coded(claim(), "25:59"), paid=60)),
        then(coded(secondary(share=5, paid=10), "59:25"), paid=10),
    )
    assert [(line.sums.billed.cents, line.payable.cents) for line in lines(session)] == [(10000, 500)]


def test_the_clinics_line_number_tells_two_equal_lines_apart(session: Session) -> None:
    def line(number: str, sign: int = 1, share: int = 15) -> list[str]:
        rest = 40 - share
        return [
            f"SVC*HC:97110*{sign * 100}*{sign * 60}",
            "DTM*472*20251210",
            f"CAS*CO*45*{sign * rest}",
            f"CAS*PR*2*{sign * share}",
            f"REF*6R*{number}",
        ]

    name = "NM1*QC*1*SAMPLESON*ANNA****MI*MEM-1"
    both = ["CLP*V-1*1*200*120*30*12*P1*11*1", name, *line("A"), *line("B")]
    back = ["CLP*V-1*22*-100*-60**12*P1*11*1", name, *line("B", -1)]
    other = claim("V-9", member="MEM-9", family="OTHERSON", paid=60)
    bring(session, remittance(payment(both, paid=120)), then(back, other, paid=0))
    first, second = [one for one in lines(session) if one.code == "97110"]
    assert (first.state, second.state) == (LineState.PAYABLE, LineState.WITH_INSURER)
    assert_books_agree(session)


def test_a_second_payers_reversal_and_correction_end_where_they_should(session: Session) -> None:
    undone = claim(status="22", billed=-100, paid=-10, contractual=0, share=-5, other=["CAS*OA*23*-85"])
    bring(
        session,
        FIRST,
        then(secondary(share=5, paid=10), paid=10),
        remittance(
            payment(undone, secondary(share=2, paid=13), paid=3, trace="EFT-3", payer=SECOND, payer_id="1888888888"),
            control="000000011",
        ),
    )
    assert asked(session) == 200
    assert_books_agree(session)
