"""What people see of parity: the table, the words, and Markdown that names cannot break."""

from parity_samples import a_recording, a_reference, an_answer, rows_of

from tokenforge.analysis.parity import judge_parity
from tokenforge.analysis.plain import Plain
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.parity import ParityResult, not_measured
from tokenforge.report.parity_view import PARITY_COLUMNS, ParityView, parity_markdown, parity_view

SAME = [an_answer([1, 2, 3, 4], finish="stop") for _ in range(8)]


def plain_of(result: ParityResult) -> Plain:
    plain = to_plain(result)
    assert isinstance(plain, dict)
    return plain


def view_of(result: ParityResult) -> ParityView:
    view = parity_view(plain_of(result))
    assert view is not None
    return view


def cells_of(result: ParityResult, label: str) -> tuple[str, ...]:
    return next(row[1:] for row in view_of(result).rows if row[0] == label)


def passed() -> ParityResult:
    return judge_parity(a_reference(SAME), a_recording(SAME, scores=rows_of(SAME)))


def test_every_row_has_a_cell_for_each_column() -> None:
    assert {len(row) for row in view_of(passed()).rows} == {len(PARITY_COLUMNS)}


def test_floor_candidate_and_limit_stand_side_by_side() -> None:
    assert cells_of(passed(), "Answers equal to the last token") == ("8 of 8", "8 of 8", "any")
    assert cells_of(passed(), "Answers that part where none was") == ("0 of 8", "0 of 8", "10 %")
    assert cells_of(passed(), "Same first choice") == ("100 %", "100 %", "any")
    assert cells_of(passed(), "Mean difference of log-probabilities, nats") == ("0", "0", "6.40e-04")


def test_endings_are_told_of_both() -> None:
    others = [an_answer([1, 2, 3, 4]) for _ in range(8)]
    result = judge_parity(a_reference(SAME), a_recording(others, scores=rows_of(SAME)))
    assert cells_of(result, "How answers end") == ("stop 100 %", "length 100 %", "± 10 %")


def test_without_scores_there_are_only_answers() -> None:
    result = judge_parity(a_reference(SAME, scored=False), a_recording(SAME))
    assert not any("log-prob" in row[0] for row in view_of(result).rows)


def test_reasons_come_before_notes() -> None:
    result = judge_parity(a_reference(SAME), a_recording([an_answer([9])] * 8, unscored="it cannot"))
    remarks = view_of(result).remarks
    assert remarks[0].startswith("answers_differ: 8 of 8 answers of ours leave those of reference")
    assert any(remark == "ours was compared by its answers alone: it cannot." for remark in remarks)


def test_what_was_not_measured_has_a_sentence_and_no_table() -> None:
    result = not_measured(model="m", reference="a", candidate="b", code="engine_error", why="b answers with errors")
    assert view_of(result).rows == ()
    assert parity_markdown(plain_of(result)) == [
        "## Parity: ? Not measured",
        "",
        "Whether b says the same as a was not measured: b answers with errors.",
        "",
        "- engine_error: B answers with errors.",
    ]


def test_markdown_has_the_verdict_the_sentence_and_the_table() -> None:
    lines = parity_markdown(plain_of(passed()), heading="# Parity")
    assert lines[0] == "# Parity: ✓ Pass"
    assert lines[2].startswith("ours says the same as reference: 8 of 8 answers")
    assert "| Answers equal to the last token | 8 of 8 | 8 of 8 | any |" in lines


def test_names_cannot_make_markup() -> None:
    result = judge_parity(a_reference(SAME), a_recording(SAME, runtime="<b>|x", scores=rows_of(SAME)))
    assert not any("<b>" in line for line in parity_markdown(plain_of(result)))


def test_a_record_without_parity_shows_nothing() -> None:
    assert parity_view({}) is None
    assert parity_markdown({}) == []
