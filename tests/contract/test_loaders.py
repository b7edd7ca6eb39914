"""What every loader of a trace or a dataset must hold: ours, and the example plug-in's."""

import json
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tokenforge.bench.dataset_formats import DATASET_LOADERS
from tokenforge.bench.datasets import read_dataset
from tokenforge.bench.loaders import DATASETS, TRACES, known_formats
from tokenforge.bench.trace_formats import MOST_TOKENS, TRACE_LOADERS
from tokenforge.bench.traces import read_trace
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.recorded import DatasetPrompt, TraceRow
from tokenforge.domain.workload import Dataset, Trace

EXAMPLE = Path(__file__).parents[2] / "examples/load-plugin/src"
WEBLOG = EntryPoint(name="weblog", value="tokenforge_weblog.loaders:trace_rows", group=TRACES)
LINES = EntryPoint(name="lines", value="tokenforge_weblog.loaders:prompts", group=DATASETS)

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2024-01-01 00:00:00.5,9,3
2024-01-01 00:00:01,8,2
"""
BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,GPT-4,9,3,12,API log
6,ChatGPT,8,2,10,Conversation log
"""
MOONCAKE = [
    {"timestamp": 0, "input_length": 9, "output_length": 3, "hash_ids": [0]},
    {"timestamp": 500, "input_length": 8, "output_length": 2, "hash_ids": [0]},
]
TRACE_SAMPLES = {
    "azure": AZURE,
    "burstgpt": BURSTGPT,
    "mooncake": "\n".join(map(json.dumps, MOONCAKE)),
    "weblog": "0.5 9 3\n1 8 2\n",
}
DATASET_SAMPLES = {
    "jsonl": '{"prompt": "a b"}\n{"messages": [{"role": "user", "content": "c"}]}\n',
    "lines": "a b\nc\n",
}


@pytest.fixture(autouse=True)
def _example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))


@pytest.fixture(params=sorted(TRACE_SAMPLES))
def trace_rows(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], list[TraceRow]]:
    (tmp_path / "trace").write_text(TRACE_SAMPLES[request.param])
    loader: Callable[[Path], Iterable[TraceRow]] = TRACE_LOADERS.get(request.param) or WEBLOG.load()
    return lambda: list(loader(tmp_path / "trace"))


@pytest.fixture(params=sorted(DATASET_SAMPLES))
def prompts(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], list[DatasetPrompt]]:
    (tmp_path / "data").write_text(DATASET_SAMPLES[request.param])
    loader: Callable[[Path], Iterable[DatasetPrompt]] = DATASET_LOADERS.get(request.param) or LINES.load()
    return lambda: list(loader(tmp_path / "data"))


def test_a_trace_is_rows_that_can_be_sent(trace_rows: Callable[[], list[TraceRow]]) -> None:
    rows = trace_rows()
    assert [(row.prompt_tokens, row.output_tokens) for row in rows] == [(9, 3), (8, 2)]
    assert rows[1].at_ns - rows[0].at_ns in {500_000_000, 1_000_000_000}
    assert all(0 < row.prompt_tokens <= MOST_TOKENS for row in rows)


def test_a_trace_read_again_is_the_same(trace_rows: Callable[[], list[TraceRow]]) -> None:
    assert trace_rows() == trace_rows()


def test_a_dataset_is_prompts_with_something_in_them(prompts: Callable[[], list[DatasetPrompt]]) -> None:
    made = prompts()
    assert [prompt.flat.removeprefix("user: ") for prompt in made] == ["a b", "c"]
    assert all((prompt.text is None) != (prompt.messages is None) for prompt in made)


def test_a_dataset_read_again_is_the_same(prompts: Callable[[], list[DatasetPrompt]]) -> None:
    assert prompts() == prompts()


def test_a_plug_in_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(TRACE_SAMPLES["weblog"] + "2 7 0\n")
    read = read_trace(Trace(path=str(tmp_path / "a.log"), format="weblog"), points=[WEBLOG])
    assert [row.at_ns for row in read.rows] == [0, 500_000_000]
    assert "1 requests of the trace failed" in read.notes[0]
    (tmp_path / "p.txt").write_text("one\ntwo\n")
    data = read_dataset(Dataset(path=str(tmp_path / "p.txt"), format="lines"), points=[LINES])
    assert [prompt.text for prompt in data] == ["one", "two"]


def test_an_unknown_format_is_answered_with_all_there_are(tmp_path: Path) -> None:
    assert known_formats(TRACES, TRACE_LOADERS, points=[WEBLOG]) == ("azure", "burstgpt", "mooncake", "weblog")
    with pytest.raises(InvalidInput, match=r"did you mean weblog\? there are: azure, burstgpt, mooncake, weblog"):
        read_trace(Trace(path=str(tmp_path), format="weblok"), points=[WEBLOG])


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("no_such_package:rows", "does not load: ModuleNotFoundError"),
        ("tokenforge_weblog.loaders:__doc__", "is a str, not a function of a path"),
        ("tokenforge_weblog.loaders:prompts", "row 1 is a DatasetPrompt, not a TraceRow"),
        ("json:loads", "can't be read: TypeError"),
    ],
)
def test_a_broken_plug_in_is_told_with_its_cause(tmp_path: Path, value: str, cause: str) -> None:
    (tmp_path / "a.log").write_text("1 2 3\n")
    point = EntryPoint(name="broken", value=value, group=TRACES)
    with pytest.raises(InvalidInput, match=cause):
        read_trace(Trace(path=str(tmp_path / "a.log"), format="broken"), points=[point])


def test_two_packages_of_one_name_are_both_named(tmp_path: Path) -> None:
    twin = EntryPoint(name="weblog", value="json:loads", group=TRACES)
    with pytest.raises(InvalidInput, match=r"several packages: json:loads and tokenforge_weblog"):
        read_trace(Trace(path=str(tmp_path), format="weblog"), points=[WEBLOG, twin])
