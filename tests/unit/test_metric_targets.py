"""Where pages of metrics are: files of living processes, and the document Prometheus reads."""

import json
import os
from pathlib import Path

import psutil
import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.settings import read_settings
from tokenforge.telemetry.targets import MetricsTarget, TargetFiles, discovery

CONTROL = MetricsTarget(address="127.0.0.1:9464", labels={"process": "control"})


def test_a_page_is_told_as_long_as_it_is_served(tmp_path: Path) -> None:
    files = TargetFiles(tmp_path / "targets")
    with files.said("control", CONTROL):
        assert files.living() == (CONTROL,)
    assert files.living() == ()


def test_a_process_that_died_without_a_word_is_not_told(tmp_path: Path) -> None:
    files = TargetFiles(tmp_path)
    with files.said("control", CONTROL):
        (path,) = tmp_path.glob("*.json")
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "started_s": content["started_s"] - 100}))
        assert files.living() == ()


def test_what_killed_processes_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    files = TargetFiles(tmp_path)
    (tmp_path / "control-1.target.json").write_text('{"pid": 1, "started_s": 0.0, "labels": {}, "address": "a"}')
    with files.said("control", CONTROL):
        assert [path.name for path in tmp_path.iterdir()] == [f"control-{os.getpid()}.target.json"]


def test_where_nothing_can_be_written_the_process_works_on_untold(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file stands where the folder should be")
    files = TargetFiles(tmp_path / "taken")
    with files.said("control", CONTROL):
        assert files.living() == ()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x"}', '{"pid": 1, "started_s": 0, "labels": []}'])
def test_a_broken_file_is_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.target.json").write_text(text)
    assert TargetFiles(tmp_path).living() == ()


def test_a_folder_that_is_not_there_has_no_targets(tmp_path: Path) -> None:
    assert TargetFiles(tmp_path / "none").living() == ()


def test_the_document_is_that_of_http_service_discovery() -> None:
    assert discovery([CONTROL]) == [{"targets": ["127.0.0.1:9464"], "labels": {"process": "control"}}]


def test_a_file_names_its_process(tmp_path: Path) -> None:
    with TargetFiles(tmp_path).said("bench", CONTROL):
        (path,) = tmp_path.glob("*.json")
        content = json.loads(path.read_text())
    assert content["pid"] == os.getpid()
    assert content["started_s"] == psutil.Process().create_time()


@pytest.mark.parametrize(
    ("said", "read"),
    [("", ("127.0.0.1", 0)), ("off", None), ("0.0.0.0:9464", ("0.0.0.0", 9464)), ("[::1]:9", ("::1", 9))],
)
def test_where_metrics_are_served_is_a_setting(said: str, read: object) -> None:
    assert read_settings({"TOKENFORGE_METRICS_LISTEN": said}).metrics_listen == read


@pytest.mark.parametrize("said", ["9464", ":9464", "host", "host:-1", "host:70000", "on"])
def test_an_address_that_is_none_is_refused_by_name(said: str) -> None:
    with pytest.raises(InvalidInput, match="TOKENFORGE_METRICS_LISTEN"):
        read_settings({"TOKENFORGE_METRICS_LISTEN": said})
