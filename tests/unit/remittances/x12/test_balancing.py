"""Each balancing rule broken alone, and what is no imbalance."""

from __future__ import annotations

import pytest

from portal.money import Money
from portal.remittances.x12.balancing import Reason, imbalances, patient_share, patient_share_flags

from .builder import CLAIM, group, interchange, only, read, simple, transaction


def broken(old: str, new: str, *, paid: str = "140") -> list[tuple[str, str | None, int | None, int]]:
    """Reason name, claim, line and difference of every imbalance once ``old`` is ``new``."""
    assert old in CLAIM
    found = only(simple([new if segment == old else segment for segment in CLAIM], paid=paid))
    return [(each.reason.name, each.claim, each.line, each.difference.cents) for each in imbalances(found)]


def test_a_remittance_that_adds_up() -> None:
    assert imbalances(only(simple())) == []
    assert patient_share_flags(only(simple())) == []


def test_a_line_whose_adjustments_do_not_explain_it() -> None:

    assert broken("CAS*CO*45*30", "CAS*CO*45*29.99") == [
        ("LINE", "ACCT-1", 2, 1),
        ("CLAIM", "ACCT-1", None, 1),
    ]


def test_a_claim_whose_own_adjustments_do_not_explain_it() -> None:
    assert broken("CAS*CO*131*10", "CAS*CO*131*10.01") == [("CLAIM", "ACCT-1", None, -1)]


def test_lines_that_do_not_add_up_to_the_claim() -> None:
    old = "CLP*ACCT-1*1*250*140*25*12*PAYER-1*11*1"
    assert broken(old, "CLP*ACCT-1*1*251*141*25", paid="141") == [("LINE_CHARGES", "ACCT-1", None, 100)]


def test_a_payment_that_is_not_its_claims() -> None:
    (found,) = imbalances(only(simple(paid="139.99")))
    assert (found.reason, found.transaction, found.claim, found.difference) == (
        Reason.TRANSACTION,
        "0001",
        None,
        Money(-1),
    )
    assert found.segment == 3


def test_provider_adjustments_lower_the_payment() -> None:
    plb = "PLB*1*20261231*WO:X*15*L6*-5"
    assert imbalances(only(simple([*CLAIM, plb], paid="130"))) == []
    (found,) = imbalances(only(simple([*CLAIM, plb], paid="150")))
    assert found.difference == Money(2000)


def test_a_debit_pays_the_provider_as_a_credit_does() -> None:
    assert imbalances(only(simple().replace(b"*140*C*", b"*140*D*"))) == []


def test_an_institutional_claim_without_lines_balances_by_itself() -> None:
    assert imbalances(only(simple(["CLP*H-1*1*1000*600**MA*P", "CAS*CO*45*400"], paid="600"))) == []


def test_a_reversal_balances_with_negative_amounts() -> None:
    body = ["CLP*ACCT-1*22*-250*-140*25*12*P", "SVC*HC:1*-250*-140", "CAS*CO*45*-85", "CAS*PR*1*-25", *CLAIM]
    found = only(simple(body, paid="0"))
    assert imbalances(found) == []
    # CLP05 is not used on reversals, whatever it says.
    assert patient_share_flags(found) == []
    assert patient_share(found.adjustments) == Money.zero()


def test_a_service_line_outside_any_claim_is_an_imbalance() -> None:
    (found,) = imbalances(only(simple(["SVC*HC:1*5*5", *CLAIM])))
    assert (found.reason, found.claim, found.line, found.difference) == (Reason.STRAY_LINE, None, 1, Money(500))


def test_an_unreadable_amount_is_an_imbalance_even_if_the_sums_agree() -> None:
    assert broken("AMT*AU*200", "AMT*AU*x") == [("UNREADABLE_AMOUNT", "ACCT-1", None, 0)]


def test_a_missing_amount_is_left_to_the_sums() -> None:
    assert imbalances(only(simple([*CLAIM, "CLP*ACCT-2*22"]))) == []
    assert [reason for reason, *_ in broken("SVC*HC:81002*100*50", "SVC*HC:81002")] == ["LINE", "LINE_CHARGES"]


def test_a_cut_transaction_is_an_imbalance_even_if_the_sums_agree() -> None:
    data = simple()
    (found,) = imbalances(only(data[: data.index(b"SE*")]))
    assert (found.reason, found.segment) == (Reason.CUT, 37)


def test_a_wrong_segment_count_is_not() -> None:
    found = only(simple().replace(b"SE*36*", b"SE*99*"))
    assert found.errors
    assert imbalances(found) == []


def test_other_transactions_are_judged_by_themselves() -> None:
    data = interchange(
        group(transaction(CLAIM, paid="1", control="0001"), transaction(CLAIM, paid="140", control="0002"))
    )
    assert [bool(imbalances(each)) for each in read(data)[0]] == [True, False]


@pytest.mark.parametrize(("stated", "difference"), [("25", None), ("", None), ("0", -2500), ("30", 500)])
def test_patient_responsibility_that_is_not_the_pr_adjustments_is_a_flag_only(
    stated: str, difference: int | None
) -> None:
    body = [segment.replace("*250*140*25*", f"*250*140*{stated}*") for segment in CLAIM]
    found = only(simple(body))
    assert imbalances(found) == []
    assert [flag.difference.cents for flag in patient_share_flags(found)] == (
        [] if difference is None else [difference]
    )


def test_explanations_name_the_line() -> None:
    found = only(simple([segment.replace("CAS*CO*45*30", "CAS*CO*45*3") for segment in CLAIM]))
    line, claim = imbalances(found)
    assert line.explanation == f"line 2: {Reason.LINE}"
    assert (line.segment, claim.segment, claim.explanation) == (32, 14, str(Reason.CLAIM))
