"""How a comparison's verdict looks: the words, the picture, and that other reports have none of it."""

from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from comparison_samples import A, B, compared
from record_samples import sample
from rich.console import Console

from tokenforge.analysis.summary import summarise
from tokenforge.cli.verdict_text import print_verdict
from tokenforge.domain.canonical import to_plain
from tokenforge.report.markdown import render_markdown
from tokenforge.report.page import render_report
from tokenforge.report.quad_picture import quad_picture
from tokenforge.report.verdict_view import VerdictView, verdict_view


def summary_of(**spec: object) -> dict[str, object]:
    plain = to_plain(summarise(*compared(b=replace(B, step_ms=9.6, prefill_ms=48.0), **spec)))  # type: ignore[arg-type]
    assert isinstance(plain, dict)
    return plain


def view_of(summary: dict[str, object]) -> VerdictView:
    found = verdict_view(summary)
    assert found is not None
    return found


def test_the_metric_that_decides_is_first_and_marked() -> None:
    view = view_of(summary_of())
    assert [row.decides for row in view.metrics] == [True, False, False, False, False]
    assert view.metrics[0].cells[0] == "Output throughput, tokens/s"
    assert view.metrics[0].cells[3].startswith("-")
    assert (view.words, len(view.quads)) == ("B is worse", 5)


def test_the_noise_says_what_could_be_seen() -> None:
    noise = " ".join(view_of(summary_of()).noise)
    assert "5 such quads show a difference of" in noise
    assert "to show 5 %" in noise


def test_the_picture_has_a_circle_for_every_quad_and_one_for_the_mean() -> None:
    picture = quad_picture(summary_of())
    assert picture is not None
    tree = ElementTree.fromstring(picture)
    assert len(tree.findall("circle")) == 6
    words = [node.text or "" for node in tree.findall("text")]
    assert {"Quad 1  A B B A", "Quad 1  B A A B"} & set(words)
    assert "equal" in words


@pytest.mark.parametrize("delta", [0.01, 0.05, 0.3])
def test_marks_of_the_axis_lie_on_it_and_can_be_read(delta: float) -> None:
    picture = quad_picture(summary_of(delta=delta))
    assert picture is not None
    places = sorted(
        float(node.attrib["x"]) for node in ElementTree.fromstring(picture).findall("text[@text-anchor='middle']")
    )
    assert len(places) >= 3
    assert all(right - left >= 60 for left, right in pairwise(places))


def test_the_page_says_validity_and_verdict_before_the_headline() -> None:
    document, requests = compared(b=replace(B, step_ms=9.6, prefill_ms=48.0))
    document["summary"] = to_plain(summarise(document, requests))
    page = render_report(document, requests)
    assert page.index("✓ Valid") < page.index("B is worse") < page.index("<h1>")
    assert render_report(document, requests) == page


def test_names_cannot_make_markup() -> None:
    document, requests = compared(replace(A, runtime="<b>a"), replace(B, runtime="b|c"))
    document["summary"] = to_plain(summarise(document, requests))
    assert "<b>a" not in render_report(document, requests)
    assert "b\\|c" in render_markdown(document)


def test_a_benchmark_has_neither_verdict_nor_picture() -> None:
    document, requests = sample([A, B])
    document["summary"] = to_plain(summarise(document, requests))
    assert verdict_view(document["summary"]) is None  # type: ignore[arg-type]
    assert 'id="verdict"' not in render_report(document, requests)


def test_the_terminal_says_validity_first_then_the_verdict() -> None:
    console = Console(record=True, width=160)
    print_verdict(view_of(summary_of()), console=console)
    lines = [line for line in console.export_text().splitlines() if line.strip()]
    assert lines[0].startswith("VALID Every check passed.")
    assert lines[1].startswith("b@1 is worse: ")
    assert lines[2].startswith("Outputs not judged")
