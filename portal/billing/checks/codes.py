"""The codes the safety checks go by, each list with its reason. Pure.

Only numbers: what they say is told in ``explanations/``.
"""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: Modifiers that say why the same service stands twice on one day: done again by the same or another person (76, 77),
#: a laboratory test repeated (91), or a separate act (59, XE, XP, XS, XU).
REPEATED = frozenset({"76", "77", "91", "59", "XE", "XP", "XS", "XU"})

#: Modifiers that say how, where or under which rule a service was done. Two lines that differ in these only are not
#: two services; any other modifier (a side, a finger, a discipline, a part of the work) may well make them two.
SAYS_NOTHING_OF_TWO = _set("22 24 25 33 57 90 92 93 95 99 AQ CR CS FQ FS G0 GA GQ GT GX GY GZ JZ KX PN PO PT QW SA SL")

#: Qualifiers (SVC01-1) of codes that name a procedure: CPT and HCPCS, dental, and none given. A revenue code (NU)
#: names a department and a drug's number (N4) a package.
PROCEDURES = frozenset({"", "HC", "AD", "ER", "WK"})

#: Services that are told in further lines of the same code: "each additional" ones, units of time and of supply.
ADD_ON = _set(
    "90461 90472 90474 96361 96366 96367 96368 96371 96375 96376 96411 96415 96417 97811 97814 99292 99417 99418 "
    "11101 15003 15005 17003 G0316 G0317 G0318 G2212"
)
#: First letters of codes of supplies, drugs, blood and rides, of which several lines a day are usual.
SUPPLIES = frozenset("AJPQ")

#: The payer itself says that it has decided about this service before.
PAYER_SAYS_DUPLICATE = frozenset({"18"})

# The patient's share (PR) for one of these is the clinic's to mend or to bear. A code that is sometimes the patient's
# to answer for (a referral, a questionnaire, a date of birth) is left out.
#: Too late with the claim, its papers or its appeal.
LATE = frozenset({"29", "138", "164", "193"})
#: Sent wrongly: codes that do not fit together or were not valid, and numbers that were missing.
SENT_WRONG = _set("4 5 6 7 8 9 10 11 12 16 107 110 125 129 135 146 181 182 189 199 206 207 208 267 282 A8 B16")
#: Papers that a provider had to send and did not.
PAPERS = frozenset({"148", "163", "226", "250", "251", "252"})
#: The provider may not be paid for this under the payer's rules or its contract.
NOT_PAYABLE_TO_PROVIDER = frozenset({"147", "170", "171", "172", "183", "184", "185", "256", "B7", "B23"})
#: Part of another service that was paid: not billable by itself.
BUNDLED = frozenset({"97", "231", "234", "236"})
PROVIDER_FAULT = LATE | SENT_WRONG | PAPERS | NOT_PAYABLE_TO_PROVIDER | BUNDLED
#: A permission was missing. Inside the payer's network asking for it is the provider's duty; outside, often the
#: patient's. A contractual discount on the bill shows that the provider has a contract.
PERMISSION = frozenset({"15", "197", "198", "210", "284", "296"})
#: CARC 16 with one of these remarks waits for the patient's own answer.
ASKS_THE_PATIENT = frozenset({"MA04", "MA92", "N179", "N196", "N197", "N245", "N375", "N686"})
LACKS_INFORMATION = "16"

#: CLP02: decided, and sent on to the next payer.
FORWARDED = frozenset({"19", "20", "21"})
#: CLP02 of a decision that follows another payer's.
LATER_PAYER = frozenset({"2", "3", "20", "21"})
#: Remarks: sent on to Medicaid, to a supplemental insurer, to several; or another insurer has yet to be asked.
FORWARDED_REMARKS = frozenset({"MA07", "MA18", "N89", "N387"})
#: The share is the patient's only because another payer should have been asked first.
ANOTHER_PAYER = frozenset({"22", "109", "B11"})

