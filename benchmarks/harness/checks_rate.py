"""Checks that need the client as a process of its own: the highest true rate, and the errors at half of it."""

from dataclasses import asdict
from pathlib import Path

from harness.clients.base import Load
from harness.clients.ours import Ours
from harness.finding import Finding
from harness.home import Home
from harness.ladder import Ladder
from harness.trial import Trial, is_held, run_trial

TOKENS = 64

_ACCURACY_RATE, _ACCURACY_MS = 500.0, 0.1
_HALF_P50_MS, _HALF_P99_MS = 0.1, 0.5
_SEED = 3000


def highest_rate(folder: Path, *, seconds: float, steps: int) -> Finding:
    """The highest Poisson rate held within 1 ms: errors of TTFT and ITL and lateness, all at p99; and half of it."""
    ladder = Ladder(first_rate=Ours().first_rate, steps=steps)
    tried: list[tuple[float, bool, object]] = []
    for step in range(steps):
        rate = ladder.next_rate()
        if rate is None:
            break
        trial = _trial(folder, rate, seconds=seconds, seed=_SEED + step)
        held = is_held(trial, bound_ms=Ours().bound_ms)
        ladder.note(rate, is_held=held)
        tried.append((rate, held, _facts(trial)))
        print(f"      {rate:g} req/s: {'held' if held else 'missed'}", flush=True)
    text = f"{ladder.held:g} requests/s of {TOKENS} tokens each"
    if not ladder.held:
        return Finding(holds=False, text=text, figures={"tried": tried})
    half = _accuracy(folder, ladder.held / 2, seconds=seconds, p50_ms=_HALF_P50_MS, p99_ms=_HALF_P99_MS)
    return Finding(holds=half.holds, text=f"{text}; {half.text}", figures={"tried": tried, **half.figures})


def accuracy_check(folder: Path, *, seconds: float) -> Finding:
    """Errors at a rate that is the same on every machine."""
    return _accuracy(folder, _ACCURACY_RATE, seconds=seconds, p50_ms=_ACCURACY_MS, p99_ms=_ACCURACY_MS)


def _accuracy(folder: Path, rate: float, *, seconds: float, p50_ms: float, p99_ms: float) -> Finding:
    trial = _trial(folder, rate, seconds=seconds, seed=_SEED - 1)
    if trial.figures is None:
        return Finding(holds=False, text=trial.failure or "")
    seen = trial.figures.errors
    if seen.ttft_p50_ms is None or seen.ttft_p99_ms is None or seen.gap_p50_ms is None or seen.gap_p99_ms is None:
        return Finding(holds=False, text="nothing to compare")
    late_ms = seen.late_p99_ms or 0.0
    text = (
        f"at {rate:g} req/s TTFT error p50 {seen.ttft_p50_ms:.3f}, p99 {seen.ttft_p99_ms:.3f} ms; "
        f"ITL error p50 {seen.gap_p50_ms:.4f}, p99 {seen.gap_p99_ms:.3f} ms; lateness p99 {late_ms:.3f} ms"
    )
    is_true = max(seen.ttft_p99_ms, seen.gap_p99_ms) <= p99_ms and max(seen.ttft_p50_ms, seen.gap_p50_ms) <= p50_ms
    return Finding(holds=is_true, text=text, figures={"half": _facts(trial)})


def _trial(folder: Path, rate: float, *, seconds: float, seed: int) -> Trial:
    load = Load(requests=round(rate * seconds), tokens=TOKENS, seed=seed, rate=rate)
    return run_trial(Ours(), load, home=Home(root=folder / "home"), folder=folder / "trial")


def _facts(trial: Trial) -> object:
    return trial.failure if trial.figures is None else asdict(trial.figures)
