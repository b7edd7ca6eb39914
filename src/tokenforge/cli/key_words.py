"""The words of `keys`."""

from typing import Annotated

import typer

from tokenforge.domain.api_key import SCOPES

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Server = Annotated[
    str | None, typer.Option("--server", help="Address of a TokenForge server. Default: the state of this machine.")
]
Name = Annotated[str, typer.Argument(help="Its name: a-z, 0-9 and -.")]

keys_app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


@keys_app.command()
def create(
    name: Name,
    scope: Annotated[list[str], typer.Option(help=f"{', '.join(SCOPES)}; again for more.")],
    requests_per_minute: Annotated[int, typer.Option(help="The most a minute; 0: no limit.")] = 0,
    concurrency: Annotated[int, typer.Option(help="The most at once; 0: no limit.")] = 0,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once."""
    from tokenforge.cli import keys as command

    body: dict[str, object] = {
        "name": name, "scopes": scope, "requests_per_minute": requests_per_minute, "concurrency": concurrency,
    }  # fmt: skip
    raise typer.Exit(command.create(body, server=server, as_json=as_json))


@keys_app.command("list")
def show(server: Server = None, as_json: Json = False) -> None:
    """List keys: names, scopes, limits; never the keys themselves."""
    from tokenforge.cli import keys as command

    raise typer.Exit(command.show(server=server, as_json=as_json))


@keys_app.command()
def revoke(name: Name, server: Server = None, as_json: Json = False) -> None:
    """End a key: from now on it is refused."""
    from tokenforge.cli import keys as command

    raise typer.Exit(command.revoke(name, server=server, as_json=as_json))
