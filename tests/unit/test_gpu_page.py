"""The page of results on a GPU: made from the kept records alone, which hold what it says."""

import json
from pathlib import Path
from typing import Any

import pytest
from limit_samples import hardware_record
from record_samples import Engine, Load, sample

from gpu.keep import kept
from gpu.page import FOLDER, TABLES, WORDS, ordered, page_text, ratios_by_load, read_records
from gpu.planted import verdicts
from gpu.small import without_folders
from tokenforge.analysis.summary import summarise
from tokenforge.domain.canonical import to_plain

RECORDS = read_records(FOLDER)
POINTS = [point for record in RECORDS.values() for point in record.get("points", ())]


def test_the_page_is_what_its_records_make() -> None:
    assert FOLDER.with_suffix(".md").read_text() == page_text(WORDS.read_text(), RECORDS)


def test_a_table_or_a_record_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError, match="nothing"):
        page_text("{{latency of nothing}}", RECORDS)
    with pytest.raises(KeyError, match="colour"):
        page_text("{{colour of sides}}", RECORDS)


def test_what_was_run_has_its_section_and_what_was_not_is_listed() -> None:
    words = "a\n{{#run}}\n{{planted of run}}\n{{/run}}\n{{^run}}\nnot run\n{{/run}}\nb\n"
    assert page_text(words, {}) == "a\nnot run\nb\n"
    record: dict[str, Any] = {"found": {}}
    assert page_text(words, {"run": record}) == f"a\n{TABLES['planted'](record)}\nb\n"


def test_every_table_is_on_the_page() -> None:
    assert all(f"{{{{{name} of " in WORDS.read_text() for name in TABLES)


def test_what_is_kept_is_small_and_names_no_folder_of_a_machine() -> None:
    files = list(FOLDER.iterdir())
    assert sum(file.stat().st_size for file in files) < 2_000_000
    assert all(file.stat().st_size < 300_000 for file in files)
    assert not any("/tmp" in file.read_text() or "/home" in file.read_text() for file in files)


def test_no_point_is_beyond_its_roofline() -> None:
    shares = [point[key] for point in POINTS for key in ("decode_mbu", "prefill_mfu") if point[key] is not None]
    assert len(shares) > 20
    assert all(0 < share <= 1.05 for share in shares)


def test_energy_is_told_alike_by_counter_and_power() -> None:
    ratios = [point["counter_over_integral"] for point in POINTS if point["counter_over_integral"] is not None]
    assert len(ratios) > 20
    assert all(abs(ratio - 1) <= 0.05 for ratio in ratios)


def test_a_command_is_kept_without_its_folders() -> None:
    assert without_folders("tokenforge bench /a/b-c/d.yaml --out /x/y") == "tokenforge bench d.yaml --out y"
    assert without_folders("--url http://127.0.0.1:80/v1/models") == "--url http://127.0.0.1:80/v1/models"


def test_sides_of_one_load_stand_together() -> None:
    points = [{"load": load, "side": side} for side in "ab" for load in ("r8", "c8", "c1")]
    assert [point["load"] for point in ordered(points)] == ["c1", "c1", "c8", "c8", "r8", "r8"]


def test_a_ratio_of_two_sides_ranges_from_worst_against_best() -> None:
    def point(side: str, value: float, *, verdict: str = "VALID") -> dict[str, Any]:
        rate = {"value": value, "low": value - 10, "high": value + 10}
        return {"side": side, "load": "c8", "verdict": verdict, "output_tokens_per_s": rate}

    points = [point("us", 200), point("them", 100), point("bad", 50, verdict="INVALID")]
    text = ratios_by_load(points, side="us", others=("them", "bad"))
    assert text.splitlines()[-1] == "| c8 | 2.00 (1.73 to 2.33) | - |"


def test_runs_of_a_question_are_kept_with_their_ratios(tmp_path: Path) -> None:
    document, requests = sample([Engine(runtime="a"), Engine(runtime="b")], [Load(requests=60)], trials=6)
    record = {**document, "summary": to_plain(summarise(document, requests))}
    (tmp_path / "record.json").write_text(json.dumps(record))
    small = kept("tax", [("both", tmp_path)])
    assert [run["runtime"] for run in small["runs"]] == ["a", "b"]
    assert {row["metric"] for row in small["ratios"]} >= {"output_tokens_per_s", "ttft_p50", "itl_p50"}


def test_a_file_is_kept_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"passes": true}')
    assert kept("parity", [("bf16", tmp_path / "p.json")])["found"] == {"bf16": {"passes": True}}


@pytest.mark.parametrize(("claim", "rings"), [("llama-3-70b", True), ("llama-3-8b", False)])
def test_a_run_said_to_be_of_a_larger_model_is_called_impossible(claim: str, rings: bool) -> None:
    document, requests = hardware_record(engine=Engine(runtime="vllm", prefill_ms=30, step_ms=8))
    (row,) = verdicts(document, requests, claim=claim)
    assert row["rings"] is rings
