"""The words of `runs` that speak to a server: list, show, cancel, report."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Server = Annotated[
    str | None, typer.Option("--server", help="Address of a TokenForge server. Default: the one that is up here.")
]
Limit = Annotated[int, typer.Option(help="How many benchmarks, newest first.", min=1, max=1_000)]
Run = Annotated[str, typer.Argument(metavar="RUN", help="Its id, as `runs list` prints it.")]


def add_server_runs(app: typer.Typer) -> None:
    """Add them to the words of `runs`."""
    app.command("list")(show_all)
    for command in (submit, show, cancel, report):
        app.command()(command)


def show_all(limit: Limit = 20, server: Server = None, as_json: Json = False) -> None:
    """List the runs of a server: what was asked of it by POST /benchmarks/run."""
    from tokenforge.cli import server_runs as command

    raise typer.Exit(command.show_all(limit=limit, server=server, as_json=as_json))


def submit(
    file: Annotated[Path, typer.Argument(help="A benchmark.yaml; files that it names must be the server's.")],
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Queue a benchmark on a server; with `target: kubernetes` in it, it is deployed and measured on its cluster."""
    from tokenforge.cli import server_runs as command

    raise typer.Exit(command.submit(file, server=server, as_json=as_json))


def show(
    run: Run,
    events: Annotated[bool, typer.Option("--events", help="Also what happened to its benchmark until now.")] = False,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Show one run of a server: its status, its cause, its files. Exit code 1 when it failed or was cut short."""
    from tokenforge.cli import server_runs as command

    raise typer.Exit(command.show(run, events=events, server=server, as_json=as_json))


def cancel(
    run: Run,
    whole: Annotated[bool, typer.Option("--benchmark", help="All runs of its benchmark, not this one alone.")] = False,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Cancel one run of a server; the others of its benchmark go on."""
    from tokenforge.cli import server_runs as command

    raise typer.Exit(command.cancel(run, whole=whole, server=server, as_json=as_json))


def report(run: Run, server: Server = None, as_json: Json = False) -> None:
    """Print the address of a run's report. Exit code 1 when it is not written yet."""
    from tokenforge.cli import server_runs as command

    raise typer.Exit(command.report(run, server=server, as_json=as_json))
