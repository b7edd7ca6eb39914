"""The plan of a trial: everything that will be sent, drawn before it starts, the same on any machine.

One trial's plan does not depend on the runtime, so every runtime gets the same requests at the same times. Refuses a
prompt and output that do not fit the window: nothing is shortened in silence (a trace is scaled, and says so).
"""

from collections.abc import Sequence
from pathlib import Path

from tokenforge.bench.arrivals import arrival_times_ns
from tokenforge.bench.chance import derived_seed
from tokenforge.bench.datasets import read_dataset
from tokenforge.bench.lengths import draw_lengths, longest_tokens
from tokenforge.bench.prompts import PromptMaker, PromptTokenizer, word_prompts
from tokenforge.bench.traces import FittedTrace, TraceRow, fit_trace, read_trace
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.plan import PlannedRequest, PromptForm, TrialPlan
from tokenforge.domain.workload import Arrival, Workload

_CLOSED_LOOP_PER_CLIENT_S = 50
_CLOSED_LOOP_MOST = 20_000
_LENGTH_UNKNOWN = "prompts are words: their exact length in tokens is not known beforehand"

Prompts = list[tuple[tuple[int, ...] | None, str | None, int | None]]


def plan_trial(
    workload: Workload,
    *,
    trial: int,
    seed: int,
    tokenizer: PromptTokenizer | None,
    window: int | None,
    form: PromptForm,
) -> TrialPlan:
    """Draw one trial. `window` is the model's, in tokens (None: unknown); without `tokenizer` prompts are words.

    A closed loop bounded by time alone is planned with 50 requests a client and second, at most 20,000.
    """
    own_seed = derived_seed(seed, workload.name, trial)
    notes = [] if tokenizer is not None else [_LENGTH_UNKNOWN]
    if workload.trace is not None:
        fitted = fit_trace(_bounded(read_trace(workload.trace), workload), window=window)
        requests = _from_trace(fitted, own_seed=own_seed, tokenizer=tokenizer, form=form)
        return _trial_plan(workload, trial=trial, seed=own_seed, requests=requests, notes=(*fitted.notes, *notes))
    _check_lengths(workload, window)
    times = _times(workload, seed=own_seed)
    if workload.arrival is Arrival.CONCURRENCY and workload.requests is None:
        notes.append(f"planned for {len(times):,} requests at most: a server that answers more ends the trial early")
    prompt_lengths = draw_lengths(workload.prompt_len, len(times), seed=own_seed, purpose="prompt").tolist()
    outputs = draw_lengths(workload.gen_tokens, len(times), seed=own_seed, purpose="output").tolist()
    if workload.dataset is not None:
        texts = read_dataset(Path(workload.dataset))
        prompts = _from_dataset(texts, len(times), tokenizer=tokenizer, form=form)
        if len(texts) < len(times):
            notes.append(f"the dataset holds {len(texts):,} prompts for {len(times):,} requests: later ones repeat")
        _check_window(workload, [tokens or 0 for _, _, tokens in prompts], outputs, window)
    else:
        prefix = workload.shared_prefix_tokens
        prompts = _drawn(prompt_lengths, own_seed=own_seed, tokenizer=tokenizer, form=form, prefix=prefix)
    requests = _requests(times, prompts, outputs)
    return _trial_plan(workload, trial=trial, seed=own_seed, requests=requests, notes=tuple(notes))


def check_workload(workload: Workload, *, seed: int, window: int | None) -> None:
    """Find out before an engine starts what planning would refuse: a missing file, lengths that do not fit."""
    if workload.trace is not None:
        read_trace(workload.trace)
        return
    if workload.dataset is not None:
        read_dataset(Path(workload.dataset))
        return
    _check_lengths(workload, window)
    _times(workload, seed=derived_seed(seed, workload.name, 0))


def _trial_plan(
    workload: Workload, *, trial: int, seed: int, requests: tuple[PlannedRequest, ...], notes: tuple[str, ...]
) -> TrialPlan:
    closed = workload.arrival is Arrival.CONCURRENCY
    return TrialPlan(
        workload=workload.name,
        arrival=workload.arrival,
        trial=trial,
        seed=seed,
        requests=requests,
        concurrency=workload.concurrency if closed else None,
        duration_s=workload.duration_s if closed else None,
        notes=notes,
    )


def _bounded(rows: tuple[TraceRow, ...], workload: Workload) -> tuple[TraceRow, ...]:
    """The rows within the workload's own `duration_s` and `requests`, which bound a trace as any other load."""
    end_ns = None if workload.duration_s is None else workload.duration_s * 1e9
    return tuple(row for row in rows[: workload.requests] if end_ns is None or row.at_ns < end_ns)


