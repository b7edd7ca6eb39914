"""`deploy/compose.yaml`: what can be checked of it without an engine, so that it does not rot."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tokenforge.store.blobs.location import Bucket, read_location
from tokenforge.store.sql.database_url import check_database_url

DEPLOY = Path(__file__).parents[2] / "deploy"
FILE: dict[str, Any] = YAML(typ="safe").load(DEPLOY / "compose.yaml")
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
KNOWN = {
    "build", "command", "depends_on", "entrypoint", "environment", "healthcheck", "image", "network_mode", "networks",
    "ports", "restart", "stop_grace_period", "user", "volumes",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_has_known_keys_an_image_of_a_version_and_files_that_are_there(name: str) -> None:
    service = SERVICES[name]
    assert set(service) <= KNOWN
    assert "build" in service or re.search(r":v?\d", service["image"]), "an image names its version"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (DEPLOY / source).exists() if source.startswith(".") else source in FILE["volumes"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_a_service_waits_for_is_there_and_can_be_waited_for(name: str) -> None:
    waits = SERVICES[name].get("depends_on", {})
    for other in waits:
        condition = waits[other]["condition"] if isinstance(waits, dict) else "service_started"
        assert other in SERVICES
        assert condition != "service_healthy" or "healthcheck" in SERVICES[other]
        assert condition != "service_completed_successfully" or "restart" not in SERVICES[other]


def test_no_secret_has_a_default_and_all_are_in_the_example() -> None:
    asked = set(re.findall(r"\$\{(\w+)[^}]*\}", (DEPLOY / "compose.yaml").read_text()))
    defaulted = re.findall(r"\$\{\w+(?!:\?)[^}\w][^}]*\}", (DEPLOY / "compose.yaml").read_text())
    lines = (DEPLOY / "env.example").read_text().splitlines()
    assert asked == {line.rstrip("=") for line in lines if not line.startswith("#")}
    assert defaulted == []


def test_nothing_listens_beyond_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_settings_are_ones_that_the_platform_reads() -> None:
    env = SERVICES["tokenforge"]["environment"]
    check_database_url(re.sub(r"\$\{[^}]*\}", "secret", env["TOKENFORGE_DATABASE_URL"]))
    bucket = read_location(env["TOKENFORGE_ARTIFACTS_URL"], env=env)
    assert isinstance(bucket, Bucket)
    assert bucket.endpoint == "http://s3:8333"


def test_the_example_names_no_secret() -> None:
    assert all(line.startswith("#") or line.endswith("=") for line in (DEPLOY / "env.example").read_text().splitlines())
