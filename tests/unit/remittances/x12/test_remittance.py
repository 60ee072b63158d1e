"""The reader: what each segment becomes, several transactions, broken files."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.money import Money
from portal.remittances.x12.errors import Kind, NotA835
from portal.remittances.x12.model import Adjustment, Person, ProviderAdjustment
from portal.remittances.x12.remittance import RemittanceFile, read_remittances

from .builder import CLAIM, HEADER, Marks, group, interchange, only, read, simple, transaction, written


def dollars(text: str) -> Money:
    return Money.from_decimal(text)


def changed(old: str, new: str) -> list[str]:
    assert old in CLAIM
    return [new if segment == old else segment for segment in CLAIM]


def test_the_head_of_a_transaction() -> None:
    found = only(simple())
    assert (found.ordinal, found.segment, found.control) == (1, 3, "0001")
    assert (found.interchange_control, found.group_control, found.version) == ("000000009", "7", "5010")
    assert (found.payment, found.credit_or_debit, found.payment_method) == (dollars("140"), "C", "ACH")
    assert (found.paid_on, found.produced_on) == (date(2026, 1, 7), date(2026, 1, 2))
    assert (found.trace_number, found.trace_payer) == ("EFT-0001", "1999999999")
    assert (found.payer_name, found.payer_id, found.payer_phone) == ("EXAMPLE HEALTH PLAN", "EHP01", "5550100123")
    assert (found.payee_name, found.payee_id, found.payee_id_qualifier) == ("DEMO CLINIC", "1234567893", "XX")
    assert found.errors == ()


def test_a_payer_without_an_id_in_its_name_has_the_one_of_its_reference() -> None:
    header = [segment.replace("*XV*EHP01", "") for segment in HEADER if not segment.startswith("PER*CX")]
    found = only(interchange(group(transaction(CLAIM, paid="140", header=header))))
    assert (found.payer_id, found.payer_phone) == ("OTHER", "5550100999")


def test_a_claim() -> None:
    (claim,) = only(simple()).claims
    assert (claim.ordinal, claim.segment, claim.patient_control, claim.status) == (1, 14, "ACCT-1", "1")
    assert (claim.charge, claim.paid, claim.patient_responsibility) == (dollars("250"), dollars("140"), dollars("25"))
    assert (claim.filing_indicator, claim.payer_control) == ("12", "PAYER-1")
    assert (claim.facility_code, claim.frequency, claim.original_payer_control) == ("11", "1", "EARLIER-1")
    assert claim.patient == Person("TESTPERSON", "ANNA", "B", "JR", "MI", "MEM-1")
    assert claim.subscriber == Person("TESTPERSON", "OTTO", "", "", "MI", "MEM-0")
    assert claim.rendering == Person("SAMPLEDOC", "DORA", "", "", "XX", "1987654321")
    assert (claim.statement_from, claim.statement_to) == (date(2026, 1, 3), date(2026, 1, 5))
    assert (claim.service_from, claim.service_to) == (date(2026, 1, 3), date(2026, 1, 5))
    assert claim.received_on == date(2026, 1, 6)
    assert claim.adjustments == (Adjustment(1, "CO", "131", dollars("10")),)
    assert claim.remark_codes == ("MA01", "N1")
    assert claim.amounts == (("AU", dollars("200")),)
    assert len(claim.all_adjustments) == 7


def test_a_service_line() -> None:
    line, other = only(simple()).claims[0].lines
    assert (line.ordinal, line.segment) == (1, 25)
    assert (line.procedure_qualifier, line.procedure_code, line.modifiers) == ("HC", "99213", ("25", "GT"))
    assert (line.description, line.submitted_qualifier, line.submitted_code) == ("OFFICE VISIT", "HC", "99214")
    assert (line.revenue_code, line.charge, line.paid) == ("0510", dollars("150"), dollars("100"))
    assert (line.units, line.service_on, line.line_control) == (Decimal(2), date(2026, 1, 4), "LINE-1")
    assert (line.allowed, line.remark_codes) == (dollars("110"), ("N130",))
    assert line.adjustments == (
        Adjustment(1, "CO", "45", dollars("40")),
        Adjustment(2, "CO", "97", dollars("5"), Decimal(1)),
        Adjustment(3, "PR", "3", dollars("5")),
    )
    assert (other.service_from, other.service_to, other.service_on) == (date(2026, 1, 3), date(2026, 1, 5), None)
    assert (other.units, other.allowed, other.submitted_code) == (Decimal(1), None, "")


def test_remark_codes_of_an_inpatient_claim() -> None:
    mia = "MIA*0***500*MA01" + "*" * 15 + "MA02*MA03*MA04*MA05"
    (claim,) = only(simple(changed("MOA***MA01*N1", mia))).claims
    assert claim.remark_codes == ("MA01", "MA02", "MA03", "MA04", "MA05")


def test_six_adjustments_fit_one_segment() -> None:
    triplets = "*".join(f"{reason}*1*{reason}" for reason in range(1, 7))
    (claim,) = only(simple(changed("CAS*CO*131*10", f"CAS*CO*{triplets}"))).claims
    assert [(cas.ordinal, cas.reason, cas.quantity) for cas in claim.adjustments] == [
        (number, str(number), Decimal(number)) for number in range(1, 7)
    ]


def test_a_seventh_adjustment_is_an_error() -> None:
    found = only(simple(changed("CAS*CO*131*10", "CAS*CO" + "*1*1*" * 7)))
    assert len(found.claims[0].adjustments) == 6
    assert [problem.kind for problem in found.errors] == [Kind.AMOUNT]


def test_ordinals_of_adjustments_run_on_over_segments() -> None:
    (claim,) = only(simple(changed("CAS*CO*131*10", "CAS*CO*131*4**A1*6"))).claims
    line = claim.lines[1]
    assert [cas.ordinal for cas in claim.adjustments] == [1, 2]
    assert [(cas.ordinal, cas.group) for cas in line.adjustments] == [(1, "CO"), (2, "PR"), (3, "OA")]


def test_provider_adjustments() -> None:
    found = only(
        simple([*CLAIM, "PLB*1234567893*20261231*WO:CLAIM-9*12.5*L6*-.5", "PLB*1*20261231*FB*-1"], paid="129")
    )
    period_on = date(2026, 12, 31)
    assert found.provider_adjustments == (
        ProviderAdjustment(1, "1234567893", period_on, "WO", "CLAIM-9", dollars("12.5")),
        ProviderAdjustment(2, "1234567893", period_on, "L6", "", dollars("-0.5")),
        ProviderAdjustment(3, "1", period_on, "FB", "", dollars("-1")),
    )


def test_a_reversal_keeps_its_negative_amounts() -> None:
    (claim,) = only(simple(["CLP*ACCT-1*22*-250*-140**12*P", "SVC*HC:1*-250*-140", "CAS*CO*45*-110"])).claims
    assert (claim.status, claim.charge, claim.paid) == ("22", dollars("-250"), dollars("-140"))
    assert claim.patient_responsibility is None
    assert claim.lines[0].adjustments[0].amount == dollars("-110")


@pytest.mark.parametrize(
    ("group_version", "isa_version", "version"),
    [
        ("004010X091A1", "00401", "4010"),
        ("005010X221A1", "00501", "5010"),
        ("5010", "00401", "5010"),
        ("9999", "00401", "4010"),
        ("9999", "00999", None),
    ],
)
def test_the_version(group_version: str, isa_version: str, version: str | None) -> None:
    data = interchange(group(transaction(CLAIM, paid="140"), version=group_version), version=isa_version)
    found = only(data)
    assert found.version == version
    assert len(found.claims[0].lines) == 2


@pytest.mark.parametrize(
    "marks",
    [
        Marks(after="\r\n"),
        Marks("|", ">", "!", "^", "\n"),
        Marks(terminator="\n"),
        Marks("\x1d", "\x1f", "\x1c", "\x1e"),
    ],
)
def test_separators_do_not_change_what_is_said(marks: Marks) -> None:
    assert only(simple(marks=marks)) == only(simple())


def test_composites_parted_against_isa16_are_read_and_noted_once() -> None:
    found = only(simple([segment.replace(":", ">") if segment[:3] == "SVC" else segment for segment in CLAIM]))
    line, other = found.claims[0].lines
    assert (line.procedure_code, line.modifiers, other.procedure_code) == ("99213", ("25", "GT"), "81002")
    assert [(problem.kind, problem.segment_id) for problem in found.errors] == [(Kind.NOTE, "SVC")] * 2
    assert {problem.message[:5] for problem in found.errors} == {"SVC01", "SVC06"}


def test_several_transactions_groups_and_interchanges() -> None:
    one = transaction(CLAIM, paid="140", control="0001")
    two = transaction([], paid="0", control="0002")
    data = interchange(group(one, two), group(two, control="8")) + b"\n"
    data += interchange(group(one), marks=Marks("|", "<", "\n"), control="000000010")
    found, file = read(data)
    assert [(each.ordinal, each.control, each.group_control) for each in found] == [
        (1, "0001", "7"),
        (2, "0002", "7"),
        (3, "0002", "8"),
        (4, "0001", "7"),
    ]
    assert [each.interchange_control for each in found] == ["000000009"] * 3 + ["000000010"]
    assert file.interchanges == 2
    assert file.errors == ()


def test_transactions_are_given_as_they_end() -> None:
    class Watched(BytesIO):
        given = 0

        def read(self, size: int | None = -1, /) -> bytes:
            chunk = super().read(size)
            self.given += len(chunk)
            return chunk

    data = interchange(*[group(transaction(CLAIM, paid="140"))] * 50)
    stream = Watched(data)
    next(iter(RemittanceFile(stream, chunk_size=1024)))
    assert stream.given < len(data) / 10


def test_a_file_is_read_once() -> None:
    file = RemittanceFile(BytesIO(simple()))
    assert (len(list(file)), len(list(file))) == (1, 0)
    assert len(list(read_remittances(BytesIO(simple()), "x"))) == 1


# --- broken figures ---


@pytest.mark.parametrize("text", ["10.005", "abc", "1e3", "NaN", "1,000", "--1", "1_0", "١٢", "$5", "9" * 15, "."])
def test_an_amount_that_is_not_whole_cents_counts_as_0(text: str) -> None:
    found = only(simple(changed("CLP*ACCT-1*1*250*140*25*12*PAYER-1*11*1", f"CLP*ACCT-1*1*{text}*140*{text}")))
    assert found.claims[0].charge == Money.zero()
    assert found.claims[0].patient_responsibility is None
    assert [(problem.kind, problem.segment, problem.claim_ordinal) for problem in found.errors] == [
        (Kind.AMOUNT, 14, 1)
    ] * 2
    assert "CLP03" in str(found.errors[0])


@pytest.mark.parametrize(
    ("text", "cents"), [("-.5", -50), ("7.", 700), ("007.10", 710), ("12.500", 1250), (" 3 ", 300), ("0", 0)]
)
def test_amounts_as_payers_write_them(text: str, cents: int) -> None:
    found = only(simple(changed("CAS*CO*131*10", f"CAS*CO*131*{text}")))
    assert found.claims[0].adjustments[0].amount == Money(cents)
    assert found.errors == ()


def test_a_claim_without_amounts_counts_as_0_and_is_an_error() -> None:
    found = only(simple([*CLAIM, "CLP*ACCT-2*22"]))
    assert found.claims[1].charge == found.claims[1].paid == Money.zero()
    assert [str(problem) for problem in found.errors] == [
        "segment 38 (CLP), transaction 0001, claim 2: CLP03 is missing; it counts as 0",
        "segment 38 (CLP), transaction 0001, claim 2: CLP04 is missing; it counts as 0",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("DTM*472*20260104", "DTM*472*20261304", "DTM02 is not a date"),
        ("DTM*472*20260104", "DTM*472*260104", "DTM02 is not a date"),
        ("CAS*CO*131*10", "CAS*XX*131*10", "CAS01 is not an adjustment group"),
        ("CAS*CO*131*10", "CAS*CO**10", "CAS02, the reason, is missing"),
        ("CAS*CO*131*10", "CAS*CO*131", "CAS03 is missing"),
        ("CAS*CO*131*10", "CAS*CO*131*10*x", "CAS04 is not a number"),
        ("AMT*AU*200", "AMT*AU", "AMT02 is missing"),
    ],
)
def test_other_wrong_values_are_errors_and_the_rest_is_read(old: str, new: str, message: str) -> None:
    found = only(simple(changed(old, new)))
    (problem,) = found.errors
    assert problem.message.startswith(message)
    assert len(found.claims[0].lines) == 2


def test_errors_never_repeat_what_the_file_says() -> None:
    body = [segment.replace("*", "*TESTPERSON ANNA*", 1) for segment in CLAIM]
    found = only(simple(body))
    assert found.errors
    assert all("TESTPERSON" not in str(problem) for problem in found.errors)


def test_a_service_line_or_an_adjustment_outside_a_claim_is_an_error() -> None:
    body = [
        "CAS*CO*45*1",
        "SVC*HC:1*5*5",
        "SVC*HC:2*7*6",
        "CAS*CO*45*1",
        *CLAIM,
        "LX*2",
        "CAS*CO*45*1",
        "SVC*HC:3*1*1",
    ]
    found = only(simple(body))
    assert [(line.ordinal, line.procedure_code) for line in found.stray_lines] == [(1, "1"), (2, "2"), (3, "3")]
    assert len(found.stray_lines[1].adjustments) == 1
    assert len(found.lines) == 5
    assert [problem.message.split(";")[0] for problem in found.errors] == [
        "an adjustment outside any claim",
        "a service line outside any claim",
        "a service line outside any claim",
        "an adjustment outside any claim",
        "a service line outside any claim",
    ]


def test_unknown_segments_are_skipped() -> None:
    body = [extra for segment in CLAIM for extra in (segment, "ZZZ*WHATEVER", "K3*NOTE")]
    found = only(simple(body))
    assert found.errors == ()
    assert found.adjustments == only(simple()).adjustments


def test_missing_payment_and_trace_are_errors() -> None:
    segments = [part for part in transaction(CLAIM, paid="140", header=[]) if not part.startswith("BPR")]
    found = only(interchange(group([*segments[:-1], f"SE*{len(segments)}*0001"])))
    assert found.payment == Money.zero()
    assert [problem.message[:5] for problem in found.errors] == ["BPR02", "TRN02"]


# --- broken envelopes ---


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        (b"SE*36*0001", b"SE*35*0001", "SE01"),
        (b"SE*36*0001", b"SE*36*0009", "SE02"),
        (b"SE*36*0001", b"SE", "SE01"),
        (b"GE*1*7", b"GE*2*7", "GE01"),
        (b"GE*1*7", b"GE*1*8", "GE02"),
        (b"IEA*1*000000009", b"IEA*3*000000009", "IEA01"),
        (b"IEA*1*000000009", b"IEA*1*000000008", "IEA02"),
    ],
)
def test_wrong_counts_and_control_numbers_are_errors(old: bytes, new: bytes, where: str) -> None:
    data = simple()
    assert old in data
    (found,), file = read(data.replace(old, new))
    problems = [*found.errors, *file.errors]
    assert problems[0].message.startswith(where)
    assert {problem.kind for problem in problems} == {Kind.CONTROL}
    assert {problem.claim_ordinal for problem in problems} == {None}
    assert found.claims == only(data).claims


def test_zeros_before_a_control_number_do_not_matter() -> None:
    _, file = read(simple().replace(b"IEA*1*000000009", b"IEA*01*9"))
    assert file.errors == ()


@pytest.mark.parametrize(
    ("lost", "where"), [(b"GE*1*7~", "the group has no end"), (b"IEA*1*000000009~", "interchange")]
)
def test_a_missing_end_of_the_envelope_is_an_error(lost: bytes, where: str) -> None:
    (found,), file = read(simple().replace(lost, b""))
    assert where in file.errors[0].message
    assert found.errors == ()


@pytest.mark.parametrize(("extra", "where"), [(b"SE*1*1~", "SE"), (b"GE*1*1~", "GE"), (b"IEA*1*1~", "IEA")])
def test_an_end_without_a_start_is_an_error(extra: bytes, where: str) -> None:
    _, file = read(simple() + extra)
    assert where in file.errors[0].message


def test_segments_outside_a_transaction_are_noted_once() -> None:
    _, file = read(simple() + b"REF*1~REF*2~")
    assert [problem.message for problem in file.errors] == ["there are segments outside any transaction; not read"]


@pytest.mark.parametrize("start", [b"GS*", b"ST*"])
def test_a_stripped_envelope(start: bytes) -> None:
    data = simple()
    end = data.index(b"GE*") if start == b"ST*" else data.index(b"IEA*")
    (found,), file = read(data[data.index(start) : end])
    assert found.claims[0].lines[0].procedure_code == "99213"
    assert file.interchanges == 0
    (problem,) = file.errors
    assert str(problem) == f"the envelope was stripped: the file starts at {start[:2].decode()}; read with * and ~"


@pytest.mark.parametrize("end", [b"", b"GE*1*7~IEA*1*000000009~", b"ST*835*0002~SE*2*0002~GE*2*7~IEA*1*000000009~"])
def test_a_transaction_without_its_end_is_given_and_marked(end: bytes) -> None:
    data = simple()
    found, _ = read(data[: data.index(b"SE*")] + end)
    assert found[0].claims == tuple(only(data).claims)
    assert [problem.kind for problem in found[0].errors] == [Kind.CUT]


def test_a_cut_segment_is_reported_and_its_claim_counted() -> None:
    data = simple()
    (found,), file = read(data[: data.index(b"CAS*CO*131") - len("PAYER-1*11*1~")])
    assert len(found.claims) == 1
    assert found.errors[-1].kind is Kind.CUT
    assert any("without the terminator" in problem.message for problem in file.errors)


@pytest.mark.parametrize("tail", [b"x" * 70_000, b"ISA*00*broken"])
def test_bytes_that_stop_being_x12_lose_nothing_before_them(tail: bytes) -> None:
    (found,), file = read(simple() + tail)
    assert found == only(simple())
    assert file.errors[-1].kind is Kind.CUT
    assert file.errors[-1].segment == 41


def test_another_transaction_between_835s_is_skipped() -> None:
    other = ["ST*277*0002", "CLP*X*1*1*1", "SE*3*0002"]
    found, file = read(interchange(group(transaction(CLAIM, paid="140"), other, transaction(CLAIM, paid="140"))))
    assert [(each.ordinal, len(each.claims)) for each in found] == [(1, 1), (2, 1)]
    assert [problem.message for problem in file.errors] == ["a transaction is 277, not 835; not read"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (interchange(group(["ST*837*0001", "CLM*1", "SE*3*0001"])), "its transactions are 837"),
        (interchange(group()), "it holds no 835 transaction"),
        (b"", "it is empty"),
        (b"%PDF-1.7", "it does not start with an X12 envelope"),
        (b"ISA*00", "header is cut short"),
        (b"ST*TESTPERSON*1~", "of no known kind"),
        (b"ST*" + b"x" * 70_000, "no segment ends within 64 KiB"),
    ],
)
def test_what_is_not_an_835_is_one_clear_line(data: bytes, reason: str) -> None:
    with pytest.raises(NotA835) as caught:
        read(data)
    line = str(caught.value)
    assert reason in line
    assert line.startswith("sample.835 is not an X12 835 remittance: ")
    assert "\n" not in line
    assert "TESTPERSON" not in line


pieces = st.sampled_from(
    [*CLAIM, "ST*835*1", "SE*2*1", "GE*1*1", "IEA*1*1", "LX*1", "PLB*1*2*WO:1*3", "BPR*I*1*C", ""]
)


@given(st.lists(st.one_of(pieces, st.text("*:~ABC019.-", max_size=20)), max_size=40), st.integers(1, 50))
def test_any_order_of_segments_is_read_or_refused(segments: list[str], chunk_size: int) -> None:
    data = written(["ST*835*0001", *segments])
    file = RemittanceFile(BytesIO(data), chunk_size=chunk_size)
    found = list(file)
    starts = [part.strip() for part in data.decode().split("~")]
    assert len(found) == sum(part.split("*")[:2] == ["ST", "835"] for part in starts)
    assert [each.ordinal for each in found] == list(range(1, len(found) + 1))


@given(st.binary(max_size=300))
def test_random_bytes_in_a_transaction_are_read_or_refused(noise: bytes) -> None:
    data = simple()
    middle = data.index(b"CLP*")
    found, _ = read(data[:middle] + noise + data[middle:])
    assert found
