"""The plan of a trial: everything that will be sent, drawn before it starts, the same on any machine.

One trial's plan does not depend on the runtime, so every runtime gets the same requests at the same times. Refuses a
prompt and output that do not fit the window: nothing is shortened in silence (a trace is scaled, and says so).
"""

from collections.abc import Iterable, Iterator

from tokenforge.bench.chance import derived_seed
from tokenforge.bench.datasets import read_dataset
from tokenforge.bench.draft import (
    Chances,
    Draft,
    Reader,
    arrival_times,
    conversation_draft,
    dataset_draft,
    drawn_draft,
    trace_draft,
    with_cancellations,
)
from tokenforge.bench.durations import draw_durations_ns
from tokenforge.bench.prompts import PromptTokenizer
from tokenforge.bench.traces import read_trace
from tokenforge.bench.window import check_dataset, check_lengths
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.plan import PlannedRequest, PromptForm, TrialPlan
from tokenforge.domain.workload import Arrival, Workload

_LENGTH_UNKNOWN = "prompts are words: their exact length in tokens is not known beforehand"


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
    chances = Chances(seed=derived_seed(seed, workload.name, trial), whole=seed, trial=trial)
    draft = _draft(workload, chances, Reader(tokenizer=tokenizer, window=window, form=form))
    requests = with_cancellations(list(_requests(draft, workload, seed=chances.seed)), workload, seed=chances.seed)
    closed = workload.arrival is Arrival.CONCURRENCY
    return TrialPlan(
        workload=workload.name,
        arrival=workload.arrival,
        trial=trial,
        seed=chances.seed,
        requests=requests,
        concurrency=workload.concurrency if closed else None,
        duration_s=workload.duration_s if closed else None,
        notes=(*draft.notes, *(() if tokenizer is not None else (_LENGTH_UNKNOWN,))),
    )


def check_workloads(
    workloads: Iterable[Workload], *, seed: int, window: int | None, tokenizer: PromptTokenizer | None = None
) -> None:
    """Check each workload (`check_workload`) and raise the faults of all together."""
    faults: list[Fault] = []
    for workload in workloads:
        try:
            check_workload(workload, seed=seed, window=window, tokenizer=tokenizer)
        except InvalidInput as error:
            faults.extend(error.faults)
    if faults:
        raise InvalidInput(faults, source="the benchmark")


def check_workload(
    workload: Workload, *, seed: int, window: int | None, tokenizer: PromptTokenizer | None = None
) -> None:
    """Find out before an engine starts what planning would refuse: a missing file, lengths that do not fit.

    A dataset's lengths are known with its `tokenizer` alone; a trace is scaled, so any length fits.
    """
    if workload.trace is not None:
        read_trace(workload.trace)
        return
    if workload.dataset is not None:
        check_dataset(workload, read_dataset(workload.dataset), window=window, tokenizer=tokenizer)
    check_lengths(workload, window)
    arrival_times(workload, seed=derived_seed(seed, workload.name, 0))


def _draft(workload: Workload, chances: Chances, reader: Reader) -> Draft:
    if workload.trace is not None:
        return trace_draft(workload, chances=chances, reader=reader)
    if workload.dataset is not None:
        return dataset_draft(workload, chances=chances, reader=reader)
    if workload.turns is not None:
        return conversation_draft(workload, chances=chances, reader=reader)
    return drawn_draft(workload, chances=chances, reader=reader)


def _requests(draft: Draft, workload: Workload, *, seed: int) -> Iterator[PlannedRequest]:
    first_turns = _first_turns(draft)
    thinks = [0] * len(draft.outputs)
    if workload.think_time_s is not None:
        drawn = draw_durations_ns(workload.think_time_s, len(thinks), seed=seed, purpose="think").tolist()
        thinks = [0 if index in first_turns else think for index, think in enumerate(drawn)]
    columns = zip(draft.times, draft.prompts, draft.outputs, thinks, strict=True)
    for index, (at, prompt, output, think) in enumerate(columns):
        yield PlannedRequest(
            index=index,
            at_ns=at,
            prompt_ids=prompt.ids,
            prompt_text=prompt.text,
            messages=prompt.messages,
            prompt_tokens=prompt.tokens,
            gen_tokens=int(output),
            after=None if index in first_turns else index - 1,
            think_ns=think,
        )


def _first_turns(draft: Draft) -> frozenset[int] | range:
    """The indexes of requests that follow nothing: all of them where every request stands alone."""
    if draft.turns is None:
        return range(len(draft.outputs))
    starts, start = [], 0
    for count in draft.turns:
        starts.append(start)
        start += count
    return frozenset(starts)
