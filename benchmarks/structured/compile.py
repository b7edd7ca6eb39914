"""How long the largest JSON schemas that are taken need to become grammars.

    PYTHONPATH=src ENVIRONMENT/bin/python benchmarks/structured/compile.py --vocabulary 128000

Run it with the Python of vLLM's environment (`tokenforge runtimes install vllm`). It compiles as vLLM does, with a
vocabulary of random pieces of text, and prints for each schema the time that the request's own process spends
(`front`), that of the engine's thread (wall and CPU), and the size of the grammar.
"""

import argparse
import random
import string
import time
from typing import Any

import xgrammar

from tokenforge.protocol.json_schema import read_schema
from tokenforge.runtimes.vllm_schema import enforceable

Schema = dict[str, Any]
_MOST = 2**53 - 1


def obj(properties: dict[str, Schema], *, is_required: bool = True) -> Schema:
    """An object of these properties alone."""
    return {"type": "object", "properties": properties, "required": list(properties) if is_required else []}


def numbered(count: int, schema: Schema, *, is_required: bool = True) -> Schema:
    """An object with so many properties of one kind."""
    return obj({f"p{number}": schema for number in range(count)}, is_required=is_required)


def lengths(first: int) -> Schema:
    """Texts of eight different lengths."""
    return obj({f"p{most}": {"type": "string", "maxLength": most} for most in range(first, first + 8)})


SCHEMAS: dict[str, Schema] = {
    "three properties": obj({"a": {"type": "boolean"}, "b": {"enum": ["x", "y"]}, "c": {"type": "string"}}),
    "any object": {"type": "object"},
    "500 values": {"enum": [f"value {number}" for number in range(500)]},
    "8,000 characters in one value": {"const": "y" * 8_000},
    "256 optional texts": numbered(256, {"type": "string"}, is_required=False),
    "256 moments": numbered(256, {"type": "string", "format": "date-time"}),
    "32 bounded numbers": obj(
        {f"p{n}": {"type": "number", "minimum": n - _MOST, "maximum": _MOST - n} for n in range(32)}
    ),
    "250 texts of one length": numbered(250, {"type": ["string", "null"], "maxLength": 128}),
    "8 short lengths of text": lengths(20),
    "2 long lengths of text": obj({f"p{most}": {"type": "string", "maxLength": most} for most in (127, 128)}),
}


def main() -> None:
    """Compile each once."""
    parser = argparse.ArgumentParser(description="Time the grammars of JSON schemas.")
    parser.add_argument("--vocabulary", type=int, default=128_000, help="tokens of the made-up tokenizer")
    info = _vocabulary(parser.parse_args().vocabulary)
    print(f"{'schema':<32}  {'front ms':>8}  {'wall s':>6}  {'CPU s':>6}  {'MiB':>6}")
    for name, schema in SCHEMAS.items():
        text, faults = read_schema(schema, place="schema")
        if text is None:
            raise SystemExit(f"{name}: {faults[0]}")
        said = enforceable(text)
        front_s = -time.perf_counter()
        xgrammar.Grammar.from_json_schema(said)
        front_s += time.perf_counter()
        compiler = xgrammar.GrammarCompiler(info, max_threads=8, cache_enabled=True)
        wall_s, cpu_s = -time.perf_counter(), -time.process_time()
        made = compiler.compile_json_schema(said, any_whitespace=False, separators=(",", ":"))
        wall_s, cpu_s = wall_s + time.perf_counter(), cpu_s + time.process_time()
        size = made.memory_size_bytes / 2**20
        print(f"{name:<32}  {front_s * 1e3:>8.1f}  {wall_s:>6.2f}  {cpu_s:>6.2f}  {size:>6.1f}", flush=True)


def _vocabulary(size: int) -> Any:
    """Every byte, and random pieces of what JSON is made of."""
    chance = random.Random(1)
    letters = string.ascii_letters + string.digits + ' _-.,:;"{}[]()\\/'
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += ["".join(chance.choices(letters, k=chance.randint(2, 9))).encode() for _ in range(size - 256)]
    return xgrammar.TokenizerInfo(tokens, vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[0])


if __name__ == "__main__":
    main()
