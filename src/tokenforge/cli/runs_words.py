"""The words of `tokenforge runs`: list what was measured, forget old ones, carry one elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

_HELP = "List past benchmarks; prune, export, import them. Runs of a server: list, show, cancel, report."
runs_app = typer.Typer(help=_HELP, invoke_without_command=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@runs_app.callback()
def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1)] = 20,
    model: Annotated[str | None, typer.Option(help="Those with a run of this model.")] = None,
    runtime: Annotated[str | None, typer.Option(help="Those with a run of this runtime, as NAME@VERSION.")] = None,
    status: Annotated[str | None, typer.Option(help="Those with a run of this status, for example failed.")] = None,
    as_json: Json = False,
) -> None:
    """List past benchmarks and where their files are."""
    if context.invoked_subcommand is None:
        from tokenforge.cli import results as command

        raise typer.Exit(command.runs(limit=limit, model=model, runtime=runtime, status=status, as_json=as_json))


@runs_app.command()
def prune(
    older_than: Annotated[str | None, typer.Option(help="Forget those older than this: 90d, 12h.")] = None,
    keep: Annotated[int | None, typer.Option(help="Forget all but the newest so many.", min=0)] = None,
    as_json: Json = False,
) -> None:
    """Forget old benchmarks and remove their files from the artifact store (folders of `--out` stay)."""
    from tokenforge.cli import results as command

    raise typer.Exit(command.prune(older_than=older_than, keep=keep, as_json=as_json))


@runs_app.command("export")
def export(
    run: Annotated[str, typer.Argument(help="The id of a benchmark or of one of its runs.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The bundle. Default: <id>.tgz.")] = None,
    as_json: Json = False,
) -> None:
    """Pack a remembered benchmark into one file, as `tokenforge export` does with a folder."""
    from tokenforge.cli import results as command

    raise typer.Exit(command.export(run, out, as_json=as_json))


@runs_app.command("import")
def take_in(bundle: Annotated[Path, typer.Argument(help="A file that export wrote.")], as_json: Json = False) -> None:
    """Remember the benchmark of a bundle, and keep its files in the artifact store."""
    from tokenforge.cli import results as command

    raise typer.Exit(command.take_in(bundle, as_json=as_json))
