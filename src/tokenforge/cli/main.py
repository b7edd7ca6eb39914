"""The command line's words. Each command imports what it needs when it runs, so `--help` answers at once.

Exit codes: 0 done; 1 failed (a run, a worker, an environment); 2 the input cannot be used. `gate` and `compare`
have their own, told in their help: 1 says "regressed" or "worse" and nothing else.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tokenforge.cli.compare_words import compare
from tokenforge.cli.parity_words import parity
from tokenforge.cli.platform_commands import add_platform_commands
from tokenforge.cli.runs_words import runs_app
from tokenforge.cli.server_run_words import add_server_runs
from tokenforge.domain.errors import InvalidInput, InvalidRequest, KeyReused, NotFound, TokenForgeError, TooLarge
from tokenforge.settings import read_log_form
from tokenforge.telemetry.logs import set_up_command_logs

_UNUSABLE = frozenset(kind.code for kind in (InvalidInput, NotFound, InvalidRequest, TooLarge, KeyReused))
"""Codes of what is wrong with the input, also where a server says so."""

_HELP = "Deploy, serve and benchmark large language models across runtime engines, with numbers that hold."
app = typer.Typer(help=_HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
runtimes_app = typer.Typer(help="List runtimes, install or check their environments.", invoke_without_command=True)
models_app = typer.Typer(help="Make synthetic models, describe any model.", no_args_is_help=True)
app.add_typer(runtimes_app, name="runtimes")
app.add_typer(models_app, name="models")

add_platform_commands(app)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the results. Default: runs/<time>-<name>.")]


@app.command()
def bench(  # the options of two forms of one command
    file: Annotated[Path | None, typer.Argument(help="A benchmark.yaml: models, runtimes, workloads.")] = None,
    url: Annotated[str | None, typer.Option(help="Instead of a file: any OpenAI-compatible server.")] = None,
    model: Annotated[str | None, typer.Option(help="With --url: the model. With a file: replaces its model.")] = None,
    rate: Annotated[float | None, typer.Option(help="With --url: mean arrivals per second (Poisson).")] = None,
    concurrency: Annotated[int | None, typer.Option(help="With --url: clients of a closed loop, not a rate.")] = None,
    duration: Annotated[float | None, typer.Option(help="With --url: seconds of arrivals.")] = None,
    requests: Annotated[int | None, typer.Option(help="With --url: number of requests.")] = None,
    prompt_len: Annotated[int, typer.Option(help="With --url: prompt tokens.")] = 256,
    gen_tokens: Annotated[int, typer.Option(help="With --url: output tokens.")] = 128,
    tokenizer: Annotated[Path | None, typer.Option(help="With --url: the model's folder, for exact prompts.")] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Use /v1/chat/completions instead of /v1/completions.")] = False,
    trace: Annotated[Path | None, typer.Option(help="With a file: the path of its traces.")] = None,
    trials: Annotated[int | None, typer.Option(help="Trials of each workload.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of arrivals, prompts and lengths.")] = None,
    processes: Annotated[
        int | None, typer.Option(help="Load generator processes that share the plan; as many as it needs.", min=1)
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be done, and stop.")] = False,
    calibration: Annotated[
        bool, typer.Option(help="Measure the load generator's own error after the trials (up to 10 s).")
    ] = True,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Benchmark: start each runtime, offer each workload, write the report. The main job."""
    from tokenforge.cli import bench as command

    asked = command.Asked(
        file=file, url=url, model=model, rate=rate, concurrency=concurrency, duration_s=duration, requests=requests,
        prompt_len=prompt_len, gen_tokens=gen_tokens, tokenizer=tokenizer, chat=chat, trace=trace, trials=trials,
        seed=seed, processes=processes, plan_only=plan, calibrate=calibration, out=out,
        as_json=as_json,
    )  # fmt: skip
    raise typer.Exit(command.run(asked))


app.command()(compare)


