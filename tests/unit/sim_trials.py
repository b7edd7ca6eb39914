"""The simulator under an open loop in virtual time, recorded as a driver records it: hours of load in seconds."""

import asyncio
from collections.abc import Mapping

import numpy as np
from record_samples import MS, Engine, Load, S, document, requests_file, run_record
from sim_rig import Rig, request, started

from tokenforge.analysis.figures import RunSummary
from tokenforge.analysis.summary import summarise
from tokenforge.domain.record import Outcome, RequestRecord
from tokenforge.store.requests_table import RunRecords, record_columns

TRIALS = 5
CAPACITY_RPS = 27.0
"""Requests/s that `SERVER` can make of 64 prompt and 16 output tokens, about."""

SERVER: Mapping[str, object] = {"step_ms": 20.0, "decode_ms": 1.0, "max_num_seqs": 16, "prefill_tokens_per_s": 20_000.0}


async def sim_run(
    seed: int, *, load: float = 0.5, requests: int = 150, later: Mapping[str, object] | None = None, first: int = 3
) -> RunSummary:
    """Five trials at a share `load` of capacity; from trial `first` on the server has `later` settings too."""
    offered = Load(qps=load * CAPACITY_RPS, requests=requests, prompt_tokens=64)
    engine = Engine(runtime="vllm")
    by_trial = [
        await _trial({**SERVER, **((later or {}) if trial >= first else {})}, offered, trial=trial, seed=seed)
        for trial in range(TRIALS)
    ]
    run = run_record("sample-00", engine, offered, by_trial)
    tables = [record_columns(one) for one in by_trial]
    rows = RunRecords(run_id=run.id, model="synthetic:tiny", runtime="vllm", workload=offered.name, tables=tables)
    return summarise(document([run], [offered], trials=TRIALS), requests_file([rows])).runs[0]


async def _trial(settings: Mapping[str, object], load: Load, *, trial: int, seed: int) -> list[RequestRecord]:
    rig = await started(**settings)
    chance = np.random.default_rng([seed, trial])
    due = np.cumsum(chance.exponential(S / (load.qps or 1.0), load.requests)).astype(int)
    lags = chance.integers(20_000, 300_000, load.requests)
    asks = [
        _ask(rig, load, trial=trial, index=index, due=int(due[index]), lag=int(lags[index]))
        for index in range(load.requests)
    ]
    records = await rig.time.run(asyncio.gather(*asks))
    await rig.time.run(rig.runtime.close(0.0))
    return list(records)


async def _ask(rig: Rig, load: Load, *, trial: int, index: int, due: int, lag: int) -> RequestRecord:
    began = rig.time.clock_ns()
    await rig.time.sleep((due + lag) / S)
    prompt = tuple((index * 977 + token) % 1000 for token in range(load.prompt_tokens))
    chunks = await rig.read(request(*prompt, max_tokens=load.gen_tokens))
    stamps = tuple(chunk.made_ns - began for chunk in chunks)
    return RequestRecord(
        trial=trial,
        index=index,
        scheduled_ns=due,
        sent_ns=due + lag,
        headers_ns=stamps[0],
        first_ns=stamps[0],
        end_ns=stamps[-1] + MS // 10,
        chunk_ns=stamps,
        chunk_tokens=tuple(len(chunk.token_ids) for chunk in chunks),
        asked_prompt_tokens=load.prompt_tokens,
        asked_output_tokens=load.gen_tokens,
        prompt_tokens=chunks[-1].usage.prompt_tokens,
        cached_tokens=0,
        output_tokens=chunks[-1].usage.completion_tokens,
        counted_tokens=load.gen_tokens,
        finish_reason="length",
        http_status=200,
        outcome=Outcome.OK,
        error=None,
        connection=index % 8,
        merged_reads=0,
    )