#: The payer did not know the patient as insured on that day.
NOT_INSURED = frozenset({"26", "27", "31", "32", "33", "34", "140", "177", "200"})
#: CLP06: the claim was filed as self-pay.
FILED_SELF_PAY = "09"

#: Deductible, coinsurance, copay: the cost sharing that is lawful under the No Surprises Act.
COST_SHARE = frozenset({"1", "2", "3", "66", "241", "247", "248"})
#: The share is there because the provider is outside the plan's network.
OUT_OF_NETWORK = frozenset({"38", "45", "242", "279"})
#: Refusals that an emergency rules out (45 CFR 149.110(b)): no permission may be asked for, and how it felt counts.
NOT_FOR_EMERGENCIES = frozenset({"39", "40", "243"}) | PERMISSION
#: The payer applied the federal or a state's law on surprise bills. N882, a consent, is none.
PROTECTED = frozenset({"N830", "N858", "N859", "N860"} | {f"N{number}" for number in range(862, 880)})
#: The payer says that the patient agreed to pay more.
CONSENTED = "N882"
#: Visits to an emergency room, and care of the critically ill there.
EMERGENCY_CODES = frozenset({"99281", "99282", "99283", "99284", "99285", "99288", *(f"G038{n}" for n in range(5))})
EMERGENCY_PLACE = "23"
EMERGENCY_REVENUE = frozenset({"0981", *(f"045{digit}" for digit in range(10))})
AIR_AMBULANCE = frozenset({"A0430", "A0431", "A0435", "A0436", "S9960", "S9961"})
#: Places of service that are a hospital, its outpatient department or an ambulatory surgical center (45 CFR 149.30).
PARTICIPATING_PLACES = frozenset({"19", "21", "22", "24"})
#: Work that consent can't waive (45 CFR 149.420(b)): anesthesia, radiology, pathology and laboratory, assistants.
ANCILLARY = ((100, 1999), (70010, 79999), (80047, 89398))
ASSISTANTS = frozenset({"80", "81", "82", "AS"})
#: CLP06 of plans under laws of their own, to which the federal No Surprises Act does not apply.
OTHER_LAWS = frozenset({"16", "AM", "CH", "LM", "MA", "MB", "MC", "OF", "TV", "VA", "WC"})

#: Preventive by its modifier: the USPSTF's A and B recommendations, whatever the code.
PREVENTIVE_MODIFIER = "33"
#: Yearly and well-child visits, preventive advice, advice against tobacco.
PREVENTIVE_VISITS = ((99381, 99387), (99391, 99397), (99401, 99404), (99406, 99407))
#: Screenings that are nothing else: breast, colon, lung, aorta, cervix, mood, and Medicare's yearly visits.
SCREENINGS = _set(
    "77063 77067 G0202 G0104 G0105 G0121 81528 71271 G0296 76706 G0101 Q0091 G0402 G0438 G0439 G0442 G0443 G0444 "
    "G0445 G0446 G0447 G0472 G0499"
)
#: Vaccines, without those for journeys and after bites; and giving them, which counts where one of them was given.
VACCINES = ((90476, 90759), (91300, 91330))
NOT_ROUTINE_VACCINES = _set("90581 90584 90585 90586 90587 90625 90626 90627 90675 90676 90690 90691 90717 90738")
GIVING_VACCINES = _set("90460 90461 90471 90472 90473 90474 90480 G0008 G0009 G0010")
#: Reasons under which a preventive service may not be charged: the cost shares, and "it is preventive".
PREVENTIVE_REASONS = COST_SHARE | {"49"}
#: CLP06 of plans that the rule on preventive services does not reach: accidents, work, liability, the VA.
NOT_HEALTH_PLANS = frozenset({"AM", "LM", "OF", "TV", "VA", "WC"})
#: Medicare pays for its own list and not for the yearly visits of other plans.
MEDICARE = frozenset({"16", "MA", "MB"})


def in_ranges(code: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    """Whether a five-digit code lies in one of the ranges, ends included."""
    return len(code) == 5 and code.isascii() and code.isdigit() and any(a <= int(code) <= b for a, b in ranges)
