"""What a gateway tells of its own time, in the words of the W3C."""

import pytest

from tokenforge.bench.driver.exchange import gateway_ns


@pytest.mark.parametrize(
    ("header", "ns"),
    [
        ("gateway;dur=1.25", 1_250_000),
        ("cache;dur=3, gateway;desc=relay;dur=0.000001", 1),
        (" gateway ; dur=7 ", 7_000_000),
        ("gateway", None),
        ("gateway;dur=-1", None),
        ("gateway;dur=1e9", None),
        ("gateway;dur=" + "9" * 400, None),
        ("edge;dur=4", None),
        ("", None),
    ],
)
def test_the_gateways_entry_is_read_and_nothing_else(header: str, ns: int | None) -> None:
    assert gateway_ns(header) == ns
