"""Which runs are held against which: named one by one, or found in a folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from gate_samples import a_record

from tokenforge.cli.gate import Asked, read_rules
from tokenforge.cli.gate_runs import Chosen, choose_runs
from tokenforge.domain.errors import InvalidInput, NotFound, StoreFailed
from tokenforge.store.record_file import find_records, read_record_file

Write = Callable[[int], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the record of a number into a folder `runs/run-NUMBER`."""

    def one(number: int) -> Path:
        folder = tmp_path / "runs" / f"run-{number}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(a_record([1.0, 2.0], number=number)))
        return folder

    return one


def ids(chosen: Chosen) -> tuple[list[str], list[str]]:
    return [run.record_id for run in chosen.earlier], [run.record_id for run in chosen.candidates]


def asked(**changes: object) -> Asked:
    plain = {
        "runs": (), "candidates": (), "history": None, "margins": (), "metrics": (), "between_runs": "3%",
        "any_hardware": False, "summary": None, "github_summary": False, "as_json": False,
    }  # fmt: skip
    return Asked(**{**plain, **changes})  # type: ignore[arg-type]


def test_the_last_run_named_is_the_candidate(write: Write) -> None:
    assert ids(choose_runs([write(1), write(2), write(3)], [], None)) == (["id-001", "id-002"], ["id-003"])


def test_a_record_is_named_by_its_folder_or_its_file(write: Write) -> None:
    first, second = write(1), write(2)
    assert ids(choose_runs([first, second / "record.json"], [], None)) == (["id-001"], ["id-002"])


def test_candidates_that_are_named_leave_the_rest_as_earlier_runs(write: Write) -> None:
    chosen = choose_runs([write(1), write(2)], [write(3), write(4)], None)
    assert ids(chosen) == (["id-001", "id-002"], ["id-003", "id-004"])


def test_the_newest_of_a_folder_is_the_candidate(write: Write, tmp_path: Path) -> None:
    for number in (3, 1, 2):
        write(number)
    assert ids(choose_runs([], [], tmp_path / "runs")) == (["id-001", "id-002"], ["id-003"])


def test_runs_newer_than_the_candidate_are_not_its_history(write: Write, tmp_path: Path) -> None:
    folders = [write(number) for number in (1, 2, 3)]
    chosen = choose_runs([], [folders[1]], tmp_path / "runs")
    assert ids(chosen) == (["id-001"], ["id-002"])
    assert "1 run in" in chosen.notes[0]


def test_a_record_that_cannot_be_read_is_left_out_of_a_folder_and_said(write: Write, tmp_path: Path) -> None:
    write(1), write(2)
    (write(0) / "record.json").write_text("{")
    chosen = choose_runs([], [], tmp_path / "runs")
    assert ids(chosen) == (["id-001"], ["id-002"])
    assert "is not JSON" in chosen.notes[0]


def test_a_run_against_itself_is_refused(write: Write) -> None:
    folder = write(1)
    with pytest.raises(InvalidInput, match="both an earlier run and the candidate"):
        choose_runs([folder, folder], [], None)


@pytest.mark.parametrize(
    ("given", "candidates", "history", "words"),
    [
        (["a"], [], None, "needs two runs"),
        ([], ["a", "b"], None, "is missing"),
        (["a", "b"], [], "runs", "don't name both"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(
    given: list[str], candidates: list[str], history: str | None, words: str
) -> None:
    folder = None if history is None else Path(history)
    with pytest.raises(InvalidInput, match=words):
        choose_runs([Path(one) for one in given], [Path(one) for one in candidates], folder)


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.2", 0.2), ("2.5 %", 0.025), (".1", 0.1)])
def test_a_margin_is_a_percentage_or_a_share(text: str, share: float) -> None:
    assert read_rules(asked(margins=(text,))).margin == pytest.approx(share)


def test_a_metric_may_have_a_margin_of_its_own() -> None:
    rules = read_rules(asked(margins=("3%", "ttft_p99=20%"), metrics=("ttft_p99", "ttft_p99"), between_runs="1%"))
    assert (rules.margin, rules.margins, rules.metrics) == (0.03, {"ttft_p99": 0.2}, ("ttft_p99",))
    assert rules.assumed_between == pytest.approx(0.01)


def test_every_fault_of_the_options_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_rules(asked(margins=("-1%", "speed=5%"), metrics=("luck",), between_runs="100%"))
    assert [fault.field for fault in caught.value.faults] == ["--margin", "--margin", "--metric", "--between-runs"]


@pytest.mark.parametrize(
    ("text", "words"), [("[]", "schema None"), ('{"schema": "other/7"}', "other/7"), ("{", "not JSON")]
)
def test_a_file_that_is_no_record_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(StoreFailed, match=rf"record\.json .*{words}"):
        read_record_file(tmp_path)


def test_bytes_that_are_no_text_are_no_record(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StoreFailed, match="is not JSON"):
        read_record_file(tmp_path)


def test_a_folder_without_runs_and_a_file_are_no_history(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holds no runs"):
        find_records(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotFound, match="is not a folder"):
        find_records(tmp_path / "file")
