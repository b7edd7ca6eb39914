"""How close a run came to what its hardware allows: MFU, MBU, and the share of the limit, against each ceiling known.

The share is the part of the time that ideal hardware, never waiting, would have needed for the very tokens that were
made, at the batch and lengths they were made at: the longer of arithmetic over FLOP/s and bytes over bandwidth. What is
left is the headroom of a better engine on this load; a larger batch is another load with a limit of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenforge.analysis.intervals import Estimate, over_trials
from tokenforge.analysis.limit_basis import LimitBasis, NoBasis
from tokenforge.analysis.limit_load import TrialLoad
from tokenforge.analysis.limits import (
    Machine,
    Work,
    decode_step,
    floor_s,
    mbu,
    mfu,
    prefill,
    prefill_attention_flop,
)
from tokenforge.domain.ceilings import Ceiling, CeilingKind


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseUse:
    """One phase, in means over trials.

    Decode: `tokens` is the context a token attends to, `batch` the requests in flight, `floor_ms` the least time of
    such a step and `took_ms` what one took (batch over tokens/s); its MBU is None where all of it fits into the cache,
    so that memory is no bound. Prefill: `tokens` is the prompt's length without what
    was cached, `floor_ms` the least time of one alone. Its MBU is None: how many prompts share one reading of the
    weights is the engine's choice, and no client sees it.
    """

    tokens_per_s: float
    tokens: float
    batch: float | None
    floor_ms: float
    took_ms: float | None
    mfu: float | None
    mbu: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """A run against one ceiling. `flops` (None: not known in this number format) and `bytes_per_s` are of all devices.

    `share` is that of the limit, `headroom` how many times as many tokens the hardware could have made at most.
    """

    kind: CeilingKind
    device: str
    devices: int
    number_format: str
    flops: float | None
    bytes_per_s: float
    source: str
    as_of: str
    share: Estimate
    headroom: float | None
    decode: PhaseUse
    prefill: PhaseUse | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """All ceilings of a run, the machine's own first; `note` says why there is none.

    `is_exact` is False where the model's family is not known, so that it was counted as the common layout.
    """

    against: tuple[LimitUse, ...]
    note: str | None = None
    is_exact: bool = True


def run_limits(basis: LimitBasis | NoBasis, loads: Sequence[TrialLoad]) -> RunLimits:
    """Set a run's loads, one per trial, against the ceilings of its basis."""
    if isinstance(basis, NoBasis):
        return RunLimits(against=(), note=basis.reason)
    if not loads:
        return RunLimits(against=(), note="no trial made tokens whose counts are known")
    against = tuple(_use(basis, ceiling, loads) for ceiling in basis.ceilings)
    return RunLimits(against=against, is_exact=basis.model.is_known)


def _use(basis: LimitBasis, ceiling: Ceiling, loads: Sequence[TrialLoad]) -> LimitUse:
    machine = basis.machine(ceiling)
    share = over_trials(
        [floor_s(work_per_second(basis, load, cache_bytes=basis.cache_bytes(ceiling)), machine) for load in loads]
    )
    return LimitUse(
        kind=ceiling.kind,
        device=ceiling.device,
        devices=basis.devices,
        number_format=basis.number_format,
        flops=machine.flops,
        bytes_per_s=machine.bytes_per_s,
        source=ceiling.source,
        as_of=ceiling.as_of,
        share=share,
        headroom=1 / share.value if share.value else None,
        decode=_decode(basis, ceiling, loads),
        prefill=_prefill(basis, machine, loads),
    )


def work_per_second(basis: LimitBasis, load: TrialLoad, *, cache_bytes: int) -> Work:
    """What a second of this load needs at least: steps for the decoded tokens, arithmetic and cache of the prompts.

    Prompts read no weights here, since they may ride along with a decode step; what fits into `cache_bytes` need not
    come from memory.
    """
    step = from_memory(_step(basis, load), cache_bytes)
    decode = _per_second(step, load.decoded_per_s / batch_of(basis, load))
    kept = (load.fresh_per_s or 0.0) * basis.model.kv_bytes_per_token(basis.kv_dtype_bytes)
    return Work(flop=decode.flop + prefill_flop_per_s(basis, load), bytes=decode.bytes + kept)


def prefill_flop_per_s(basis: LimitBasis, load: TrialLoad) -> float:
    """The arithmetic of the prompts of a second; 0 where it is not known what was cached."""
    model = basis.model
    if load.fresh_per_s is None or load.prompts_per_s is None or load.squares_per_s is None:
        return 0.0
    head = 2 * model.vocab * model.hidden
    body = (2 * model.matmul_parameters - head) * load.fresh_per_s + head * load.prompts_per_s
    return body + prefill_attention_flop(model) * load.squares_per_s


def from_memory(step: Work, cache_bytes: int) -> Work:
    """The step when the device's cache still holds as much as it can from the step before."""
    return Work(flop=step.flop, bytes=max(0.0, step.bytes - cache_bytes))


def batch_of(basis: LimitBasis, load: TrialLoad) -> float:
    """Requests in flight, as far as the engine runs them at once."""
    return min(load.batch, basis.most_running or load.batch)


def _step(basis: LimitBasis, load: TrialLoad) -> Work:
    batch = batch_of(basis, load)
    return decode_step(basis.model, batch=batch, context=load.context, kv_dtype_bytes=basis.kv_dtype_bytes)


def _per_second(work: Work, times: float) -> Work:
    return Work(flop=work.flop * times, bytes=work.bytes * times)


def _decode(basis: LimitBasis, ceiling: Ceiling, loads: Sequence[TrialLoad]) -> PhaseUse:
    machine, cache = basis.machine(ceiling), basis.cache_bytes(ceiling)
    rate = _mean([load.decoded_per_s for load in loads])
    batch = _mean([batch_of(basis, load) for load in loads])
    seconds = [_per_second(_step(basis, load), load.decoded_per_s / batch_of(basis, load)) for load in loads]
    work = Work(flop=_mean([one.flop for one in seconds]), bytes=_mean([one.bytes for one in seconds]))
    return PhaseUse(
        tokens_per_s=rate,
        tokens=_mean([load.context for load in loads]),
        batch=batch,
        floor_ms=_mean([floor_s(from_memory(_step(basis, load), cache), machine) for load in loads]) * 1e3,
        took_ms=batch / rate * 1e3 if rate > 0 else None,
        mfu=mfu(work, seconds=1.0, machine=machine),
        mbu=mbu(work, seconds=1.0, machine=machine) if all(_step(basis, one).bytes > cache for one in loads) else None,
    )


def _prefill(basis: LimitBasis, machine: Machine, loads: Sequence[TrialLoad]) -> PhaseUse | None:
    prompts = _mean([load.prompts_per_s or 0.0 for load in loads])
    fresh = _mean([load.fresh_per_s or 0.0 for load in loads])
    if prompts <= 0 or fresh <= 0:
        return None
    length = fresh / prompts
    alone = prefill(basis.model, tokens=length, kv_dtype_bytes=basis.kv_dtype_bytes)
    work = Work(flop=_mean([prefill_flop_per_s(basis, load) for load in loads]), bytes=0.0)
    return PhaseUse(
        tokens_per_s=fresh,
        tokens=length,
        batch=None,
        floor_ms=floor_s(alone, machine) * 1e3,
        took_ms=None,
        mfu=mfu(work, seconds=1.0, machine=machine),
        mbu=None,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
