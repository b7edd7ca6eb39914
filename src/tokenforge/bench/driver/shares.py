"""How a plan is dealt to driver processes: every n-th request, conversations whole, clients of a closed loop evenly.

Pure and the same every time, so that a plan split over any number of processes is still that plan.
"""

from collections.abc import Sequence

from tokenforge.bench.driver.jobfile import JobRow
from tokenforge.domain.plan import PlannedRequest, TrialPlan


def share_of(plan: TrialPlan, *, process: int, processes: int) -> list[PlannedRequest]:
    """The requests of one process, in plan order."""
    if all(request.after is None for request in plan.requests):
        return list(plan.requests[process::processes])
    dealt: dict[int, int] = {}
    conversations = 0
    mine = []
    for request in plan.requests:
        if request.after is None:
            owner = conversations % processes
            conversations += 1
        else:
            owner = dealt[request.after]
        dealt[request.index] = owner
        if owner == process:
            mine.append(request)
    return mine


def clients_of(plan: TrialPlan, *, process: int, processes: int) -> int | None:
    """Its clients of a closed loop; None in an open one."""
    return None if plan.concurrency is None else len(range(process, plan.concurrency, processes))


def most_processes(plan: TrialPlan) -> int:
    """How many processes a plan can use: one a conversation, and in a closed loop one a client."""
    conversations = sum(request.after is None for request in plan.requests)
    return conversations if plan.concurrency is None else min(plan.concurrency, conversations)


def job_rows(share: Sequence[PlannedRequest]) -> list[JobRow]:
    """The requests as rows of a job file; turns point to positions in the share."""
    position_of = {request.index: position for position, request in enumerate(share)}
    return [
        JobRow(
            at_ns=_or_minus_one(request.at_ns),
            index=request.index,
            asked_prompt_tokens=_or_minus_one(request.prompt_tokens),
            asked_output_tokens=request.gen_tokens,
            after=-1 if request.after is None else position_of[request.after],
            think_ns=request.think_ns,
            hang_up_ns=_or_minus_one(request.cancel_after_ns),
        )
        for request in share
    ]


def _or_minus_one(value: int | None) -> int:
    return -1 if value is None else value