def _times(workload: Workload, *, seed: int) -> Sequence[int | None]:
    if workload.arrival is not Arrival.CONCURRENCY:
        times = arrival_times_ns(workload, seed=seed)
        if not times:
            field, message = f"{workload.name}: duration_s", "is so short that not one request arrives"
            hint = "raise duration_s or qps"
            raise InvalidInput([Fault(field=field, value=workload.duration_s, message=message, hint=hint)])
        return times
    if workload.requests is not None:
        return [None] * workload.requests
    guess = (workload.concurrency or 1) * (workload.duration_s or 0) * _CLOSED_LOOP_PER_CLIENT_S
    return [None] * min(_CLOSED_LOOP_MOST, max(1, int(guess)))


def _drawn(
    lengths: list[int], *, own_seed: int, tokenizer: PromptTokenizer | None, form: PromptForm, prefix: int
) -> Prompts:
    if tokenizer is None:
        texts = word_prompts(lengths, name=(own_seed,), shared_prefix_words=prefix)
        return [(None, text, None) for text in texts]
    maker = PromptMaker(tokenizer, name=(own_seed,), shared_prefix_tokens=prefix)
    return _formed(maker, maker.ids(lengths), form, tokenizer)


def _formed(maker: PromptMaker, ids: list[tuple[int, ...]], form: PromptForm, tokenizer: PromptTokenizer) -> Prompts:
    if form is PromptForm.TOKEN_IDS:
        return [(prompt, None, len(prompt)) for prompt in ids]
    return [(None, text, len(tokenizer.encode(text))) for text in maker.texts(ids)]


def _from_dataset(texts: Sequence[str], count: int, *, tokenizer: PromptTokenizer | None, form: PromptForm) -> Prompts:
    """The file's prompts in order, from the start again when they run out."""
    if tokenizer is None:
        return [(None, texts[i % len(texts)], None) for i in range(count)]
    encoded = [tuple(tokenizer.encode(text)) for text in texts[:count]]
    if form is PromptForm.TOKEN_IDS:
        return [(ids, None, len(ids)) for ids in (encoded[i % len(encoded)] for i in range(count))]
    return [(None, texts[i % len(texts)], len(encoded[i % len(encoded)])) for i in range(count)]


def _from_trace(
    fitted: FittedTrace, *, own_seed: int, tokenizer: PromptTokenizer | None, form: PromptForm
) -> tuple[PlannedRequest, ...]:
    times = [row.at_ns for row in fitted.rows]
    outputs = [row.output_tokens for row in fitted.rows]
    if tokenizer is None:
        lengths = [row.prompt_tokens for row in fitted.rows]
        prompts = _drawn(lengths, own_seed=own_seed, tokenizer=None, form=form, prefix=0)
        return _requests(times, prompts, outputs)
    maker = PromptMaker(tokenizer, name=(own_seed,))
    if any(row.blocks for row in fitted.rows):
        rows = [(row.blocks, row.prompt_tokens) for row in fitted.rows]
        ids = maker.blocks(rows, block_tokens=fitted.block_tokens)
    else:
        ids = maker.ids([row.prompt_tokens for row in fitted.rows])
    return _requests(times, _formed(maker, ids, form, tokenizer), outputs)


def _requests(times: Sequence[int | None], prompts: Prompts, outputs: list[int]) -> tuple[PlannedRequest, ...]:
    return tuple(
        PlannedRequest(
            index=index, at_ns=at, prompt_ids=ids, prompt_text=text, prompt_tokens=tokens, gen_tokens=int(output)
        )
        for index, (at, (ids, text, tokens), output) in enumerate(zip(times, prompts, outputs, strict=True))
    )


def _check_lengths(workload: Workload, window: int | None) -> None:
    """Ask what the distributions may come to, not what one seed drew: a later trial must not be refused midway."""
    if workload.dataset is None:
        longest = longest_tokens(workload.prompt_len), longest_tokens(workload.gen_tokens)
        _check_window(workload, [longest[0]], [longest[1]], window)


def _check_window(workload: Workload, prompts: list[int], outputs: list[int], window: int | None) -> None:
    if window is None or not prompts:
        return
    prompt, output = max(zip(prompts, outputs, strict=True), key=sum)
    longest = prompt + output
    if longest > window:
        value = f"{prompt} + {output}"
        message = f"a request of {longest} tokens does not fit the model's window of {window}"
        hint = "lower prompt_len or gen_tokens (the `high` of a distribution), or raise max_model_len if the model can"
        raise InvalidInput(
            [Fault(field=f"{workload.name}: prompt_len + gen_tokens", value=value, message=message, hint=hint)]
        )