@app.command()
def plan(  # the options of two forms of one command
    file: Annotated[Path | None, typer.Argument(help="A benchmark.yaml with one workload, or see --workload.")] = None,
    url: Annotated[str | None, typer.Option(help="Instead of a file: any OpenAI-compatible server.")] = None,
    model: Annotated[str | None, typer.Option(help="With --url: the model.")] = None,
    workload: Annotated[str | None, typer.Option(help="Which workload of the file.")] = None,
    slo: Annotated[str | None, typer.Option(help="A preset, or ttft_ms=500,tpot_ms=50,attainment=0.99.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Expected load: requests/s, one line a minute.")] = None,
    price_per_hour: Annotated[float | None, typer.Option(help="Money per hour of one replica.", min=0)] = None,
    power: Annotated[float | None, typer.Option(help="Watts of one replica, where known.", min=0)] = None,
    headroom: Annotated[float, typer.Option(help="The share of its capacity a replica may use.")] = 0.8,
    max_trials: Annotated[int, typer.Option(help="Probes per runtime, at most.", min=1)] = 24,
    probe_s: Annotated[float, typer.Option(help="Seconds one probe may take.", min=1)] = 300.0,
    start_rate: Annotated[float | None, typer.Option(help="The first rate to try, requests/s.", min=0.001)] = None,
    prompt_len: Annotated[int, typer.Option(help="With --url: prompt tokens.", min=1)] = 256,
    gen_tokens: Annotated[int, typer.Option(help="With --url: output tokens.", min=1)] = 128,
    tokenizer: Annotated[Path | None, typer.Option(help="With --url: the model's folder, for exact prompts.")] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Capacity: the highest rate within an SLO by search, then replicas and cost (bench --plan only prints a spec)."""
    from tokenforge.cli import capacity as command

    asked = command.Asked(
        file=file, url=url, model=model, workload=workload, slo=slo, trace=trace, price_per_hour=price_per_hour,
        power_w=power, headroom=headroom, max_trials=max_trials, probe_s=probe_s, start_rate=start_rate,
        prompt_len=prompt_len, gen_tokens=gen_tokens, tokenizer=tokenizer, out=out, as_json=as_json,
    )  # fmt: skip
    raise typer.Exit(command.run(asked))


app.command()(parity)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="A folder that bench wrote.")], as_json: Json = False) -> None:
    """Rebuild the report of an earlier run from its record and requests."""
    from tokenforge.cli import results as command

    raise typer.Exit(command.report(folder, as_json=as_json))


app.add_typer(runs_app, name="runs")
add_server_runs(runs_app)


@app.command()
def gate(  # the options of two forms of one command
    runs_given: Annotated[
        list[Path] | None, typer.Argument(metavar="BASELINE... CANDIDATE", help="Folders of runs; the last is new.")
    ] = None,
    candidate: Annotated[
        list[Path] | None, typer.Option(help="The new run; again for more. Then all others are earlier ones.")
    ] = None,
    history: Annotated[Path | None, typer.Option(help="Instead of baselines: a folder of many runs.")] = None,
    margin: Annotated[
        list[str] | None, typer.Option(help="What is tolerated: 5%, or for one metric ttft_p99=20%. Default: 5%.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Gate this metric; again for more. Default: by the workload.")
    ] = None,
    between_runs: Annotated[
        str, typer.Option(help="How far runs differ, assumed until 3 earlier runs say it.", metavar="PERCENT")
    ] = "3%",
    allow_different_hardware: Annotated[
        bool, typer.Option("--allow-different-hardware", help="Compare runs of different machines all the same.")
    ] = False,
    summary: Annotated[Path | None, typer.Option(help="Write the answer as Markdown to this file.")] = None,
    github_summary: Annotated[
        bool, typer.Option("--github-summary", help="Append the Markdown to the file of GITHUB_STEP_SUMMARY.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Did it regress? Exit code 0: not regressed, 1: regressed, 2: inconclusive (or the input cannot be used)."""
    from tokenforge.cli import gate as command

    asked = command.Asked(
        runs=tuple(runs_given or ()), candidates=tuple(candidate or ()), history=history, margins=tuple(margin or ()),
        metrics=tuple(metric or ()), between_runs=between_runs, any_hardware=allow_different_hardware, summary=summary,
        github_summary=github_summary, as_json=as_json,
    )  # fmt: skip
    raise typer.Exit(command.run(asked))


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that bench wrote.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The bundle. Default: <name of the run>.tgz.")] = None,
    as_json: Json = False,
) -> None:
    """Pack a run into one file that others can check: record, requests, spec, checksums."""
    from tokenforge.cli import reproduce as command

    raise typer.Exit(command.export(folder, out, as_json=as_json))


