"""The words of `parity`. What it does is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

_SIDE = "A runtime (vllm, transformers, vllm@0.32.0) that is started here, or the http address of a server that runs."


def parity(  # the options of one question: do the two say the same?
    a: Annotated[str, typer.Argument(metavar="A", help=f"The reference. {_SIDE}")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same; held against A.")],
    model: Annotated[str, typer.Option(help="A hub id, a folder, or synthetic:NAME; its tokenizer makes the prompts.")],
    prompts: Annotated[int, typer.Option(help="How many answers are compared.", min=2)] = 16,
    tokens: Annotated[int, typer.Option(help="Tokens of an answer, at most.", min=1)] = 32,
    prompt_len: Annotated[int, typer.Option(help="Tokens of the longest prompt.", min=1)] = 64,
    batch: Annotated[int, typer.Option(help="Answers asked for at once; the reference is asked alone too.", min=2)] = 8,
    quant_a: Annotated[
        str | None,
        typer.Option(help="Number format of A: of a runtime, to start it in; of a server, if it does not say."),
    ] = None,
    quant_b: Annotated[str | None, typer.Option(help="Number format of B.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the prompts.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the results. Default: runs/<time>-parity.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Does B say the same as A? Exit code 0: yes, 1: no, 2: not measured (or the input cannot be used)."""
    from tokenforge.cli import parity as command

    asked = command.Asked(
        a=a, b=b, model=model, prompts=prompts, tokens=tokens, prompt_len=prompt_len, batch=batch, quant_a=quant_a,
        quant_b=quant_b, seed=seed, out=out, as_json=as_json,
    )  # fmt: skip
    raise typer.Exit(command.run(asked))
