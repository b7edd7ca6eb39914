"""The drawing parts: axes, ticks, ratios, numbers."""

import pytest

from tokenforge.report.charts import Axis, Dots, Line, Words, axis_for, chart, tick_text, ticks
from tokenforge.report.numbers import estimate_text, number_text
from tokenforge.report.ratio_bar import ratio_bar, reach_of

WORDS = Words(key="k", title="<t>", description="d & e")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0"),
        (0.01234, "0.0123"),
        (1.5, "1.50"),
        (45.678, "45.7"),
        (999.6, "1,000"),
        (12345.6, "12,346"),
        (1000.0, "1,000"),
        (0.00001234, "1.23e-05"),
        (-3.14159, "-3.14"),
    ],
)
def test_numbers_have_three_figures(value: float | None, shown: str) -> None:
    assert number_text(value) == shown


def test_an_estimate_shows_its_interval_or_why_it_has_no_value() -> None:
    assert estimate_text({"value": 2.0, "low": 1.5, "high": 2.5}) == "2 (1.50 to 2.50)"
    assert estimate_text({"value": None, "note": "p99 not estimable (needs 9 more)"}).startswith("p99 not")


@pytest.mark.parametrize("high", [0.003, 1.0, 7.0, 42.0, 999.0, 123456.0])
def test_ticks_are_few_and_inside_the_axis(high: float) -> None:
    marks = ticks(Axis(low=0.0, high=high, label="x"))
    assert 3 <= len(marks) <= 8
    assert all(0 <= mark <= high for mark in marks)


def test_log_ticks_are_round() -> None:
    assert ticks(Axis(low=8, high=700, label="x", log=True)) == [10, 20, 50, 100, 200, 500]


def test_an_axis_turns_logarithmic_only_where_allowed_and_needed() -> None:
    assert axis_for([1, 100], "x", may_log=True).log
    assert not axis_for([1, 100], "x").log
    assert not axis_for([50, 100], "x", may_log=True).log


def test_an_axis_without_values_is_still_an_axis() -> None:
    assert axis_for([], "x").high == 1.0


def test_one_single_value_has_room_around_it() -> None:
    assert axis_for([5.0], "x").high > 5.0


def test_values_outside_are_drawn_on_the_edge() -> None:
    axis = Axis(low=0, high=10, label="x")
    assert (axis.place(-5), axis.place(15), axis.place(5)) == (0.0, 1.0, 0.5)


def test_a_tick_has_no_needless_digits() -> None:
    assert [tick_text(value) for value in (2.5, 5.0, 10000.0)] == ["2.5", "5", "10,000"]


def test_a_chart_escapes_its_words_and_draws_its_marks() -> None:
    axis = Axis(low=0, high=1, label="<x>")
    svg = chart(WORDS, x=axis, y=axis, marks=[Line(slot=1, points=[(0, 0), (1, 1)]), Dots(slot=2, points=[(0.5, 0.5)])])
    assert "&lt;t&gt;" in svg
    assert "&lt;x&gt;" in svg
    assert 'class="line s1"' in svg
    assert 'class="dots s2"' in svg


def test_a_mark_without_points_draws_nothing() -> None:
    axis = Axis(low=0, high=1, label="x")
    assert 'class="line' not in chart(WORDS, x=axis, y=axis, marks=[Line(slot=0, points=[])])


def test_the_reach_of_ratios_holds_both_sides() -> None:
    assert reach_of([1.1, 0.4]) == 3.0
    assert reach_of([None]) == 1.25


def test_a_ratio_without_interval_has_no_whisker() -> None:
    assert "whisker" not in ratio_bar(ratio=1.2, low=None, high=None, reach=2, verdict="inconclusive")
    assert "whisker" in ratio_bar(ratio=1.2, low=1.1, high=1.3, reach=2, verdict="worse")
