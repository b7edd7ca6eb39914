"""Where artifacts go and with which key: read from a setting and its surroundings, every fault without its secrets."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.store.blobs.location import Bucket, Credentials, read_location
from tokenforge.store.blobs.s3_uploads import sign

KEY = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "canary-secret"}


def bucket(url: str, **env: str) -> Bucket:
    found = read_location(url, env=env)
    assert isinstance(found, Bucket)
    return found


@pytest.mark.parametrize("url", ["/var/kept", "file:///var/kept"])
def test_a_path_is_a_folder(url: str) -> None:
    assert read_location(url, env={}) == Path("/var/kept")


def test_a_bucket_has_prefix_endpoint_and_region() -> None:
    found = bucket("s3://b/some/where/?endpoint=http://h:9000/&region=eu-1", **KEY)
    assert (found.name, found.prefix, found.endpoint, found.region) == ("b", "some/where", "http://h:9000", "eu-1")
    assert found.shown == "s3://b/some/where at http://h:9000"


def test_the_endpoint_of_the_environment_is_for_urls_that_name_none() -> None:
    env = {"AWS_ENDPOINT_URL_S3": "https://s3.example", "AWS_REGION": "r"}
    assert bucket("s3://b", **env).endpoint == "https://s3.example"
    assert bucket("s3://b?endpoint=http://other", **env).endpoint == "http://other"


def test_a_key_comes_from_the_environment_from_files_or_from_a_profile(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("AK\n")
    (tmp_path / "secret").write_text("S\n")
    (tmp_path / "profiles").write_text("[ci]\naws_access_key_id = AK\naws_secret_access_key = S\n")
    files = {"AWS_ACCESS_KEY_ID_FILE": str(tmp_path / "id"), "AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "secret")}
    profile = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "profiles"), "AWS_PROFILE": "ci"}
    for env in ({"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "S"}, files, profile):
        assert bucket("s3://b", **env).credentials == Credentials(key="AK", secret="S")
    assert bucket("s3://b").credentials is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gs://b", "has the scheme 'gs'"),
        ("s3://AK:canary-secret@b", "holds a user or a key"),
        ("s3://b?secret=canary-secret", "has the option 'secret'"),
        ("s3://b?endpoint=h:9000", "has an endpoint that is not http"),
        ("s3://b?endpoint=http://u:canary-secret@h", "has an endpoint that is not http"),
        ("s3:///prefix", "names no bucket"),
        ("s3://[b", "is no address"),
    ],
)
def test_what_cannot_be_used_is_told_without_its_secret(url: str, said: str) -> None:
    with pytest.raises(InvalidInput, match="TOKENFORGE_ARTIFACTS_URL") as caught:
        read_location(url, env=KEY)
    assert said in str(caught.value)
    assert "canary-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "env",
    [
        {"AWS_ACCESS_KEY_ID": "AK"},
        {"AWS_SECRET_ACCESS_KEY": "canary-secret"},
        {"AWS_ACCESS_KEY_ID_FILE": "/nothing/here"},
        {"AWS_SHARED_CREDENTIALS_FILE": __file__},
    ],
)
def test_half_a_key_or_an_unreadable_file_is_a_fault(env: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        bucket("s3://b", **env)
    assert "canary-secret" not in str(caught.value)


def test_no_secret_is_shown() -> None:
    assert "canary-secret" not in repr(bucket("s3://b", **KEY))


def test_a_request_is_signed_as_amazons_own_example() -> None:
    """The example `GET ?lifecycle` of Amazon's page on Signature Version 4 for S3."""
    example = Credentials(key="AKIAIOSFODNN7EXAMPLE", secret="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    headers = sign(
        example, method="GET", host="examplebucket.s3.amazonaws.com", path="/", query="lifecycle=", region="us-east-1",
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )  # fmt: skip
    assert headers["authorization"].endswith("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
