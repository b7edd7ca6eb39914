"""The platform on a real engine beside a simulated one: both answer, both are chosen, both are listed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from platform_rig import Up, up

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Up]:
    """A home of its own, with the environments that were made once."""
    own = tmp_path_factory.mktemp("home")
    (home / "environments").mkdir(parents=True, exist_ok=True)
    (own / "environments").symlink_to(home / "environments")
    with up(own) as made:
        for runtime in ("sim", "transformers"):
            done = made.run("deploy", "synthetic:tiny", "--runtime", runtime, timeout_s=500)
            assert done.returncode == 0, done.stderr
        yield made


@pytest.mark.parametrize("runtime", ["sim", "transformers"])
def test_each_runtime_answers_whole_and_as_a_stream(platform: Up, runtime: str) -> None:
    body = {"model": "synthetic:tiny", "runtime": runtime, "prompt": "Explain KV cache", "max_tokens": 8}
    status, whole = platform.call("POST", "/infer", body)
    assert (status, whole["runtime"].partition("@")[0]) == (200, runtime)
    streamed = platform.run("infer", "synthetic:tiny", "Explain KV cache", "--runtime", runtime, "--stream")
    assert (streamed.returncode, runtime in streamed.stderr) == (0, True)


def test_without_a_runtime_both_are_used(platform: Up) -> None:
    body = {"model": "synthetic:tiny", "prompt": "a", "max_tokens": 2}
    runtimes = {platform.call("POST", "/infer", body)[1]["runtime"] for _ in range(6)}
    assert runtimes == {"sim", "transformers"}


def test_both_runtimes_are_listed_under_one_model(platform: Up) -> None:
    (model,) = platform.call("GET", "/v1/models")[1]["data"]
    assert (model["id"], model["runtimes"]) == ("synthetic:tiny", ["sim", "transformers"])
