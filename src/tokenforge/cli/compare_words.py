"""The words of `compare`. What it does is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

_SIDE = "A runtime (vllm, transformers, vllm@0.32.0) that is started here, or the http address of a server that runs."


def compare(  # the options of one question: which of the two?
    a: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help="The same; judged against A. Twice the same shows the noise.")],
    model: Annotated[str | None, typer.Option(help="A hub id, a folder, or synthetic:NAME. With --file: its.")] = None,
    file: Annotated[Path | None, typer.Option(help="A benchmark.yaml for the workload, model and the rest.")] = None,
    workload: Annotated[str | None, typer.Option(help="Which workload of the file, where it has several.")] = None,
    rate: Annotated[float | None, typer.Option(help="Open loop: mean arrivals per second (Poisson).")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Closed loop: clients that never pause. Default: 4.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds of arrivals in a trial (open loop: 20).")] = None,
    requests: Annotated[int | None, typer.Option(help="Requests in a trial (closed loop: 32).")] = None,
    prompt_len: Annotated[int | None, typer.Option(help="Prompt tokens. Default: 128.")] = None,
    gen_tokens: Annotated[int | None, typer.Option(help="Output tokens. Default: 32.")] = None,
    engine_args_a: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An engine argument of A; again for more.")
    ] = None,
    engine_args_b: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An engine argument of B; again for more.")
    ] = None,
    quads: Annotated[int, typer.Option(help="Quads of four trials (ABBA or BAAB); an interval needs 3.")] = 5,
    delta: Annotated[str, typer.Option(help="A difference surely within this counts as none.")] = "5%",
    metric: Annotated[
        str | None, typer.Option(help="The metric that decides: e2e_mean in an open loop, output_tokens_per_s else.")
    ] = None,
    restart: Annotated[
        str | None, typer.Option(help="Start engines anew: every (trial), quad, never. By default as memory allows.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of arrivals, prompts, lengths and order.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="With addresses: the model's folder, for exact prompts.")
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Use /v1/chat/completions instead of /v1/completions.")] = False,
    parity: Annotated[bool, typer.Option(help="Ask both sides for the same answers after the trials.")] = True,
    calibration: Annotated[bool, typer.Option(help="Measure the load generator's own error (up to 10 s).")] = True,
    out: Annotated[Path | None, typer.Option(help="Folder for the results. Default: runs/<time>-compare.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Is B better than A? Exit code 0: better or equivalent, 1: worse, 2: not decided (or nothing could be said)."""
    from tokenforge.cli import compare as command
    from tokenforge.cli.compare_asked import Asked

    asked = Asked(
        a=a, b=b, model=model, file=file, workload=workload, rate=rate, concurrency=concurrency, duration_s=duration,
        requests=requests, prompt_len=prompt_len, gen_tokens=gen_tokens, engine_args_a=tuple(engine_args_a or ()),
        engine_args_b=tuple(engine_args_b or ()), quads=quads, delta=delta, metric=metric, restart=restart, seed=seed,
        tokenizer=tokenizer, chat=chat, parity=parity, calibrate=calibration, out=out, as_json=as_json,
    )  # fmt: skip
    raise typer.Exit(command.run(asked))
