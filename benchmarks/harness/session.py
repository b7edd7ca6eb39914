"""The whole comparison: install, then trials in a fixed order in which every client has its turn in every round.

Turns go forwards and backwards by round, so that what else the machine does hits all alike. A client that cannot be
installed, or fails twice before it ever succeeded, is left out with its reason.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.clients.base import Client, Load
from harness.home import CannotInstall, Home
from harness.ladder import Ladder
from harness.store import Store
from harness.trial import Trial, is_held, run_trial

RATE_TOKENS, STREAM_TOKENS = 64, 256
STREAMS = 256

_LEAST_REQUESTS = 40
_LADDER_SEED = 1000
_STREAM_SEED = 2000
_FAILURES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """How much to measure: `seconds` of load per trial at a rate, `repeats` of the trials at `rates` and of the
    closed loop, and at most `steps` trials per client's ladder."""

    rates: tuple[float, ...]
    seconds: float
    repeats: int
    stream_repeats: int
    steps: int


@dataclass(slots=True, kw_only=True)
class Session:
    """One run of the harness. `say` gets a line per step; `versions` and `out` (why left out) are by client."""

    home: Home
    clients: Sequence[Client]
    scope: Scope
    store: Store
    folder: Path
    say: Callable[[str], None]
    versions: dict[str, str] = field(default_factory=dict)
    out: dict[str, str] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    done: list[Trial] = field(default_factory=list)
    started_s: float = field(default_factory=time.monotonic)

    def install(self) -> None:
        """Every client, one after the other."""
        for client in self.clients:
            self.say(f"installing {client.name} ...")
            try:
                self.versions[client.name] = client.install(self.home)
            except CannotInstall as error:
                self.out[client.name] = f"cannot be installed: {error}"
                self.say(f"  {self.out[client.name]}")

    def at_rates(self) -> None:
        """Accuracy and cost at the same rates for all."""
        for repeat in range(self.scope.repeats):
            for rate in self.scope.rates:
                for client in self._turns(repeat):
                    self._measure(client, self._rate_load(rate, seed=repeat + 1))

    def streams(self) -> None:
        """Throughput of a closed loop."""
        for repeat in range(self.scope.stream_repeats):
            for client in self._turns(repeat):
                load = Load(
                    requests=client.stream_requests, tokens=STREAM_TOKENS, seed=_STREAM_SEED + repeat, streams=STREAMS
                )
                self._measure(client, load)

    def ladders(self) -> None:
        """The highest rate that each client holds within its bound, a step of each client at a time."""
        ladders = {client.name: Ladder(first_rate=client.first_rate, steps=self.scope.steps) for client in self.clients}
        for step in range(self.scope.steps):
            for client in self._turns(step):
                ladder = ladders[client.name]
                rate = ladder.next_rate()
                if rate is None:
                    continue
                trial = self._measure(client, self._rate_load(rate, seed=_LADDER_SEED + step))
                ladder.note(rate, is_held=is_held(trial, bound_ms=client.bound_ms))
        self.held = {name: ladder.held for name, ladder in ladders.items() if ladder.tries}

    def _turns(self, round_number: int) -> list[Client]:
        turns = [client for client in self.clients if client.name not in self.out]
        return turns if round_number % 2 == 0 else turns[::-1]

    def _rate_load(self, rate: float, *, seed: int) -> Load:
        requests = max(_LEAST_REQUESTS, round(rate * self.scope.seconds))
        return Load(requests=requests, tokens=RATE_TOKENS, seed=seed, rate=rate)

    def _measure(self, client: Client, load: Load) -> Trial:
        """The trial of an earlier run if there is one, else a new one."""
        trial = self.store.find(client.name, load)
        if trial is None and client.name not in self.out:
            name = "".join(letter if letter.isalnum() else "-" for letter in client.name)
            folder = self.folder / f"{name}-{load.rate or load.streams:g}-{load.seed}"
            trial = run_trial(client, load, home=self.home, folder=folder)
            self.store.add(trial)
        trial = trial or Trial(client=client.name, load=load, failure=self.out[client.name])
        self.done.append(trial)
        self.say(f"{time.monotonic() - self.started_s:6.0f} s  {describe(trial)}")
        self._leave_out(client.name)
        return trial

    def _leave_out(self, client: str) -> None:
        mine = [trial for trial in self.done if trial.client == client]
        if len(mine) >= _FAILURES and all(trial.failure is not None for trial in mine):
            self.out.setdefault(client, f"failed {len(mine)} times: {mine[-1].failure}")


def describe(trial: Trial) -> str:
    """One line of progress."""
    load = trial.load
    what = f"{load.streams} streams" if load.rate is None else f"{load.rate:g} req/s"
    if trial.figures is None:
        return f"{trial.client:16} {what:>12}: {trial.failure}"
    found = trial.figures
    if found.tokens_per_s is not None:
        return f"{trial.client:16} {what:>12}: {found.tokens_per_s:,.0f} tokens/s"
    p99 = found.errors.ttft_p99_ms
    seen = "nothing to compare" if p99 is None else f"TTFT error p99 {p99:.3f} ms"
    return f"{trial.client:16} {what:>12}: {found.rate or 0:.1f} arrived, {seen}, {found.wall_s:.0f} s"
