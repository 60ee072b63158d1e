"""Plain categories of codes: ours, by number and letter, and never a crash."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.explanations import catalogue, languages, modifier_text, service_category
from tests.shared_data import shared_path


@pytest.mark.parametrize(
    ("code", "qualifier", "revenue", "category"),
    [
        ("99213", "HC", "", "An office visit"),
        ("99203", "HC", "", "An office visit"),
        ("99284", "HC", "", "An emergency room visit"),
        ("71046", "HC", "", "An X-ray or scan"),
        ("80053", "HC", "", "A blood test"),
        ("85025", "HC", "", "A blood test"),
        ("36415", "HC", "", "A blood draw"),
        ("93000", "HC", "", "A heart test"),
        ("59430", "HC", "", "Pregnancy or birth care"),
        ("97810", "HC", "", "Acupuncture"),
        ("h0005", " hc ", "", "Mental health or recovery care"),
        ("V2020", "HC", "", "Glasses or lenses"),
        ("V5010", "HC", "", "Hearing care or hearing aids"),
        ("B4154", "HC", "", "Tube feeding and supplies"),
        ("J9000", "HC", "", "A cancer drug"),
        ("J1100", "HC", "", "A drug given by shot or drip"),
        ("D1110", "AD", "", "Dental care"),
        ("0001U", "HC", "", "A lab test"),
        ("0450", "NU", "", "An emergency room visit"),
        ("450", "NU", "", "An emergency room visit"),
        ("0681", "NU", "", "The trauma team"),
        ("0920", "NU", "", "Another kind of test"),
        ("0921", "NU", "", "A test of blood vessels"),
        ("", "", "0120", "Hospital room and board"),
        ("XXXXX", "XX", "0300", "A lab test"),
        ("00002323230", "N4", "", "Drugs from the pharmacy"),
        ("99999", "XX", "", "A medical service"),
        ("99999", "HC", "187.50", "A medical service"),
        ("", "", "", "A medical service"),
    ],
)
def test_category(code: str, qualifier: str, revenue: str, category: str) -> None:
    assert service_category(code, qualifier, revenue) == category


def test_every_public_level_two_code_has_a_category() -> None:
    with shared_path("data/codes/hcpcs_level2_2019_cms.csv").open(encoding="utf-8-sig", newline="") as file:
        codes = [row["code"] for row in csv.DictReader(file)]
    assert len(codes) > 6000
    fallback = service_category("", "", "")
    assert not [code for code in codes if service_category(code) == fallback]


def test_every_revenue_category_has_words() -> None:
    """The categories are the first three digits; 025 to 099 are all in use, as are a few below and above."""
    fallback = service_category("", "", "")
    used = [1, 22, 23, 24, *range(100, 1006), 2100, 2109, 3101, 3109]
    assert not [code for code in used if service_category("", "", f"{code:04}") == fallback]


def test_modifiers() -> None:
    for modifier in ("26", "TC", "25", "59", "50", "RT", "LT", "GT", "95", "QX", "QZ", "GX", "F5", "T9", "TB", "HQ"):
        assert modifier_text(modifier)
    assert modifier_text(" rt ") == "Right side of the body."
    assert modifier_text("ZZ") == modifier_text("") == ""


@pytest.mark.parametrize("language", languages())
def test_every_language_names_every_category(language: str) -> None:
    assert catalogue.load(language).categories.keys() == catalogue.load("en").categories.keys()
    assert service_category("99213", language=language)


@given(st.text(), st.text() | st.sampled_from(["HC", "NU", "N4"]), st.text(), st.text())
def test_any_strings_give_a_category(code: str, qualifier: str, revenue: str, language: str) -> None:
    assert service_category(code, qualifier, revenue, language)
    assert isinstance(modifier_text(code, language), str)
