"""What prompts share when the load asks for it: a prefix of words, blocks of a recorded trace."""

import json
from pathlib import Path

import pytest

from tokenforge.bench.plan import plan_trial
from tokenforge.bench.prompts import PromptMaker
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.workload import Arrival, Fixed, Trace, TraceFormat, Workload


class Spelling:
    """One id per lower-case letter."""

    plain_ids = tuple(range(26))

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids: object) -> str:
        return "".join(chr(97 + i) for i in ids)  # type: ignore[attr-defined]


def word_heads(*, prefix: int) -> set[str]:
    """The first eight words of twenty prompts of twelve words, without a tokenizer."""
    workload = Workload(name="w", qps=20, requests=20, prompt_len=Fixed(value=12), shared_prefix_tokens=prefix)
    plan = plan_trial(workload, trial=0, seed=1, tokenizer=None, window=None, form=PromptForm.TEXT)
    texts = [(request.prompt_text or "").split() for request in plan.requests]
    assert {len(words) for words in texts} == {12}
    return {" ".join(words[:8]) for words in texts}


def test_without_a_tokenizer_a_shared_prefix_is_shared_words() -> None:
    assert len(word_heads(prefix=8)) == 1


def test_without_a_tokenizer_nothing_is_shared_unasked() -> None:
    assert len(word_heads(prefix=0)) == 20


@pytest.mark.parametrize("block_tokens", [0.4, 1.0, 2.5, 8.65, 512.0])
def test_blocks_of_a_fraction_of_tokens_cover_a_prompt_to_its_end(block_tokens: float) -> None:
    length = int(40 * block_tokens)
    first, second = PromptMaker(Spelling(), name=(1,)).blocks([(range(40), length)] * 2, block_tokens=block_tokens)
    assert first == second
    assert len(first) == length


def shared_tokens(folder: Path, *, window: int | None) -> tuple[int, int]:
    """How many first tokens two prompts of twenty blocks share, of which the first ten are the same, and the length."""
    rows = [
        {"timestamp": at, "input_length": 10_240, "output_length": 1, "hash_ids": [*range(10), *range(own, own + 10)]}
        for at, own in ((0, 100), (1, 200))
    ]
    path = folder / "m.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    trace = Trace(path=str(path), format=TraceFormat.MOONCAKE)
    workload = Workload(name="m", arrival=Arrival.TRACE, trace=trace)
    plan = plan_trial(workload, trial=0, seed=1, tokenizer=Spelling(), window=window, form=PromptForm.TOKEN_IDS)
    first, second = (request.prompt_ids or () for request in plan.requests)
    alike = next(i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)
    return alike, len(first)


def test_half_of_a_prompt_shared_in_the_trace_is_half_shared_here(tmp_path: Path) -> None:
    alike, length = shared_tokens(tmp_path, window=None)
    assert (alike, length) == (5120, 10_240)


def test_scaling_keeps_the_share_of_a_prompt_that_is_shared(tmp_path: Path) -> None:
    alike, length = shared_tokens(tmp_path, window=173)
    assert alike / length == pytest.approx(0.5, abs=0.02)


def heads_of(groups: int, *, form: PromptForm = PromptForm.TOKEN_IDS, words: bool = False) -> dict[object, int]:
    """How many of 400 prompts begin with each of the prefixes."""
    workload = Workload(
        name="w", qps=20, requests=400, prompt_len=Fixed(value=12), shared_prefix_tokens=8, shared_prefix_groups=groups
    )
    plan = plan_trial(workload, trial=0, seed=1, tokenizer=None if words else Spelling(), window=None, form=form)
    heads: dict[object, int] = {}
    for request in plan.requests:
        said = (request.prompt_text or "").split() if words else request.prompt_ids or request.prompt_text or ""
        heads[tuple(said[:8])] = heads.get(tuple(said[:8]), 0) + 1
    return heads


@pytest.mark.parametrize(
    ("form", "words"), [(PromptForm.TOKEN_IDS, False), (PromptForm.TEXT, False), (PromptForm.TEXT, True)]
)
def test_each_prompt_begins_with_one_of_the_groups_prefixes(form: PromptForm, words: bool) -> None:
    heads = heads_of(4, form=form, words=words)
    assert len(heads) == 4
    assert all(count == pytest.approx(100, abs=35) for count in heads.values())


def test_one_group_is_the_prefix_that_all_share() -> None:
    (alone,) = heads_of(1)
    assert alone in heads_of(4)


def test_later_rows_of_a_mooncake_trace_share_what_their_blocks_share(tmp_path: Path) -> None:
    rows = [([0, 1], 1000), ([0, 2], 900), ([0, 1, 3], 1500), ([4], 300), ([0], 300)]
    lines = [{"timestamp": 1, "input_length": size, "output_length": 1, "hash_ids": ids} for ids, size in rows]
    (tmp_path / "m").write_text("\n".join(map(json.dumps, lines)))
    workload = Workload(name="m", arrival=Arrival.TRACE, trace=Trace(path=str(tmp_path / "m"), format="mooncake"))
    plan = plan_trial(workload, trial=0, seed=1, tokenizer=Spelling(), window=None, form=PromptForm.TOKEN_IDS)
    first, second, third, other, short = (request.prompt_ids or () for request in plan.requests)
    assert first[:512] == second[:512] == third[:512]
    assert (first[512:1000], short) == (third[512:1000], first[:300])
    assert second[512:900] != first[512:900]
    assert other[:40] != first[:40]
