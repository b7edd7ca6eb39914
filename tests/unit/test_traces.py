"""Recorded loads."""

import json
from pathlib import Path

import pytest

from tokenforge.bench.plan import plan_trial
from tokenforge.bench.traces import fit_trace, read_trace
from tokenforge.domain.errors import InvalidInput, NotFound
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.workload import Arrival, Trace, TraceFormat, Workload

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:16:00.0000001,3000,1
"""
MOONCAKE = [
    {"timestamp": 0, "input_length": 1100, "output_length": 50, "hash_ids": [0, 1, 2]},
    {"timestamp": 1500, "input_length": 1200, "output_length": 40, "hash_ids": [0, 1, 7]},
]


class Letters:
    """One id per letter."""

    plain_ids = tuple(range(26))

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids: object) -> str:
        return "".join(chr(97 + i) for i in ids)  # type: ignore[attr-defined]


@pytest.fixture
def azure(tmp_path: Path) -> Trace:
    (tmp_path / "a.csv").write_text(AZURE)
    return Trace(path=str(tmp_path / "a.csv"), format=TraceFormat.AZURE)


@pytest.fixture
def mooncake(tmp_path: Path) -> Trace:
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, MOONCAKE)))
    return Trace(path=str(tmp_path / "m.jsonl"), format=TraceFormat.MOONCAKE)


def test_azure_times_count_from_the_first_row_to_a_tenth_of_a_microsecond(azure: Trace) -> None:
    rows = read_trace(azure).rows
    assert [row.at_ns for row in rows] == [0, 4_314_579_000, 13_319_410_100]
    assert [(row.prompt_tokens, row.output_tokens) for row in rows] == [(374, 44), (396, 109), (3000, 1)]


def test_mooncake_times_are_milliseconds(mooncake: Trace) -> None:
    assert [row.at_ns for row in read_trace(mooncake).rows] == [0, 1_500_000_000]


def test_speed_and_limit(azure: Trace) -> None:
    fast = Trace(path=azure.path, format=azure.format, speed=2.0, limit=2)
    assert [row.at_ns for row in read_trace(fast).rows] == [0, 2_157_289_500]


def test_lengths_that_fit_are_left_alone(azure: Trace) -> None:
    fitted = fit_trace(read_trace(azure).rows, window=4000)
    assert (fitted.scale, fitted.notes) == (1.0, ())


def test_lengths_that_do_not_fit_are_scaled_by_one_factor_and_said_so(azure: Trace) -> None:
    fitted = fit_trace(read_trace(azure).rows, window=1000)
    assert fitted.scale == pytest.approx(1000 / 3001)
    assert max(row.prompt_tokens + row.output_tokens for row in fitted.rows) <= 1000
    assert fitted.rows[0].prompt_tokens == int(374 * fitted.scale)
    assert "0.3332" in fitted.notes[0]


def test_equal_blocks_become_equal_tokens(mooncake: Trace) -> None:
    workload = Workload(name="m", arrival=Arrival.TRACE, trace=mooncake)
    form = PromptForm.TOKEN_IDS
    plan = plan_trial(workload, trial=0, seed=1, tokenizer=Letters(), window=None, form=form)
    first, second = (request.prompt_ids or () for request in plan.requests)
    assert first[:1024] == second[:1024]
    assert first[1024:] != second[1024:1100]
    assert (len(first), len(second)) == (1100, 1200)


@pytest.mark.parametrize("row", ["yesterday,1,2", "2023-11-16 18:15:46.68,many,2", "2023-11-16 18:15:46.68,1"])
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, row: str) -> None:
    (tmp_path / "bad.csv").write_text(AZURE + row + "\n")
    with pytest.raises(InvalidInput, match="line 5"):
        read_trace(Trace(path=str(tmp_path / "bad.csv"), format=TraceFormat.AZURE))


@pytest.mark.parametrize("line", ["not json", "[]", '{"timestamp": 1}', '{"timestamp": 1, "input_length": -4}'])
def test_a_bad_line_is_named_too(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.jsonl").write_text(json.dumps(MOONCAKE[0]) + "\n" + line + "\n")
    with pytest.raises(InvalidInput, match="line 2"):
        read_trace(Trace(path=str(tmp_path / "bad.jsonl"), format=TraceFormat.MOONCAKE))


def test_a_file_of_another_layout_is_told_the_columns_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInput, match="ContextTokens"):
        read_trace(Trace(path=str(tmp_path / "x.csv"), format=TraceFormat.AZURE))


def test_a_missing_file_says_how_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="--trace"):
        read_trace(Trace(path=str(tmp_path / "no.csv"), format=TraceFormat.AZURE))


def test_an_empty_trace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text("\n")
    with pytest.raises(InvalidInput, match="no request"):
        read_trace(Trace(path=str(tmp_path / "e.jsonl"), format=TraceFormat.MOONCAKE))


BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45.25,ChatGPT,1087,0,1087,Conversation log
118,GPT-4,0,276,276,API log
"""


@pytest.fixture
def burstgpt(tmp_path: Path) -> Trace:
    (tmp_path / "b.csv").write_text(BURSTGPT)
    return Trace(path=str(tmp_path / "b.csv"), format=TraceFormat.BURSTGPT)


def test_burstgpt_times_are_seconds_and_its_failures_are_skipped_and_counted(burstgpt: Trace) -> None:
    read = read_trace(burstgpt)
    assert [(row.at_ns, row.prompt_tokens, row.output_tokens) for row in read.rows] == [
        (0, 472, 18),
        (113_000_000_000, 1, 276),
    ]
    assert read.notes == (
        "1 requests of the trace failed when they were recorded (no output tokens): they are not sent",
    )


def test_the_limit_counts_requests_that_are_sent(burstgpt: Trace) -> None:
    assert len(read_trace(Trace(path=burstgpt.path, format=burstgpt.format, limit=2)).rows) == 2
    assert read_trace(Trace(path=burstgpt.path, format=burstgpt.format, limit=1)).notes == ()


def test_what_was_left_out_stands_in_the_plan(burstgpt: Trace) -> None:
    workload = Workload(name="b", arrival=Arrival.TRACE, trace=burstgpt)
    plan = plan_trial(workload, trial=0, seed=1, tokenizer=Letters(), window=100, form=PromptForm.TOKEN_IDS)
    assert "1 requests of the trace failed" in plan.notes[0]
    assert "scaled by" in plan.notes[1]


@pytest.mark.parametrize("row", ["x,GPT-4,1,2,3,API log", "nan,GPT-4,1,2,3,API log", "9,GPT-4,1.5,2,3,API log", "9"])
def test_a_bad_burstgpt_row_is_named_by_its_line(burstgpt: Trace, row: str) -> None:
    Path(burstgpt.path).write_text(BURSTGPT + row + "\n")
    with pytest.raises(InvalidInput, match="line 5"):
        read_trace(burstgpt)


def test_the_later_burstgpt_layout_with_sessions_is_read_by_its_column_names(tmp_path: Path) -> None:
    head = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type"
    rows = ("100.0,s-1,43,GPT-4,906,446,1352,Conversation log", "151.5,s-2,2,ChatGPT,36,29,65,API log")
    (tmp_path / "b3.csv").write_text("\n".join((head, *rows)))
    read = read_trace(Trace(path=str(tmp_path / "b3.csv"), format=TraceFormat.BURSTGPT))
    assert [(row.at_ns, row.prompt_tokens) for row in read.rows] == [(0, 906), (51_500_000_000, 36)]
