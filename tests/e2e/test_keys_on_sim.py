"""API keys as a user makes and uses them, on a platform of its own: the command line, a benchmark, what is on disk."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import COMMAND
from platform_rig import Up, up, wait_for

BENCHMARK = {
    "model": "synthetic:tiny",
    "runtimes": ["sim"],
    "workloads": [{"name": "short", "qps": 5, "duration_s": 2, "prompt_len": 64, "gen_tokens": 8}],
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, str]]:
    """One that is up, and its first key."""
    with up(tmp_path_factory.mktemp("home")) as made:
        first = local(made, "create", "root", "--scope", "admin")
        assert first.returncode == 0, first.stderr
        assert "shown this once" in first.stderr
        yield made, first.stdout.strip()


def local(platform: Up, *words: str) -> "subprocess.CompletedProcess[str]":
    """`tokenforge keys WORDS` on the state of this machine, whatever server is named."""
    env = {name: value for name, value in platform.env.items() if name != "TOKENFORGE_SERVER"}
    return subprocess.run([*COMMAND, "keys", *words], env=env, capture_output=True, text=True, timeout=60, check=False)


def run_as(platform: Up, key: str, *words: str) -> "subprocess.CompletedProcess[str]":
    env = {**platform.env, "TOKENFORGE_API_KEY": key}
    return subprocess.run([*COMMAND, *words], env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_command_without_a_key_is_told_what_to_send(platform: tuple[Up, str]) -> None:
    done = platform[0].run("deployments")
    assert done.returncode == 1
    assert "TOKENFORGE_API_KEY" in done.stderr


def test_keys_are_made_listed_and_revoked_from_afar_and_no_secret_is_left_behind(platform: tuple[Up, str]) -> None:
    made, root = platform
    new = json.loads(run_as(made, root, "keys", "create", "app", "--scope", "infer", "--json").stdout)
    assert run_as(made, new["key"], "deployments").returncode == 0
    assert "403" not in run_as(made, root, "keys", "list").stdout
    assert "scope deploy" in run_as(made, new["key"], "deploy", "synthetic:tiny", "--runtime", "sim").stderr
    assert run_as(made, root, "keys", "revoke", "app").returncode == 0
    assert "not known" in run_as(made, new["key"], "deployments").stderr
    listed = local(made, "list", "--json").stdout
    assert [key["name"] for key in json.loads(listed)["keys"]] == ["root"]
    assert not files_with(made, root, new["key"])


def test_a_benchmark_measures_through_the_guarded_gateway_with_a_key_that_ends_with_it(
    platform: tuple[Up, str],
) -> None:
    made, root = platform
    made.headers["authorization"] = f"Bearer {root}"
    status, queued = made.call("POST", "/benchmarks/run", BENCHMARK)
    assert status == 202
    run = queued["runs"][0]["id"]
    wait_for(lambda: made.call("GET", f"/runs/{run}")[1]["status"] in ("succeeded", "failed"), limit_s=60)
    assert made.call("GET", f"/runs/{run}")[1]["status"] == "succeeded"
    assert [key["name"] for key in made.call("GET", "/keys")[1]["keys"]] == ["root"]
    record = made.call("GET", f"/runs/{run}/artifacts/record.json")[1]
    assert "Bearer" not in json.dumps(record)
    assert not files_with(made, root)


def files_with(platform: Up, *secrets: str) -> list[Path]:
    """Files of its home that hold one of them: logs, records, the database."""
    found = [path for path in Path(platform.env["TOKENFORGE_HOME"]).rglob("*") if path.is_file()]
    return [path for path in found if any(secret.encode() in path.read_bytes() for secret in secrets)]


@pytest.mark.parametrize("command", ["up", "gateway"])
def test_listening_for_others_without_a_key_is_refused(command: str, tmp_path: Path, platform: tuple[Up, str]) -> None:
    env = {**platform[0].env, "TOKENFORGE_HOME": str(tmp_path)}
    words = [*COMMAND, command, "--host", "0.0.0.0", "--port", "0"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--host = '0.0.0.0'" in done.stderr
    assert "tokenforge keys create" in done.stderr
