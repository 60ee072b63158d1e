"""``portal explain``: the words it prints, the one object it counts in, and how it refuses."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from portal.cli import main
from tests.shared_data import shared_path
from tests.unit.remittances.books import claim, payment, remittance


def explain(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["explain", *map(str, words)])


def coverage(*paths: str | Path) -> dict[str, object]:
    told = explain("--coverage", *paths)
    assert told.exit_code == 0, told.output
    return json.loads(told.stdout)


def test_a_code_with_its_facts() -> None:
    told = explain("CO-45", "--payer", "Blue Plan", "--amount", "123.45")
    assert told.exit_code == 0
    assert told.stdout.startswith("CO-45: Your plan's discount\n")
    assert "The price dropped by $123.45. You do not owe that part." in told.stdout
    assert "reviewed" not in told.stdout
    assert told.stderr == ""


def test_spanish_says_that_nobody_has_reviewed_it() -> None:
    told = explain("co-45", "--lang", "es", "--amount", "$1,123.45")
    assert "El precio bajó $1,123.45." in told.stdout
    assert told.stdout.rstrip().endswith("reviewed: false")


def test_several_codes_are_one_line() -> None:
    told = explain("PR-2", "CO-45", "N14", "--amount", "20", "--amount", "65.50", "--date", "2026-03-03", "--json")
    lines = json.loads(told.stdout)
    assert [(one["code_label"], one["amount_cents"]) for one in lines] == [("CO-45", 6550), ("PR-2", 2000)]
    assert lines[0]["bill"].endswith("Of the price that is left, your share is $20.00 for your coinsurance.")
    assert "March 3, 2026" in lines[0]["source"]


def test_without_an_amount_an_example_is_named() -> None:
    told = explain("PR-1")
    assert "$100.00" in told.stdout
    assert "example" in told.stderr


def test_a_remark_alone_and_its_marks() -> None:
    assert explain("N14").stdout == "N14\n\nYour insurer used a price from a contract or price list.\n"
    assert "by_family: true" in explain("N55").stdout
    assert "by_family: true" in explain("CO-16", "N55").stdout


@pytest.mark.parametrize("code", ["CO-9999", "N9999", "ZZ-45"])
def test_a_code_without_words_says_so(code: str) -> None:
    told = explain(code)
    assert told.exit_code == 0
    assert "known: false" in told.stdout


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["banana"], "'banana' is not a code like CO-45 or N14"),
        (["45"], "45 needs its group: CO-45, PR-45, OA-45 or PI-45"),
        (["CO-45", "--amount", "many"], "'many' is not an amount"),
        (["CO-45", "--amount", "1.005"], "'1.005' is not an amount"),
        (["CO-45", "--date", "yesterday"], "'yesterday' is not a day"),
        (["CO-45", "PR-1", "--amount", "1"], "There are 2 codes and 1 amounts"),
        (["CO-45", "--lang", "fr"], "'fr' is not one of"),
        (["--coverage", "nowhere.835"], "nowhere.835: no such file or directory"),
        (["--coverage", "x.835", "--payer", "Blue"], "--coverage takes files"),
        ([], "Missing argument"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], fault: str) -> None:
    told = explain(*words)
    assert told.exit_code == 2
    assert fault in told.stderr
    assert "Traceback" not in told.output


def test_a_file_of_neither_kind_is_refused(tmp_path: Path) -> None:
    for name, content in (("a.txt", b"some words here\n"), ("b.bin", bytes(range(256))), ("c.csv", b"")):
        (tmp_path / name).write_bytes(content)
        told = explain("--coverage", tmp_path / name)
        assert told.exit_code == 2
        assert "neither an 835 nor a list of codes" in told.stderr


def test_coverage_counts_what_has_words(tmp_path: Path) -> None:
    (tmp_path / "codes.txt").write_text("CO-45\nPR-45\n96\nN14\nN55\nN9999\nPR-9999\nZZ-45\n")
    (tmp_path / "pay.835").write_bytes(remittance(payment(claim("V-1"), paid=60)))
    told = coverage(tmp_path / "codes.txt", tmp_path)
    assert told["unknown"] == ["9999", "N9999", "ZZ"]
    assert told["by_family"] == 1
    assert told["codes_seen"] == told["explained"] + told["by_family"] + len(told["unknown"])
    assert set(told["worst_grade"]) == set(told["mean_grade"]) == {"en", "es"}
    assert told["worst_grade"]["en"] <= 8.0
    assert told["worst_grade"]["es"] >= 65.0


def test_all_shared_remittances_and_the_whole_list_are_explained() -> None:
    samples = coverage(shared_path("data/x12"))
    assert samples["unknown"] == []
    assert samples["by_family"] == 0  # what the samples hold has words of its own
    assert samples["codes_seen"] >= 20
    listed = coverage(shared_path("data/codes/carc_rarc_2024-06-18.csv"))
    assert listed["unknown"] == []
    assert listed["codes_seen"] == 405 + 1171
    assert listed["explained"] >= 405 + 300
    for told in (samples, listed):
        assert told["worst_grade"]["en"] <= 8.0
        assert told["worst_grade"]["es"] >= 65.0
