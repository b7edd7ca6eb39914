"""The words of the platform: run it (`up`, and its two processes), and speak to it."""

from pathlib import Path
from typing import Annotated

import typer

from tokenforge.cli.key_words import keys_app

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Server = Annotated[
    str | None, typer.Option("--server", help="Address of a TokenForge server. Default: the one that is up here.")
]
Lifeline = Annotated[int | None, typer.Option("--lifeline-fd", hidden=True)]
Host = Annotated[str, typer.Option(help="Address to listen on; other than loopback only with keys.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)]


def add_platform_commands(app: typer.Typer) -> None:
    """Add them to the program."""
    for command in (up, deploy, deployments, delete, logs, infer, gateway, control, manifests):
        app.command()(command)
    app.add_typer(keys_app, name="keys")
    app.command(hidden=True)(run_queued)
    app.command(hidden=True)(replica)
    app.command(hidden=True)(driver_pod)


def up(
    port: Port = 8080,
    host: Host = "127.0.0.1",
    gateways: Annotated[int, typer.Option(help="Gateway processes that share the port.", min=1, max=16)] = 1,
) -> None:
    """Run the platform here: gateway and control, state under TOKENFORGE_HOME. Ctrl-C ends all of it."""
    from tokenforge.cli import up as command

    raise typer.Exit(command.run(host=host, port=port, gateways=gateways))


def deploy(  # the fields of one body
    model: Annotated[str, typer.Argument(help="A hub id, a folder, or synthetic:NAME.")],
    runtime: Annotated[str, typer.Option(help="NAME or NAME@VERSION, for example vllm.")],
    name: Annotated[str | None, typer.Option(help="Its name. Default: of model and runtime.")] = None,
    quant: Annotated[str | None, typer.Option(help="The weights' format, for example fp16.")] = None,
    replicas: Annotated[int | None, typer.Option(help="How many workers. Default: 1.", min=0)] = None,
    autoscale: Annotated[
        str | None, typer.Option(help="min=0,max=4,target=8: by requests there; also ttft_ms, down_after_s, idle_s.")
    ] = None,
    max_model_len: Annotated[int | None, typer.Option(help="The window in tokens.", min=1)] = None,
    target: Annotated[str, typer.Option(help="local or kubernetes.")] = "local",
    routing: Annotated[str | None, typer.Option(help="prefix (same beginning, same replica) or least_load.")] = None,
    engine_arg: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the engine (VALUE as JSON); again for more.")
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other key of POST /deploy, as JSON: 'resources={\"gpu\": 1}'; again for more."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it serves, or has failed.")] = True,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Deploy a model on a runtime, and wait until it serves."""
    from tokenforge.cli import deployments as command

    body: dict[str, object] = {
        "model": model, "runtime": runtime, "target": target,
        **command.given(name=name, quant=quant, max_model_len=max_model_len, routing=routing),
        **command.given(replicas=replicas, autoscale=command.autoscale(autoscale)),
        "engine_args": command.engine_args(engine_arg or []),
        **command.named_values(more or [], option="--set"),
    }  # fmt: skip
    raise typer.Exit(command.deploy(body, wait=wait, server=server, as_json=as_json))


def deployments(server: Server = None, as_json: Json = False) -> None:
    """List deployments: what is wanted, what is there, and why not."""
    from tokenforge.cli import deployments as command

    raise typer.Exit(command.show(server=server, as_json=as_json))


Named = Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="Its name or id.")]


def delete(
    deployment: Named,
    wait: Annotated[bool, typer.Option(help="Wait until its workers have ended.")] = True,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """End a deployment; requests in flight may finish."""
    from tokenforge.cli import deployments as command

    raise typer.Exit(command.delete(deployment, wait=wait, server=server, as_json=as_json))


def logs(
    deployment: Named,
    lines: Annotated[int, typer.Option(help="Lines of each replica.", min=1)] = 200,
    events: Annotated[bool, typer.Option("--events", help="What happened to it, not its workers' logs.")] = False,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Print the logs of a deployment's workers."""
    from tokenforge.cli import deployments as command

    raise typer.Exit(command.logs(deployment, lines=lines, events=events, server=server, as_json=as_json))


def infer(
    model: Annotated[str, typer.Argument(help="A model that is deployed.")],
    prompt: Annotated[str, typer.Argument(help="The text to go on from.")],
    runtime: Annotated[str | None, typer.Option(help="Which of its runtimes. Default: any.")] = None,
    max_tokens: Annotated[int, typer.Option(help="The most tokens to make.", min=1)] = 128,
    temperature: Annotated[float, typer.Option(help="0 is greedy.", min=0, max=2)] = 1.0,
    top_p: Annotated[float, typer.Option(help="Above 0, up to 1.")] = 1.0,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print the answer as it comes; with --json an event a line.")
    ] = False,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Ask a deployed model one prompt."""
    from tokenforge.cli import infer as command

    body: dict[str, object] = {
        "model": model, "prompt": prompt, "max_tokens": max_tokens, "temperature": temperature, "top_p": top_p,
        "stream": stream,
    }  # fmt: skip
    if runtime is not None:
        body["runtime"] = runtime
    raise typer.Exit(command.run(body, server=server, as_json=as_json))


def gateway(
    port: Port = 8080,
    host: Host = "127.0.0.1",
    is_shared: Annotated[bool, typer.Option("--shared", help="Others may share the port, for more processes.")] = False,
    socket_fd: Annotated[int | None, typer.Option("--socket-fd", hidden=True)] = None,
    lifeline_fd: Lifeline = None,
) -> None:
    """Run a gateway alone (`up` runs one)."""
    from tokenforge.cli import processes as command

    listener = command.listener_of(host, port, socket_fd=socket_fd, is_shared=is_shared)
    raise typer.Exit(command.run_gateway(listener, lifeline_fd=lifeline_fd))


def control(
    lifeline_fd: Lifeline = None, owner: Annotated[str | None, typer.Option("--owner", hidden=True)] = None
) -> None:
    """Run control alone (`up` runs one); it waits while another one leads."""
    from tokenforge.cli import processes as command

    raise typer.Exit(command.run_control(lifeline_fd=lifeline_fd, owner=owner))


def run_queued(
    file: Annotated[Path, typer.Argument(help="The benchmark.")],
    targets: Annotated[Path, typer.Option(help="JSON: where each runtime of each model is up.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    withdrawn: Annotated[Path | None, typer.Option(help="JSON: runs that are cancelled while it runs.")] = None,
    taken_up_because: Annotated[str, typer.Option(help="Why an attempt before this one ended; its trials stay.")] = "",
    lifeline_fd: Lifeline = None,
) -> None:
    """Run a benchmark on deployments that are up (control starts this)."""
    from tokenforge.cli import queued as command

    asked = command.Asked(
        file=file, targets=targets, out=out, withdrawn=withdrawn, taken_up_because=taken_up_because,
        lifeline_fd=lifeline_fd,
    )  # fmt: skip
    raise typer.Exit(command.run(asked))


def manifests(
    model: Annotated[str, typer.Argument(help="A hub id, synthetic:NAME, or a folder of the cache volume.")],
    runtime: Annotated[str, typer.Option(help="NAME or NAME@VERSION, for example vllm.")],
    more: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other key of POST /deploy, as JSON: 'resources={\"gpu\": 1}'; again for more."),
    ] = None,
    site: Annotated[Path | None, typer.Option(help="The cluster's settings as YAML. Default: their defaults.")] = None,
    as_json: Json = False,
) -> None:
    """Print a deployment's Kubernetes objects; no cluster is asked."""
    from tokenforge.cli import deployments
    from tokenforge.cli import manifests as command

    body = {"model": model, "runtime": runtime, **deployments.named_values(more or [], option="--set")}
    raise typer.Exit(command.run(body, site=site, as_json=as_json))


def driver_pod(job: Annotated[str, typer.Argument(help="The Job whose pod this is.")]) -> None:
    """What runs in a pod that offers load: take its share of a trial, bring its journal back."""
    from tokenforge.cli import driver_pod as command

    raise typer.Exit(command.run(job))


def replica(
    action: Annotated[str, typer.Argument(help="prepare, serve or follow.")],
    spec: Annotated[str, typer.Argument(help="What to serve, as JSON.")],
) -> None:
    """What runs in a pod: fetch the model (prepare), become its worker (serve), or be a part of one (follow)."""
    from tokenforge.cli import replica as command

    actions = {"prepare": command.prepare, "serve": command.serve, "follow": command.follow}
    if action not in actions:
        raise typer.BadParameter(f"{action!r} is none of {', '.join(actions)}")
    raise typer.Exit(actions[action](spec))
