"""The reference of codes is what the code says."""

from pathlib import Path

from tokenforge.analysis.validity_codes import CODES
from tokenforge.report.validity_page import validity_page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "validity-codes.md"


def test_the_reference_of_codes_is_up_to_date() -> None:
    assert PAGE.read_text() == validity_page(), "docs/reference is stale: run `make reference`"


def test_every_code_has_a_row_with_its_rule_and_its_fix() -> None:
    rows = [line for line in validity_page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(CODES)
    assert all(row.count(" | ") == 3 for row in rows)
