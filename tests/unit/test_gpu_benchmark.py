"""The benchmarks on a GPU: what a side asks for, what is kept of its record, what the tables say."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from record_samples import Engine, Load, sample

from gpu.calling import call
from gpu.ratios import ratio_rows, ratios_text
from gpu.servers import NotUp, free_port, served
from gpu.sides import Load as Offered
from gpu.sides import parse_side, with_args
from gpu.small import small_record
from gpu.table import table_text
from tokenforge.analysis.summary import summarise
from tokenforge.domain.canonical import to_plain


def recorded(engines: list[Engine], *, trials: int = 3, load: Load | None = None) -> dict[str, Any]:
    document, requests = sample(engines, [load or Load(requests=60)], trials=trials)
    return {**document, "summary": to_plain(summarise(document, requests))}


def test_a_side_names_its_runtime_and_its_arguments() -> None:
    side = parse_side("own=transformers@5.17.0:batching=transformers,page_size=64,at=1+256,trials=2")
    assert (side.name, side.runtime, side.concurrency, side.trials) == ("own", "transformers@5.17.0", (1, 256), 2)
    assert side.engine_args == {"batching": "transformers", "page_size": 64}


def test_arguments_with_commas_are_given_apart() -> None:
    (side,) = with_args([parse_side("s=openai")], ['s={"command": ["serve", "--port", "{port}"]}'])
    assert side.engine_args == {"command": ["serve", "--port", "{port}"]}


def test_arguments_of_no_side_are_refused() -> None:
    with pytest.raises(ValueError, match="'other'"):
        with_args([parse_side("s=openai")], ["other={}"])


def test_a_side_without_a_runtime_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=RUNTIME"):
        parse_side("paged")


def test_each_concurrency_is_a_closed_loop_longer_than_its_clients() -> None:
    text = parse_side("v=vllm@0.25.1").benchmark(
        Offered(concurrency=[1, 256], seconds=1.0), model="m", trials=1, window=9
    )
    loops = json.loads(text)["workloads"]
    assert [loop["concurrency"] for loop in loops] == [1, 256]
    assert loops[1]["requests"] >= 256 + 128


def test_a_slow_side_may_ask_once_a_client_and_leave_out_the_rates() -> None:
    side = parse_side("s=openai:slow=10,waves=1,rates=none")
    loops = json.loads(side.benchmark(Offered(concurrency=[256], rates=[4.0]), model="m", trials=1, window=9))[
        "workloads"
    ]
    assert [(loop["name"], loop["requests"]) for loop in loops] == [("c256", 256)]


def test_rates_are_poisson_arrivals() -> None:
    text = parse_side("v=vllm").benchmark(Offered(concurrency=[], rates=[2.5]), model="m", trials=1, window=9)
    (load,) = json.loads(text)["workloads"]
    assert (load["name"], load["arrival"], load["qps"]) == ("r2.5", "poisson", 2.5)


def test_a_small_record_keeps_the_figures_of_the_summary() -> None:
    record = recorded([Engine(runtime="vllm")])
    small = small_record("side by side", [("v", record)])
    (point,) = small["points"]
    assert point["output_tokens_per_s"]["value"] == record["summary"]["runs"][0]["output_tokens_per_s"]["value"]
    assert (point["side"], point["trials"]) == ("v", 3)
    assert small["runs"][0]["command"] == record["command"]
    assert len(json.dumps(small)) < 10_000


def test_a_question_without_records_has_no_points() -> None:
    assert small_record("side by side", []) == {"question": "side by side", "runs": [], "points": []}


def test_what_was_not_measured_is_a_dash() -> None:
    assert table_text([{"side": "v", "load": "c8"}]).splitlines()[-1].startswith("| v | c8 | - | -")


def test_a_table_shows_intervals_where_there_are_some() -> None:
    point = {"output_tokens_per_s": {"value": 5038.0, "low": 4990.0, "high": 5086.0}}
    assert "| 5,038 (4,990 to 5,086) |" in table_text([point])


def test_equal_engines_keep_every_limit_of_the_tax_and_a_slower_one_does_not() -> None:
    same = recorded([Engine(runtime="a"), Engine(runtime="b")], trials=6)
    slower = recorded([Engine(runtime="a"), Engine(runtime="b", prefill_ms=80)], trials=6)
    first, second = ({row["metric"]: row for row in ratio_rows(record)} for record in (same, slower))
    assert first["ttft_p50"]["quads"] == 3
    assert abs(first["ttft_p50"]["ratio"] - 1) < 0.1
    assert second["ttft_p50"]["ratio"] > 1.3
    assert second["ttft_p50"]["holds"] is False
    assert "| ttft_p50 |" in ratios_text(ratio_rows(slower))


def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path: Any) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    command = ["sh", "-c", "echo no GPU here; exit 3"]
    with (
        pytest.raises(NotUp, match="code 3: no GPU here"),
        served(command, url=url, log=tmp_path / "l", env={}, limit_s=5),
    ):
        pass


def test_a_call_that_takes_too_long_may_still_write_what_it_has(tmp_path: Path) -> None:
    program = (
        "import signal,sys,time\nsignal.signal(2, lambda *_: sys.exit(print('kept') or 7))\nprint('up', flush=True)"
    )
    words = ["-c", f"{program}\ntime.sleep(30)"]
    assert call(words, log=tmp_path / "log", limit_s=1.0, calling=[sys.executable]) == 7
    assert (tmp_path / "log").read_text() == "up\nkept\n"
