"""Log lines in both forms, their fields, and what is never in them."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from tokenforge.domain.observing import LogForm
from tokenforge.telemetry.logs import log_request, set_up_logs

_log = logging.getLogger("part")


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


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
