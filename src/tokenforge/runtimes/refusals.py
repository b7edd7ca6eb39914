"""What every engine refuses alike, so that a request is answered the same whatever serves it.

Pure checks, made before the engine sees anything: some engines end their own thread over a token id they do not have.
Nothing is repaired here: a request that does not fit is refused with the numbers, never shortened.
"""

import difflib
from collections.abc import Collection, Mapping

from tokenforge.domain.errors import EngineError, InvalidRequest
from tokenforge.domain.generation import GenerateRequest, RuntimeInfo, Sampling, ScoreRequest


def refuse_unfit(request: GenerateRequest, info: RuntimeInfo, *, vocab_size: int) -> None:
    """Raise InvalidRequest for an empty prompt, an unknown token id, too many tokens, or an option it lacks."""
    prompt, sampling = request.prompt_ids, request.sampling
    if not prompt:
        raise InvalidRequest("the prompt is empty", field="prompt", hint="send at least one token")
    if sampling.max_tokens < 1:
        raise InvalidRequest(f"max_tokens is {sampling.max_tokens}", field="max_tokens", hint="ask for 1 or more")
    asked = len(prompt) + sampling.max_tokens
    if asked > info.max_model_len:
        raise InvalidRequest(
            f"{len(prompt)} prompt tokens and {sampling.max_tokens} more make {asked}, "
            f"the window is {info.max_model_len}",
            field="max_tokens",
            hint="shorten the prompt or lower max_tokens",
        )
    if min(prompt) < 0 or max(prompt) >= vocab_size:
        bad = next(token for token in prompt if not 0 <= token < vocab_size)
        raise InvalidRequest(f"token id {bad} is none of the model's {vocab_size}", field="prompt")
    _refuse_out_of_range(sampling)
    _refuse_lacking(sampling, info)


def refuse_unfit_score(request: ScoreRequest, info: RuntimeInfo, *, vocab_size: int) -> None:
    """Raise InvalidRequest for tokens that cannot be scored; they are held to the rules of a prompt with one token."""
    one = Sampling(max_tokens=1)
    as_prompt = GenerateRequest(request_id=request.request_id, prompt_ids=request.token_ids, sampling=one)
    refuse_unfit(as_prompt, info, vocab_size=vocab_size)


def refuse_unknown_args(given: Mapping[str, object], known: Collection[str], *, engine: str) -> None:
    """Raise EngineError when `engine_args` has a name the engine does not know; the message names the nearest."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"see the options of {engine}"
            raise EngineError(f"engine_args.{engine}.{name} is not an option of {engine}", hint=hint)


def _refuse_out_of_range(sampling: Sampling) -> None:
    if not 0.0 <= sampling.temperature <= 2.0:
        raise InvalidRequest(f"temperature is {sampling.temperature}", field="temperature", hint="write 0 to 2")
    if not 0.0 < sampling.top_p <= 1.0:
        raise InvalidRequest(f"top_p is {sampling.top_p}", field="top_p", hint="write more than 0, at most 1")
    if sampling.top_k < 0:
        raise InvalidRequest(f"top_k is {sampling.top_k}", field="top_k", hint="write 0 (all) or more")


def _refuse_lacking(sampling: Sampling, info: RuntimeInfo) -> None:
    can = info.capabilities
    wants = {
        "logprobs": (sampling.logprobs is not None, can.logprobs),
        "seed": (sampling.seed is not None, can.seed),
        "stop": (bool(sampling.stop), can.stop),
        "top_p": (sampling.top_p != 1.0, can.top_p),
        "top_k": (sampling.top_k != 0, can.top_k),
        "min_tokens": (sampling.min_tokens > 0, can.min_tokens),
        "ignore_eos": (sampling.ignore_eos, can.ignore_eos),
        "response_format": (sampling.json_schema is not None, can.json_schema),
    }
    for name, (is_wanted, is_possible) in wants.items():
        if is_wanted and not is_possible:
            raise InvalidRequest(f"{info.runtime} cannot do {name}", field=name, hint="leave it out")
