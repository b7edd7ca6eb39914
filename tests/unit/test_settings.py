"""What the environment says, read once."""

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.settings import read_settings


def test_the_api_key_reaches_no_child_and_no_text() -> None:
    settings = read_settings({"HOME": "/h", "TOKENFORGE_API_KEY": "tf-a-secret"})
    assert settings.api_key == "tf-a-secret"
    assert "TOKENFORGE_API_KEY" not in settings.child_env
    assert "tf-a-secret" not in repr(settings)


@pytest.mark.parametrize(("said", "read_s"), [("", 30.0), ("0", 0.0), ("2.5", 2.5), ("3600", 3600.0)])
def test_the_time_to_drain_is_read_in_seconds(said: str, read_s: float) -> None:
    assert read_settings({"TOKENFORGE_DRAIN_S": said}).drain_s == read_s


@pytest.mark.parametrize("said", ["soon", "-1", "3601", "nan", "inf"])
def test_a_time_to_drain_that_is_none_is_refused_by_name(said: str) -> None:
    with pytest.raises(InvalidInput, match="TOKENFORGE_DRAIN_S"):
        read_settings({"TOKENFORGE_DRAIN_S": said})


def test_traces_are_off_until_an_address_is_said() -> None:
    assert read_settings({}).observing.traces_url is None
    said = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318/"}
    assert read_settings(said).observing.traces_url == "http://127.0.0.1:4318/v1/traces"
    exact = {**said, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:6006/x"}
    assert read_settings(exact).observing.traces_url == "http://127.0.0.1:6006/x"


def test_headers_of_traces_are_read_and_never_shown() -> None:
    observing = read_settings({"OTEL_EXPORTER_OTLP_HEADERS": "X-Key=a%20secret,broken,b=2"}).observing
    assert observing.trace_headers == {"x-key": "a secret", "b": "2"}
    assert "secret" not in repr(observing)


def test_all_that_is_wrong_about_observing_is_told_at_once() -> None:
    said = {"TOKENFORGE_LOG": "xml", "OTEL_TRACES_SAMPLER_ARG": "2", "OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317"}
    with pytest.raises(InvalidInput) as caught:
        read_settings(said)
    assert {fault.field for fault in caught.value.faults} == set(said)


@pytest.mark.parametrize(("said", "share"), [("", 1.0), ("0", 0.0), ("0.25", 0.25), (".5", 0.5), ("1.0", 1.0)])
def test_the_share_of_traced_requests_is_read(said: str, share: float) -> None:
    assert read_settings({"OTEL_TRACES_SAMPLER_ARG": said}).observing.trace_share == share


def test_the_most_replicas_are_a_whole_number_or_left_to_the_machine() -> None:
    assert read_settings({"TOKENFORGE_MOST_REPLICAS": "12"}).most_replicas == 12
    assert read_settings({}).most_replicas is None
    for said in ("0", "-1", "many", "1.5", "9999"):
        with pytest.raises(InvalidInput, match="TOKENFORGE_MOST_REPLICAS"):
            read_settings({"TOKENFORGE_MOST_REPLICAS": said})
