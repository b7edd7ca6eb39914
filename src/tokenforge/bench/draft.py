"""A trial as columns, one entry a request: times, prompts, output lengths, turns. What a plan's requests are made of.

One function for each origin of load: drawn prompts, conversations, a dataset, a trace.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tokenforge.bench.arrivals import arrival_times_ns, most_arrivals
from tokenforge.bench.chance import stream
from tokenforge.bench.conversations import Talk, draw_turns, split_talks, talk_prompts
from tokenforge.bench.datasets import dataset_prompts, first_place, read_dataset
from tokenforge.bench.durations import draw_durations_ns
from tokenforge.bench.lengths import draw_lengths
from tokenforge.bench.prompt import Prompt, formed
from tokenforge.bench.prompts import NO_PREFIX, Prefix, PromptMaker, PromptTokenizer, word_prompts
from tokenforge.bench.traces import fit_trace, read_trace
from tokenforge.bench.window import check_dataset, check_lengths
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.plan import PlannedRequest, PromptForm
from tokenforge.domain.recorded import TraceRow
from tokenforge.domain.workload import Arrival, Workload

_CLOSED_LOOP_PER_CLIENT_S = 50
_CLOSED_LOOP_MOST = 20_000
_CLOSED_LOOP_MOST_TOKENS = 30_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """What a trial's draws depend on. `seed` is the trial's own, `whole` the benchmark's; `trial` its number."""

    seed: int
    whole: int
    trial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """The side that reads prompts: its tokenizer (None: unknown), its window in tokens, the form that it takes."""

    tokenizer: PromptTokenizer | None
    window: int | None
    form: PromptForm


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One entry a request. `turns` are the turns of each conversation, None where every request stands alone."""

    times: Sequence[int | None]
    prompts: Sequence[Prompt]
    outputs: Sequence[int]
    turns: Sequence[int] | None = None
    notes: tuple[str, ...] = ()


def drawn_draft(workload: Workload, *, chances: Chances, reader: Reader) -> Draft:
    """Prompts of drawn lengths, each request for itself."""
    check_lengths(workload, reader.window)
    times = arrival_times(workload, seed=chances.seed)
    lengths = draw_lengths(workload.prompt_len, len(times), seed=chances.seed, purpose="prompt").tolist()
    prompts = _drawn(lengths, chances.seed, reader, prefix=_prefix(workload))
    outputs = draw_lengths(workload.gen_tokens, len(times), seed=chances.seed, purpose="output").tolist()
    return Draft(times=times, prompts=prompts, outputs=outputs, notes=_bound_note(workload, len(times)))


def conversation_draft(workload: Workload, *, chances: Chances, reader: Reader) -> Draft:
    """Conversations of several turns; all turns of one lie side by side."""
    assert workload.turns is not None
    check_lengths(workload, reader.window)
    seed, bound = chances.seed, _request_bound(workload)
    turns = draw_turns(workload.turns, seed=seed, conversations=bound, requests=bound) if bound else []
    times = arrival_times(replace(workload, requests=len(turns) or None), seed=seed)
    turns = turns or draw_turns(workload.turns, seed=seed, conversations=len(times), requests=None)
    users = draw_lengths(workload.prompt_len, sum(turns), seed=seed, purpose="prompt").tolist()
    answers = draw_lengths(workload.gen_tokens, sum(turns), seed=seed, purpose="output").tolist()
    talks = split_talks(turns[: len(times)], users=users, answers=answers)
    if workload.requests is None and workload.arrival is Arrival.CONCURRENCY:
        talks = _within(talks, _CLOSED_LOOP_MOST_TOKENS)
    counts = [len(talk.user_tokens) for talk in talks]
    outputs = [answer for talk in talks for answer in talk.answer_tokens]
    starts = zip(times, counts, strict=False)
    return Draft(
        times=[at if turn == 0 else None for at, count in starts for turn in range(count)],
        prompts=talk_prompts(talks, seed=seed, tokenizer=reader.tokenizer, form=reader.form, prefix=_prefix(workload)),
        outputs=outputs,
        turns=counts,
        notes=_bound_note(workload, len(outputs)),
    )


def dataset_draft(workload: Workload, *, chances: Chances, reader: Reader) -> Draft:
    """A dataset's prompts in their order, from a place of this trial's own, and from the start again at the end."""
    assert workload.dataset is not None
    rows = read_dataset(workload.dataset)
    check_dataset(workload, rows, window=reader.window, tokenizer=reader.tokenizer)
    times = arrival_times(workload, seed=chances.seed)
    stride = len(times) if workload.arrival is Arrival.CONCURRENCY else most_arrivals(workload)
    first = first_place(len(rows), seed=chances.whole, name=workload.name, trial=chances.trial, stride=stride)
    used = [rows[(first + number) % len(rows)] for number in range(len(times))]
    drawn = draw_lengths(workload.gen_tokens, len(times), seed=chances.seed, purpose="output").tolist()
    notes = [f"prompts begin at row {first + 1:,} of the dataset's {len(rows):,}: each trial at another place"]
    if len(rows) < len(times):
        notes.append(f"the dataset holds {len(rows):,} prompts for {len(times):,} requests: later ones repeat")
    return Draft(
        times=times,
        prompts=dataset_prompts(used, tokenizer=reader.tokenizer, form=reader.form),
        outputs=[row.output_tokens or output for row, output in zip(used, drawn, strict=True)],
        notes=(*_bound_note(workload, len(times)), *notes),
    )


def trace_draft(workload: Workload, *, chances: Chances, reader: Reader) -> Draft:
    """A trace's arrivals and lengths, scaled into the window if need be; equal blocks are equal tokens."""
    assert workload.trace is not None
    recorded = read_trace(workload.trace)
    fitted = fit_trace(_bounded(recorded.rows, workload), window=reader.window)
    lengths = [row.prompt_tokens for row in fitted.rows]
    if reader.tokenizer is not None and any(row.blocks for row in fitted.rows):
        maker = PromptMaker(reader.tokenizer, name=(chances.seed,))
        blocks = [(row.blocks, row.prompt_tokens) for row in fitted.rows]
        ids = maker.blocks(blocks, block_tokens=fitted.block_tokens)
        prompts = formed(maker, ids, reader.form, reader.tokenizer)
    else:
        prompts = _drawn(lengths, chances.seed, reader, prefix=NO_PREFIX)
    return Draft(
        times=[row.at_ns for row in fitted.rows],
        prompts=prompts,
        outputs=[row.output_tokens for row in fitted.rows],
        notes=(*recorded.notes, *fitted.notes),
    )


