"""Log lines in both forms, their fields, and what is never in them."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from tokenforge.domain.observing import LogForm
from tokenforge.telemetry.logs import log_request, set_up_command_logs, set_up_logs

_log = logging.getLogger("part")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before, hook = (root.handlers[:], root.level), sys.excepthook
    yield
    root.handlers[:], root.level = before
    sys.excepthook = hook


def lines_of(form: LogForm) -> io.StringIO:
    stream = io.StringIO()
    set_up_logs(stream, process="worker", form=form)
    return stream


def test_a_request_is_one_json_object_with_its_fields() -> None:
    stream = lines_of(LogForm.JSON)
    log_request(_log, {"request_id": "a-1", "outcome": "ok", "duration_s": 0.25, "prompt_tokens": None})
    line = json.loads(stream.getvalue())
    assert (line["process"], line["message"], line["request_id"]) == ("worker", "request", "a-1")
    assert line["duration_s"] == 0.25
    assert "prompt_tokens" not in line
    assert line["time"].endswith("Z")


def test_a_message_with_line_breaks_stays_one_line() -> None:
    stream = lines_of(LogForm.JSON)
    _log.warning("one\ntwo\u2028three")
    assert len(stream.getvalue().splitlines()) <= 2
    assert json.loads(stream.getvalue())["message"] == "one\ntwo\u2028three"


def test_an_error_has_its_trace_in_the_same_object() -> None:
    stream = lines_of(LogForm.JSON)
    try:
        raise ValueError("broken")
    except ValueError:
        _log.exception("it failed")
    assert "ValueError: broken" in json.loads(stream.getvalue())["error"]


def test_for_people_fields_follow_the_message() -> None:
    stream = lines_of(LogForm.PRETTY)
    log_request(_log, {"request_id": "a-1", "outcome": "ok", "duration_s": 0.25, "path": 'a "b'})
    assert (
        stream.getvalue()
        .strip()
        .endswith('worker INFO part request request_id=a-1 outcome=ok duration_s=0.2500 path="a \\"b"')
    )


def test_a_field_that_the_catalogue_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="secret"):
        log_request(_log, {"secret": "x"})


def words_of(*writings: str) -> list[dict[str, str]]:
    """The objects that a command's own words become."""
    stream = io.StringIO()
    lines = set_up_command_logs(stream, LogForm.JSON)
    for text in writings:
        lines.write(text)
    lines.close()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_commands_own_words_are_objects_too() -> None:
    (going,) = words_of("vllm: ", "ready\n")
    assert (going["process"], going["level"], going["message"]) == ("command", "info", "vllm: ready")


def test_a_commands_error_is_one_object_however_many_lines_it_has() -> None:
    (failed,) = words_of("error: two faults\n  one\n  two\n", "\n")
    assert (failed["level"], failed["message"]) == ("error", "two faults\n  one\n  two")


def test_words_without_a_line_break_are_logged_at_the_end() -> None:
    assert [line["message"] for line in words_of("half a line")] == ["half a line"]


def test_what_never_ends_its_line_is_bounded() -> None:
    assert len(words_of(*["x" * 1024] * 200)) > 1


def test_logs_of_a_process_go_past_a_commands_lines() -> None:
    stream = io.StringIO()
    set_up_logs(set_up_command_logs(stream, LogForm.JSON), process="control", form=LogForm.JSON)
    _log.warning("once")
    (line,) = stream.getvalue().splitlines()
    assert (json.loads(line)["process"], json.loads(line)["message"]) == ("control", "once")


def test_for_people_a_commands_words_stay_as_they_are() -> None:
    stream = io.StringIO()
    assert set_up_command_logs(stream, LogForm.PRETTY) is stream
    _log.info("not asked for")
    _log.warning("look")
    assert stream.getvalue().endswith(" command WARNING part look\n")
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("form", LogForm)
def test_a_callers_name_of_10_kb_does_not_make_a_line_long(form: LogForm) -> None:
    stream = lines_of(form)
    log_request(_log, {"model": "k" * 10_240, "prompt": "p" * 1000})
    assert "k" * 256 + "... (10240 characters)" in stream.getvalue()
    assert "p" * 1000 in stream.getvalue()
    assert len(stream.getvalue()) < 2000


def test_what_turns_a_line_around_is_written_out() -> None:
    stream = lines_of(LogForm.PRETTY)
    log_request(_log, {"model": "a\u202eb\x1b[31m"})
    assert "a\\u202eb\\u001b[31m" in stream.getvalue()
