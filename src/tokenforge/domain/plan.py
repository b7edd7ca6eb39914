"""Plan: everything a trial will send, decided before it starts. Same spec and seed, same plan, on any machine."""

import enum
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from tokenforge.domain.workload import Arrival


class PromptForm(enum.StrEnum):
    """How a prompt travels: exact token ids, or text (for servers that take no ids)."""

    TOKEN_IDS = "token_ids"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRequest:
    """One request. `at_ns` is its arrival after the trial's start, None in a closed loop (sent when a client is free).

    Exactly one of `prompt_ids` and `prompt_text` is set; `prompt_tokens` is its exact length by the tokenizer of the
    target, or None when none is known. `gen_tokens` is the output length asked for.

    A later turn of a conversation has `after`, the index of the turn before it, and no `at_ns`: it is due `think_ns`
    after that turn ended. `cancel_after_ns` is when the client hangs up, counted from the send; None: it never does.
    """

    index: int
    at_ns: int | None
    prompt_ids: tuple[int, ...] | None = None
    prompt_text: str | None = None
    prompt_tokens: int | None = None
    gen_tokens: int
    after: int | None = None
    think_ns: int = 0
    cancel_after_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """The requests of one trial, in arrival order. `notes` say what was changed to fit (a trace scaled).

    `concurrency` is the number of clients of a closed loop; None in an open loop. `duration_s` is when a closed loop
    stops sending, None when the requests alone bound it.
    """

    workload: str
    arrival: Arrival
    trial: int
    seed: int
    requests: tuple[PlannedRequest, ...]
    concurrency: int | None = None
    duration_s: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over arrivals, prompts and lengths: equal plans have equal digests in any process."""
        return hashlib.sha256(b"".join(_request_bytes(self))).hexdigest()


def _request_bytes(plan: TrialPlan) -> Iterable[bytes]:
    yield f"{plan.arrival}|{plan.concurrency}|{plan.duration_s}|{len(plan.requests)}\n".encode()
    for request in plan.requests:
        at = "-" if request.at_ns is None else str(request.at_ns)
        prompt = request.prompt_text if request.prompt_ids is None else ",".join(map(str, request.prompt_ids))
        yield f"{request.index}|{at}|{request.gen_tokens}|{prompt}\n".encode()
