"""`parity`: two sides, one answer, an exit code that a pipeline can act on."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tokenforge.bench.parity import ParityAsk
from tokenforge.bench.parity_session import (
    PARITY_MARKDOWN_FILE,
    ParityOutcome,
    ParityRequest,
    ParitySide,
    run_parity,
)
from tokenforge.bench.probe import base_url
from tokenforge.cli.bench import until_stopped
from tokenforge.cli.progress import LiveProgress, PlainProgress
from tokenforge.cli.show import print_json, print_table
from tokenforge.cli.wiring import make_kit
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.errors import Fault, InvalidInput, TokenForgeError, WorkerFailed
from tokenforge.domain.model import parse_model
from tokenforge.domain.parity import ParityVerdict
from tokenforge.domain.runtime import Quant, parse_runtime
from tokenforge.report.parity_view import PARITY_COLUMNS, parity_view
from tokenforge.runtimes.registry import find_plug
from tokenforge.settings import read_settings

_EXIT_CODES = {ParityVerdict.PASS: 0, ParityVerdict.FAIL: 1, ParityVerdict.NOT_MEASURED: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as given."""

    a: str
    b: str
    model: str
    prompts: int
    tokens: int
    prompt_len: int
    batch: int
    quant_a: str | None
    quant_b: str | None
    seed: int
    out: Path | None
    as_json: bool


def run(asked: Asked) -> int:
    """Measure, print, write. Returns the exit code: 1 says "differs" and nothing else, so every error is a 2."""
    try:
        return _run(asked)
    except TokenForgeError as error:
        sys.stderr.write(f"error: {error}\n")
        if isinstance(error, WorkerFailed):
            sys.stderr.write("".join(f"  {line}\n" for line in error.last_words[-10:]))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
    return _EXIT_CODES[ParityVerdict.NOT_MEASURED]


def _run(asked: Asked) -> int:
    settings = read_settings()
    key = settings.openai_api_key
    request = read_request(asked, headers={"Authorization": f"Bearer {key}"} if key else {})
    console = Console(stderr=True)
    with LiveProgress(console) if console.is_terminal else PlainProgress(sys.stderr) as observer:
        outcome = until_stopped(run_parity(request, kit=make_kit(settings, observer)))
    _show(outcome, request.folder, as_json=asked.as_json)
    return _EXIT_CODES[outcome.result.verdict]


def read_request(asked: Asked, *, headers: dict[str, str]) -> ParityRequest:
    """What was asked. Raises InvalidInput with every fault of the command."""
    faults: list[Fault] = []
    a = _side("A", asked.a, asked.quant_a, faults)
    b = _side("B", asked.b, asked.quant_b, faults)
    if faults:
        raise InvalidInput(faults, source="the command")
    ask = ParityAsk(
        prompts=asked.prompts, tokens=asked.tokens, prompt_tokens=asked.prompt_len, batch=asked.batch, seed=asked.seed
    )
    folder = asked.out or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-parity"
    model = parse_model(asked.model, field="--model")
    return ParityRequest(
        model=model, sides=(a, b), ask=ask, folder=folder, command=_command_text(asked, (a, b)), headers=headers
    )


def _side(name: str, text: str, quant: str | None, faults: list[Fault]) -> ParitySide:
    option = f"--quant-{name.lower()}"
    try:
        if "://" in text:
            return ParitySide(url=base_url(text), quant=_quant(option, quant, faults))
        runtime = parse_runtime(text, field=name)
        find_plug(runtime.name)
    except InvalidInput as error:
        faults.extend(Fault(field=name, value=one.value, message=one.message, hint=one.hint) for one in error.faults)
        return ParitySide()
    return ParitySide(runtime=runtime, quant=_quant(option, quant, faults))


def _quant(option: str, text: str | None, faults: list[Fault]) -> Quant | None:
    if text is None or text in set(Quant):
        return None if text is None else Quant(text)
    faults.append(Fault(field=option, value=text, message="is not known", hint=f"known: {', '.join(Quant)}"))
    return None


def _command_text(asked: Asked, sides: tuple[ParitySide, ParitySide]) -> str:
    """The command again, for the record; no password of an address."""
    words = ["tokenforge parity", *(_side_text(side) for side in sides), f"--model {asked.model}"]
    words += [f"--prompts {asked.prompts} --tokens {asked.tokens} --prompt-len {asked.prompt_len}"]
    words += [f"--batch {asked.batch} --seed {asked.seed}"]
    words += [f"--quant-a {asked.quant_a}"] if asked.quant_a else []
    words += [f"--quant-b {asked.quant_b}"] if asked.quant_b else []
    return " ".join(words)


def _side_text(side: ParitySide) -> str:
    if side.url is None:
        return str(side.runtime)
    scheme, separator, rest = side.url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _show(outcome: ParityOutcome, folder: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(folder), **outcome.document})
        return
    plain = to_plain(outcome.result)
    view = parity_view(plain) if isinstance(plain, dict) else None
    assert view is not None
    print(f"{view.verdict}: {view.sentence}\n")
    if view.rows:
        print_table(PARITY_COLUMNS, view.rows)
        print()
    for remark in view.remarks:
        print(f"- {remark}")
    print(f"\nParity: {folder / PARITY_MARKDOWN_FILE}")