@app.command()
def reproduce(
    bundle: Annotated[Path, typer.Argument(help="A file that export wrote.")],
    run: Annotated[bool, typer.Option("--run", help="Run it again here, and compare the numbers.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="With --run: let a command or code that the bundle names run.")
    ] = False,
    margin: Annotated[float, typer.Option(help="With --run: the share within which numbers agree.")] = 0.1,
    trace: Annotated[Path | None, typer.Option(help="Where the trace is that the run replayed.")] = None,
    out: Annotated[Path | None, typer.Option(help="Keep what is unpacked and measured in this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Check a bundle: checksums, plans and report made again. Exit code 0: equal, 1: differs, 2: can't be told."""
    from tokenforge.cli import reproduce as command

    asked = command.Asked(
        bundle=bundle, again=run, is_trusted=trust, margin=margin, trace=trace, out=out, as_json=as_json
    )
    raise typer.Exit(command.reproduce(asked))


@app.command()
def doctor(
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure this machine's ceilings (under 20 s) and keep them for reports.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check this machine: Python, CPU, GPU, disk, runtimes, timer precision; say what to do."""
    from tokenforge.cli import doctor as command

    raise typer.Exit(command.run(measure=measure, as_json=as_json))


@app.command()
def version() -> None:
    """Print the version."""
    from tokenforge import __version__

    typer.echo(__version__)


@runtimes_app.callback()
def list_runtimes(context: typer.Context, as_json: Json = False) -> None:
    """List the runtimes and which of their environments are installed."""
    if context.invoked_subcommand is None:
        from tokenforge.cli import runtimes as command

        raise typer.Exit(command.show(as_json=as_json))


@runtimes_app.command("install")
def install_runtime(
    runtime: Annotated[str, typer.Argument(help="NAME or NAME@VERSION, for example vllm@0.32.0.")],
    here: Annotated[bool, typer.Option(help="Fetch nothing: use the engine that this Python has.")] = False,
    as_json: Json = False,
) -> None:
    """Make a runtime's isolated environment (bench does it by itself when one is missing)."""
    from tokenforge.cli import runtimes as command

    raise typer.Exit(command.install(runtime, here=here, as_json=as_json))


@models_app.command("make")
def make_model(
    name: Annotated[str, typer.Argument(help="synthetic:NAME; `describe` without a model lists them.")],
    folder: Annotated[Path, typer.Argument(help="Where to write it (a new folder).")],
    seed: Annotated[int, typer.Option(help="Seed of the random weights.")] = 0,
    as_json: Json = False,
) -> None:
    """Make a synthetic model: an architecture with random weights and a real tokenizer, in the hub's layout."""
    from tokenforge.cli import models as command

    raise typer.Exit(command.make(name, folder, seed=seed, as_json=as_json))


@models_app.command("describe")
def describe_model(
    model: Annotated[str, typer.Argument(help="synthetic:NAME, a folder, or a hub id.")], as_json: Json = False
) -> None:
    """Describe a model: parameters, weights, KV cache per token, window."""
    from tokenforge.cli import models as command

    raise typer.Exit(command.describe(model, as_json=as_json))


def run() -> None:
    """The console script: errors become one message on stderr and an exit code."""
    try:
        sys.stderr = set_up_command_logs(sys.stderr, read_log_form())
        app()
    except TokenForgeError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2 if isinstance(error, InvalidInput | NotFound) or error.code in _UNUSABLE else 1)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
