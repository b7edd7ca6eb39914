"""Plan: everything a trial will send, decided before it starts. Same spec and seed, same plan, on any machine."""

import enum
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from tokenforge.domain.workload import Arrival


class PromptForm(enum.StrEnum):
    """How a prompt travels: exact token ids, text (for servers that take no ids), or a chat's messages.

    A prompt of one user message travels as text in a chat too: the message around it is the sender's.
    """

    TOKEN_IDS = "token_ids"
    TEXT = "text"
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRequest:
    """One request. `at_ns` is its arrival after the trial's start, None in a closed loop (sent when a client is free).

    Exactly one of `prompt_ids`, `prompt_text` and `messages` (role, content) is set; `prompt_tokens` is its exact
    length by the tokenizer of the target (of messages: the sum of their contents, without what a chat template adds),
    or None when none is known. `gen_tokens` is the output length asked for.

    A later turn of a conversation has `after`, the index of the turn before it, and no `at_ns`: it is due `think_ns`
    after that turn ended. `cancel_after_ns` is when the client hangs up, counted from the send; None: it never does.
    """

    index: int
    at_ns: int | None
    prompt_ids: tuple[int, ...] | None = None
    prompt_text: str | None = None
    messages: tuple[tuple[str, str], ...] | None = None
    prompt_tokens: int | None = None
    gen_tokens: int
    after: int | None = None
    think_ns: int = 0
    cancel_after_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """The requests of one trial, in arrival order. `notes` say what was changed to fit (a trace scaled).

    The turns of a conversation lie side by side, first to last; conversations are in the order of their first turns.

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
        yield f"{request.index}|{at}|{request.gen_tokens}|{_prompt(request)}\n".encode()
        if request.after is not None or request.think_ns or request.cancel_after_ns is not None:
            yield f"{request.after}|{request.think_ns}|{request.cancel_after_ns}\n".encode()


def _prompt(request: PlannedRequest) -> str:
    if request.prompt_ids is not None:
        return ",".join(map(str, request.prompt_ids))
    return (
        json.dumps(request.messages, ensure_ascii=False) if request.messages is not None else str(request.prompt_text)
    )
