"""The figures of a file: of small ones by hand, of the shared samples by an independent count."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from portal.remittances.x12.balancing import Reason
from portal.remittances.x12.errors import NotA835
from portal.remittances.x12.inspect import inspect_file
from tests.shared_data import shared_path

from .builder import CLAIM, Marks, group, interchange, simple, transaction


def test_the_shape(tmp_path: Path) -> None:
    path = tmp_path / "one.835"
    path.write_bytes(simple())
    found = inspect_file(path)
    assert json.loads(json.dumps(found)) == {
        "file": str(path),
        "interchanges": 1,
        "transactions": 1,
        "claims": 1,
        "service_lines": 2,
        "charge_cents": 25000,
        "paid_cents": 14000,
        "patient_responsibility_cents": 2500,
        "adjustment_cents": {"CO": 8500, "OA": 0, "PR": 2500},
        "quarantined": [],
        "errors": [],
    }
    assert inspect_file(str(path)) == found


def test_totals_count_what_is_quarantined_and_what_stands_outside_claims(tmp_path: Path) -> None:
    path = tmp_path / "two.835"
    bad = transaction(["SVC*HC:1*5*4", "CAS*PR*1*1", *CLAIM, "CLP*ACCT-2*1"], paid="140", control="0002")
    good = interchange(group(transaction(CLAIM, paid="140")))
    path.write_bytes(good + interchange(group(bad), marks=Marks("|", ">", "\n")) + b"REF|X\n")
    found = inspect_file(path)
    assert (found["interchanges"], found["transactions"], found["claims"], found["service_lines"]) == (2, 2, 3, 5)
    assert (found["charge_cents"], found["paid_cents"]) == (50000, 28000)
    assert found["patient_responsibility_cents"] == 5100
    assert found["adjustment_cents"] == {"CO": 17000, "OA": 0, "PR": 5100}
    assert found["quarantined"] == [
        {"transaction": "0002", "claim": None, "reason": f"line 1: {Reason.STRAY_LINE}", "difference_cents": 500}
    ]
    places = [int(text.split()[1]) for text in found["errors"]]
    assert places == sorted(places)
    assert len(places) == 4


def test_a_claim_whose_patient_share_differs_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "flag.835"
    path.write_bytes(simple([segment.replace("*140*25*", "*140*30*") for segment in CLAIM]))
    found = inspect_file(path)
    assert found["quarantined"] == []
    assert found["errors"] == [
        f"segment 14 (CLP), transaction 0001, claim 1: {Reason.PATIENT_SHARE}; difference $5.00"
    ]


def test_what_is_not_an_835_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear clinic")
    with pytest.raises(NotA835, match=r"letter\.txt is not an X12 835 remittance"):
        inspect_file(path)
    with pytest.raises(FileNotFoundError):
        inspect_file(tmp_path / "absent")


def counted(path: Path) -> dict[str, object]:
    """The figures by cutting the text at ~ and *: no envelope, no loops, no code of ours."""
    rows = [part.strip().split("*") for part in path.read_text("utf-8-sig").split("~")]

    def amount(row: list[str], place: int) -> Decimal:
        return Decimal(row[place]) if len(row) > place and row[place] else Decimal(0)

    groups: dict[str, Decimal] = {}
    for row in rows:
        if row[0] == "CAS":
            groups[row[1]] = groups.get(row[1], Decimal(0)) + sum(amount(row, place) for place in range(3, 19, 3))
    claims = [row for row in rows if row[0] == "CLP"]
    return {
        "interchanges": len(re.findall(r"(?m)^\s*ISA\*", path.read_text("utf-8-sig"))),
        "transactions": sum(row[:2] == ["ST", "835"] for row in rows),
        "claims": len(claims),
        "service_lines": sum(row[0] == "SVC" for row in rows),
        "charge_cents": int(sum(amount(row, 3) for row in claims) * 100),
        "paid_cents": int(sum(amount(row, 4) for row in claims) * 100),
        "patient_responsibility_cents": int(groups.get("PR", Decimal(0)) * 100),
        "adjustment_cents": {group: int(total * 100) for group, total in sorted(groups.items())},
    }


#: interchanges, transactions, claims, lines, charge, paid, PR; reasons to quarantine; errors. The first seven
#: were counted with grep and awk, and are counted again in the test.
SAMPLES = {
    "edi-835-parser/blue_cross_nc_sample.txt": ((0, 1, 1, 3, 210000, 192286, 14254), 0, 4),
    "edi-835-parser/emedny_sample.txt": ((1, 1, 3, 10, 10250, 4575, 0), 0, 0),
    "edi-835-parser/united_healthcare_legacy_sample.txt": ((1, 1, 2, 5, 115752, 34999, 22039), 0, 0),
    "generated-500-claims.edi": ((1, 1, 500, 986, 102524038, 90182247, 3878194), 0, 0),
    "linuxforhealth/cob-contractural-adjustment.835": ((1, 1, 1, 1, 54100, 3400, 0), 0, 1),
    "linuxforhealth/demo.835": ((1, 1, 2, 0, 22636697, 14999873, 0), 0, 0),
    "linuxforhealth/managed-care.835": ((1, 1, 2, 2, 200000, 94500, 90000), 0, 1),
    "linuxforhealth/medicare-part-a.835": ((1, 1, 2, 0, 22636697, 14999873, 0), 0, 0),
    "linuxforhealth/secondary-payment.835": ((1, 1, 2, 2, 1107514, 122200, 22000), 0, 1),
    "linuxforhealth/tertiary-payment.835": ((1, 1, 1, 1, 176650, 18750, 0), 2, 0),
    "x12parser/4010_835_DeIdent_01.dat": ((1, 1, 96, 365, 11181301, 6641762, 120919), 306, 0),
    "x12parser/5010_Example1.txt": ((1, 1, 10, 9, 43999, 575, 1492), 1, 4),
}
FIGURES = (
    "interchanges",
    "transactions",
    "claims",
    "service_lines",
    "charge_cents",
    "paid_cents",
    "patient_responsibility_cents",
)


@pytest.mark.parametrize("name", SAMPLES)
def test_shared_samples(name: str) -> None:
    path = shared_path(f"data/x12/{name}")
    figures, quarantined, errors = SAMPLES[name]
    found = inspect_file(path)
    expected = counted(path)
    assert {key: found[key] for key in expected} == expected  # type: ignore[literal-required]
    assert tuple(expected[key] for key in FIGURES) == figures
    assert len(found["quarantined"]) == quarantined
    assert len(found["errors"]) == errors


def test_every_shared_sample_is_in_the_table() -> None:
    root = shared_path("data/x12")
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == set(SAMPLES)


def test_another_reader_finds_the_same() -> None:
    reader = pytest.importorskip("x12sdk.io").X12ModelReader
    path = shared_path("data/x12/generated-500-claims.edi")
    with reader(str(path)) as opened:
        (model,) = list(opened.models())
    claims = [claim.clp_segment for header in model.loop_2000 for claim in header.loop_2100]
    found = inspect_file(path)
    assert len(claims) == found["claims"]
    assert int(sum(Decimal(str(clp.total_claim_charge_amount)) for clp in claims) * 100) == found["charge_cents"]
    assert int(sum(Decimal(str(clp.claim_payment_amount)) for clp in claims) * 100) == found["paid_cents"]
