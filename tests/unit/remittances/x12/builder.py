"""Small 835 files, written out by hand; the people in them are invented and look it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from portal.remittances.x12.model import Transaction
from portal.remittances.x12.remittance import RemittanceFile

Segments = list[str]


@dataclass(frozen=True)
class Marks:
    """The separators of one interchange; ``after`` follows every segment."""

    element: str = "*"
    component: str = ":"
    terminator: str = "~"
    repetition: str = "^"
    after: str = ""


USUAL = Marks()

HEADER = [
    "TRN*1*EFT-0001*1999999999",
    "DTM*405*20260102",
    "N1*PR*EXAMPLE HEALTH PLAN*XV*EHP01",
    "REF*2U*OTHER",
    "PER*BL*TECHNICAL*TE*5550100999",
    "PER*CX*MEMBER DESK*EM*a@example.com*TE*5550100123",
    "N1*PE*DEMO CLINIC*XX*1234567893",
    "REF*TJ*000000000",
    "LX*1",
]

#: 250.00 charged, 140.00 paid, 85.00 CO (10.00 of it at the claim), 25.00 PR; two lines.
CLAIM = [
    "CLP*ACCT-1*1*250*140*25*12*PAYER-1*11*1",
    "CAS*CO*131*10",
    "NM1*QC*1*TESTPERSON*ANNA*B**JR*MI*MEM-1",
    "NM1*IL*1*TESTPERSON*OTTO****MI*MEM-0",
    "NM1*82*1*SAMPLEDOC*DORA****XX*1987654321",
    "REF*F8*EARLIER-1",
    "MOA***MA01*N1",
    "DTM*232*20260103",
    "DTM*233*20260105",
    "DTM*050*20260106",
    "AMT*AU*200",
    "SVC*HC:99213:25:GT:::OFFICE VISIT*150*100*0510*2*HC:99214",
    "DTM*472*20260104",
    "CAS*CO*45*40**97*5*1",
    "CAS*PR*3*5",
    "REF*6R*LINE-1",
    "AMT*B6*110",
    "LQ*HE*N130",
    "SVC*HC:81002*100*50",
    "DTM*150*20260103",
    "DTM*151*20260105",
    "CAS*CO*45*30",
    "CAS*PR*2*20",
    "CAS*OA*23*0",
]


def transaction(body: Sequence[str], *, paid: str, control: str = "0001", header: Sequence[str] = HEADER) -> Segments:
    """ST to SE with right counts around ``body`` (claims and PLB)."""
    inner = [f"BPR*I*{paid}*C*ACH*CCP*01*111*DA*222*1999999999**01*333*DA*444*20260107", *header, *body]
    return [f"ST*835*{control}", *inner, f"SE*{len(inner) + 2}*{control}"]


def group(*transactions: Segments, version: str = "005010X221A1", control: str = "7") -> Segments:
    """GS to GE around the transactions."""
    inner = [segment for segments in transactions for segment in segments]
    start = f"GS*HP*EHP*DEMO*20260107*1200*{control}*X*{version}"
    return [start, *inner, f"GE*{len(transactions)}*{control}"]


def isa(control: str = "000000009", version: str = "00501", repetition: str = "^", component: str = ":") -> str:
    """An ISA of 105 characters, the terminator being the 106th."""
    parties = f"ZZ*{'EHP':<15}*ZZ*{'DEMO':<15}"
    blank = " " * 10
    return f"ISA*00*{blank}*00*{blank}*{parties}*260107*1200*{repetition}*{version}*{control}*0*T*{component}"


def written(segments: Sequence[str], marks: Marks = USUAL) -> bytes:
    """The segments as bytes with other separators than * and : (which the texts here use for nothing else)."""
    table = str.maketrans({"*": marks.element, ":": marks.component, "^": marks.repetition})
    return "".join(text.translate(table) + marks.terminator + marks.after for text in segments).encode()


def interchange(*groups: Segments, marks: Marks = USUAL, version: str = "00501", control: str = "000000009") -> bytes:
    """ISA to IEA around the groups."""
    inner = [segment for segments in groups for segment in segments]
    segments = [isa(control, version, "U" if version == "00401" else "^"), *inner, f"IEA*{len(groups)}*{control}"]
    return written(segments, marks)


def simple(body: Sequence[str] = CLAIM, *, paid: str = "140", marks: Marks = USUAL) -> bytes:
    """One interchange with one transaction."""
    return interchange(group(transaction(body, paid=paid)), marks=marks)


def read(data: bytes) -> tuple[list[Transaction], RemittanceFile]:
    """Every transaction of ``data``, and the file that was read."""
    remittance = RemittanceFile(BytesIO(data), "sample.835")
    return list(remittance), remittance


def only(data: bytes) -> Transaction:
    """The one transaction of ``data``."""
    (transaction,) = read(data)[0]
    return transaction
