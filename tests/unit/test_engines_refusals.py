"""What every engine refuses, and that it says with which numbers."""

import pytest

from tokenforge.domain.errors import EngineError, InvalidRequest
from tokenforge.domain.generation import Capabilities, GenerateRequest, RuntimeInfo, Sampling
from tokenforge.runtimes.refusals import refuse_unfit, refuse_unknown_args

NOTHING = Capabilities(stop=False, top_p=False, top_k=False)
EVERYTHING = Capabilities(logprobs=True, seed=True, min_tokens=True, ignore_eos=True, json_schema=True)


def check(sampling: Sampling, *, prompt: tuple[int, ...] = (1, 2), can: Capabilities = EVERYTHING) -> None:
    """Check against an engine with a window of 16 and 100 ids."""
    info = RuntimeInfo(runtime="vllm", engine="vllm", engine_version="0", model="m", max_model_len=16, capabilities=can)
    refuse_unfit(GenerateRequest(request_id="r", prompt_ids=prompt, sampling=sampling), info, vocab_size=100)


def test_a_request_that_just_fits_the_window_passes() -> None:
    check(Sampling(max_tokens=14))


def test_one_token_more_is_refused_with_the_numbers() -> None:
    with pytest.raises(InvalidRequest, match="2 prompt tokens and 15 more make 17, the window is 16"):
        check(Sampling(max_tokens=15))


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="the prompt is empty"):
        check(Sampling(max_tokens=1), prompt=())


@pytest.mark.parametrize("bad", [-1, 100])
def test_an_id_the_model_does_not_have_is_refused_by_name(bad: int) -> None:
    with pytest.raises(InvalidRequest, match=f"token id {bad} is none of the model's 100"):
        check(Sampling(max_tokens=1), prompt=(0, bad, 99))


@pytest.mark.parametrize(
    ("field", "sampling"),
    [
        ("max_tokens", Sampling(max_tokens=0)),
        ("temperature", Sampling(max_tokens=1, temperature=-0.1)),
        ("temperature", Sampling(max_tokens=1, temperature=2.1)),
        ("temperature", Sampling(max_tokens=1, temperature=float("nan"))),
        ("top_p", Sampling(max_tokens=1, top_p=0.0)),
        ("top_p", Sampling(max_tokens=1, top_p=1.1)),
        ("top_k", Sampling(max_tokens=1, top_k=-1)),
    ],
)
def test_a_value_out_of_range_is_refused(field: str, sampling: Sampling) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(sampling)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "sampling"),
    [
        ("logprobs", Sampling(max_tokens=1, logprobs=0)),
        ("seed", Sampling(max_tokens=1, seed=0)),
        ("stop", Sampling(max_tokens=1, stop=("x",))),
        ("top_p", Sampling(max_tokens=1, top_p=0.5)),
        ("top_k", Sampling(max_tokens=1, top_k=5)),
        ("min_tokens", Sampling(max_tokens=2, min_tokens=1)),
        ("ignore_eos", Sampling(max_tokens=1, ignore_eos=True)),
        ("response_format", Sampling(max_tokens=1, json_schema="{}")),
    ],
)
def test_an_option_is_refused_by_an_engine_that_lacks_it_and_passes_where_it_does_not(
    field: str, sampling: Sampling
) -> None:
    check(sampling)
    with pytest.raises(InvalidRequest) as caught:
        check(sampling, can=NOTHING)
    assert caught.value.field == field


def test_an_unknown_engine_option_is_named_with_the_nearest_right_one() -> None:
    with pytest.raises(EngineError, match=r"engine_args\.vllm\.max_num_seq is not .* did you mean max_num_seqs\?"):
        refuse_unknown_args({"max_num_seq": 4}, {"max_num_seqs", "dtype"}, engine="vllm")


def test_known_engine_options_pass() -> None:
    refuse_unknown_args({"dtype": "float32"}, {"max_num_seqs", "dtype"}, engine="vllm")
