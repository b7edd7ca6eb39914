"""A real worker asked for the log-probabilities of a prompt: answers, refusals, a death over it."""

from pathlib import Path

import pytest
import scoring_plug
import worker_rig as rig

from tokenforge.cluster.base import Launch
from tokenforge.models.synthetic import make_synthetic


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("tiny", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def scoring(model: Path, tmp_path: Path) -> Launch:
    path = scoring_plug.install(tmp_path / "plug")
    return rig.launch_of(model, runtime="scoring", env={"PYTHONPATH": str(path)})


async def test_a_worker_scores_each_token_of_the_prompt_but_the_first(scoring: Launch, tmp_path: Path) -> None:
    async with rig.running(tmp_path / "state", scoring) as worker:
        answer = (await rig.complete(worker, max_tokens=1, prompt_logprobs=2)).json()
    first, *rest = answer["choices"][0]["prompt_logprobs"]
    assert first is None
    assert [row[token]["logprob"] for row, token in zip(rest, ("6", "7"), strict=True)] == [-0.006, -0.007]
    assert set(rest[0]) == {"1", "2", "6"}
    assert answer["usage"]["completion_tokens"] == 1


async def test_a_death_over_a_score_is_told_and_ends_the_worker(scoring: Launch, tmp_path: Path) -> None:
    async with rig.running(tmp_path / "state", scoring) as worker:
        answer = await rig.complete(worker, prompt=[5, 404], max_tokens=1, prompt_logprobs=2)
        assert (answer.status, answer.json()["error"]["code"]) == (503, "engine_dead")
        assert "died over a score" in str(await worker.exited())


async def test_a_runtime_that_cannot_score_refuses(model: Path, tmp_path: Path) -> None:
    async with rig.running(tmp_path / "state", rig.launch_of(model)) as worker:
        answer = await rig.complete(worker, max_tokens=1, prompt_logprobs=2)
    assert answer.status == 400
    assert answer.json()["error"]["param"] == "prompt_logprobs"
