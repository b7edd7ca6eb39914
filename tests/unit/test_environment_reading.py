"""Reading the machine."""

import json
from pathlib import Path

import psutil
import pytest

from tokenforge.bench.environment import (
    read_environment,
    read_pressure,
    read_tool,
    steal_share,
    throttled_s,
    throttled_share,
)


def test_the_environment_is_json_and_names_the_processor() -> None:
    machine = json.loads(json.dumps(read_environment()))["machine"]
    assert machine["cpu_threads"] >= 1
    assert machine["memory_bytes"] > 1 << 30


def test_the_home_folder_is_not_in_it() -> None:
    assert str(Path.home()) not in json.dumps([read_environment(), read_tool()])


def test_the_tool_tells_its_version() -> None:
    assert read_tool()["version"].count(".") == 2


def test_stolen_time_is_that_between_the_readings_only() -> None:
    before, after = {"cpu_s": 100.0, "steal_s": 50.0}, {"cpu_s": 110.0, "steal_s": 51.0}
    assert steal_share(before, after) == 0.1


def test_a_system_that_does_not_tell_gives_no_share() -> None:
    reading = {"cpu_s": 1.0, "steal_s": None}
    assert steal_share(reading, {**reading, "cpu_s": 2.0}) is None


def test_time_under_a_cpu_limit_is_a_share_of_the_time_that_passed() -> None:
    threads = psutil.cpu_count() or 1
    before, after = {"cpu_s": 100.0, "throttled_s": 2.0}, {"cpu_s": 100.0 + 20.0 * threads, "throttled_s": 3.0}
    assert throttled_share(before, after) == pytest.approx(0.05)
    assert throttled_share({**before, "throttled_s": None}, after) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("usage_usec 5\nnr_throttled 3\nthrottled_usec 2500000\n", 2.5), ("usage_usec 5\n", None), (None, None)],
)
def test_the_control_groups_word_is_read_or_absent(text: str | None, seconds: float | None) -> None:
    assert throttled_s(text) == seconds


def test_two_real_readings_give_a_share_between_0_and_1() -> None:
    first = read_pressure()
    sum(range(2_000_000))
    share = steal_share(first, read_pressure())
    assert share is None or 0 <= share <= 1
