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
