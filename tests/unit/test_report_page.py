"""The page: complete, reproducible, self-contained, and deaf to hostile names."""

import re
from html.parser import HTMLParser

import pytest
from parity_samples import a_recording, a_reference, an_answer, rows_of
from record_samples import Engine, Load, one_request, one_run, requests_file, sample

from tokenforge.analysis.parity import judge_parity
from tokenforge.analysis.summary import summarise
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.record import Outcome
from tokenforge.report.markdown import render_markdown
from tokenforge.report.page import render_report
from tokenforge.store.requests_table import RequestsFile

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=y>"
VOID = {"meta", "link", "br", "img", "input"}


def finished(document: dict[str, object], table: RequestsFile) -> tuple[dict[str, object], RequestsFile]:
    return {**document, "summary": to_plain(summarise(document, table))}, table


@pytest.fixture(scope="module")
def page() -> str:
    engines = [Engine(runtime="vllm"), Engine(runtime="sim", prefill_ms=90, simulated=True)]
    loads = [Load(), Load(name="closed", qps=None)]
    return render_report(*finished(*sample(engines, loads, price_per_hour=2.0)))


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<path/>` opens nothing."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_element_is_closed_and_every_id_is_its_own(page: str) -> None:
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))


def test_the_verdict_comes_first_then_the_headline_then_all_else(page: str) -> None:
    verdict, headline, results = page.index('class="badges"'), page.index("<h1>"), page.index('id="results"')
    assert verdict < headline < results


def test_the_verdict_names_the_codes_behind_it_and_links_to_each(page: str) -> None:
    top = page[: page.index("<h1>")]
    assert '<a class="code" href="#doubt-simulated">' in top
    assert page.count('id="doubt-simulated"') == 1


def test_the_same_record_gives_the_same_bytes() -> None:
    first, second = (render_report(*finished(*sample([Engine(runtime="vllm")]))) for _ in range(2))
    assert first == second


def test_the_page_asks_for_nothing_from_outside_and_runs_no_script(page: str) -> None:
    assert not re.search(r"<(script|link|img|iframe|object)\b", page)
    assert not re.search(r"(src|href)=\"(?!#)", page)
    assert "url(" not in page
    assert "@import" not in page


def test_hostile_names_stay_text() -> None:
    document, table = sample([Engine(runtime=HOSTILE), Engine(runtime="b")], [Load(name=HOSTILE)])
    page = render_report(*finished(document, table))
    assert "<script" not in page
    assert "<img" not in page


def test_hostile_words_of_an_engine_stay_text() -> None:
    document, table = sample([Engine(runtime="vllm")])
    run = document["runs"][0]  # type: ignore[index]
    run.update(status="failed", cause=HOSTILE, last_words=[HOSTILE], target_url=HOSTILE)
    document.update(command=HOSTILE, id=HOSTILE, created_at=HOSTILE)
    page = render_report(*finished(document, table))
    assert "<script" not in page
    assert "What failed" in page


def test_a_simulated_runtime_is_labelled_wherever_it_is_drawn(page: str) -> None:
    assert "Simulated engine" in page
    assert page.count("sim (simulated)") > 10


def test_a_failed_run_shows_cause_and_last_words() -> None:
    document, table = sample([Engine(runtime="vllm")])
    run = document["runs"][0]  # type: ignore[index]
    run.update(status="failed", cause="the worker died with signal 9", last_words=["out of memory"])
    page = render_report(*finished(document, table))
    assert "the worker died with signal 9" in page
    assert "out of memory" in page
    assert page.index("<h1>Do not use these numbers") < page.index("What failed")


def test_doubts_are_listed_with_what_to_do() -> None:
    page = render_report(*finished(*sample([Engine(runtime="vllm", error_share=0.05)])))
    assert "<code>errors</code>" in page
    assert "To do:" in page


def test_every_chart_has_words_for_those_who_cannot_see_it(page: str) -> None:
    charts = page.count('<svg class="chart"')
    assert charts >= 16
    assert page.count("<desc") == charts
    assert page.count("As a table") == charts


@pytest.mark.parametrize("outcome", [Outcome.CONNECT_FAILED, Outcome.TIMEOUT])
def test_a_run_without_answers_still_makes_a_page(outcome: Outcome) -> None:
    silent = one_request(
        outcome=outcome, first_ns=None, end_ns=None, headers_ns=None, chunk_ns=(), chunk_tokens=(), output_tokens=None
    )
    page = render_report(*finished(*one_run([silent])))
    assert "Nothing was measured" in page or "Do not use" in page


def test_a_benchmark_without_any_row_still_makes_a_page() -> None:
    document, _ = sample([Engine(runtime="vllm")])
    assert "No request was recorded" in render_report(*finished(document, requests_file([])))


def test_no_number_is_nan(page: str) -> None:
    assert not re.search(r"\bnan\b|\binf\b", page)


def test_markdown_has_the_headline_the_table_and_the_doubts() -> None:
    document, _ = finished(*sample([Engine(runtime="vllm", error_share=0.05)]))
    words = render_markdown(document)
    assert words.startswith("# Benchmark: SUSPECT\n")
    assert "| qa-short | vllm | SUSPECT |" in words
    assert "`errors`" in words


def test_markdown_escapes_what_could_be_markup() -> None:
    document, _ = finished(*sample([Engine(runtime="a|b<i>")]))
    assert "a\\|b&lt;i&gt;" in render_markdown(document)


def test_parity_is_shown_where_it_was_measured(page: str) -> None:
    document, table = finished(*sample([Engine(runtime="a"), Engine(runtime="b")], [Load()]))
    answers = [an_answer([1, 2, 3], finish="stop")] * 4
    hostile = a_recording(answers, runtime=HOSTILE, scores=rows_of(answers))
    result = to_plain(judge_parity(a_reference(answers), hostile))
    shown = render_report({**document, "parity": result}, table)
    assert 'id="parity"' in shown
    assert "4 of 4 answers are equal to the last token" in shown
    assert HOSTILE not in shown
    assert "## Parity: ✓ Pass" in render_markdown({**document, "parity": result})
    assert 'id="parity"' not in page