def with_cancellations(
    requests: Sequence[PlannedRequest], workload: Workload, *, seed: int
) -> tuple[PlannedRequest, ...]:
    """The requests, a share of which is hung up on. Streams of their own: nothing else moves when the share does."""
    if workload.cancel_after_s is None:
        return tuple(requests)
    chosen = stream(seed, "cancel").random(len(requests)) < workload.cancel_share
    after = draw_durations_ns(workload.cancel_after_s, len(requests), seed=seed, purpose="cancel")
    return tuple(
        replace(request, cancel_after_ns=int(wait)) if is_chosen else request
        for request, is_chosen, wait in zip(requests, chosen, after, strict=True)
    )


def arrival_times(workload: Workload, *, seed: int) -> Sequence[int | None]:
    """When requests (or conversations) begin: None for each in a closed loop. Raises InvalidInput when none comes."""
    if workload.arrival is Arrival.CONCURRENCY:
        return [None] * (_request_bound(workload) or 1)
    times = arrival_times_ns(workload, seed=seed)
    if not times:
        field, message = f"{workload.name}: duration_s", "is so short that not one request arrives"
        hint = "raise duration_s or qps"
        raise InvalidInput([Fault(field=field, value=workload.duration_s, message=message, hint=hint)])
    return times


def _request_bound(workload: Workload) -> int | None:
    """The requests that are asked for; in a closed loop that time alone ends, as many as are surely enough."""
    if workload.requests is not None or workload.arrival is not Arrival.CONCURRENCY:
        return workload.requests
    guess = (workload.concurrency or 1) * (workload.duration_s or 0) * _CLOSED_LOOP_PER_CLIENT_S
    return min(_CLOSED_LOOP_MOST, max(1, int(guess)))


def _bound_note(workload: Workload, requests: int) -> tuple[str, ...]:
    if workload.arrival is not Arrival.CONCURRENCY or workload.requests is not None:
        return ()
    return (f"planned for {requests:,} requests at most: a server that answers more ends the trial early",)


def _within(talks: Sequence[Talk], tokens: int) -> list[Talk]:
    """The first talks whose prompts hold so many tokens together; one at least."""
    sums = np.cumsum([talk.prompt_tokens for talk in talks])
    return list(talks[: max(1, int(np.searchsorted(sums, tokens, side="right")))])


def _bounded(rows: tuple[TraceRow, ...], workload: Workload) -> tuple[TraceRow, ...]:
    """The rows within the workload's own `duration_s` and `requests`, which bound a trace as any other load."""
    end_ns = None if workload.duration_s is None else workload.duration_s * 1e9
    return tuple(row for row in rows[: workload.requests] if end_ns is None or row.at_ns < end_ns)


def _drawn(lengths: list[int], seed: int, reader: Reader, *, prefix: Prefix) -> list[Prompt]:
    if reader.tokenizer is None:
        return [Prompt(text=text) for text in word_prompts(lengths, name=(seed,), prefix=prefix)]
    maker = PromptMaker(reader.tokenizer, name=(seed,), prefix=prefix)
    return formed(maker, maker.ids(lengths), reader.form, reader.tokenizer)


def _prefix(workload: Workload) -> Prefix:
    return Prefix(tokens=workload.shared_prefix_tokens, groups=workload.shared_prefix_groups)
