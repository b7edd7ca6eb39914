"""One streamed request through the platform, as Arize Phoenix understands its trace.

    python3 -m venv /tmp/phoenix && /tmp/phoenix/bin/pip install arize-phoenix
    PYTHONPATH=dev python dev/trace_in_phoenix.py --phoenix /tmp/phoenix/bin/phoenix --runtime vllm

Starts Phoenix and `tokenforge up` on loopback, deploys a model, asks once, reads the trace back by Phoenix' own API,
checks that spans are nested, tokens are those of the answer, and stages add up to the gateway's span within
1 %. `--keep` leaves both up until Ctrl-C, to be looked at. Exit code 1 where something is not so.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from servers.ports import LOCALHOST, free_port, until

_WITHIN = 0.01
_PHOENIX_LIMIT_S = 120.0
_DEPLOY_LIMIT_S = 420.0
_TRACE_LIMIT_S = 30.0
_STOP_LIMIT_S = 60.0
_TOKENS = 64
_NESTED = {
    "route": "POST /v1/chat/completions", "relay": "POST /v1/chat/completions", "prepare": "POST /v1/chat/completions",
    "finish": "POST /v1/chat/completions", "prefill": "chat", "decode": "chat",
}  # fmt: skip

Span = Mapping[str, Any]


def main(asked: argparse.Namespace) -> int:
    """Run it, print the tree and what is wrong."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        phoenix = stack.enter_context(_phoenix(asked.phoenix, folder))
        platform = stack.enter_context(_platform(phoenix, folder))
        _deploy(platform, asked.model, asked.runtime)
        _ask(platform, asked.model, tokens=4)
        usage = _ask(platform, asked.model, tokens=_TOKENS)
        spans = _trace_of(phoenix, usage)
        _print(spans)
        wrong = _faults(spans, usage)
        print("\n".join(wrong) or "nested, tokens understood, stages add up", flush=True)
        if asked.keep:
            print(f"Phoenix: {phoenix}\nTokenForge: {platform}\nCtrl-C ends both", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
    return 1 if wrong else 0


@contextlib.contextmanager
def _phoenix(program: Path, folder: Path) -> Iterator[str]:
    """Phoenix with a database of its own; gives its address."""
    port, grpc = free_port(), free_port()
    env = {
        **os.environ, "PHOENIX_HOST": LOCALHOST, "PHOENIX_PORT": str(port), "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_WORKING_DIR": str(folder / "phoenix"), "PHOENIX_TELEMETRY_ENABLED": "false",
    }  # fmt: skip
    (folder / "phoenix").mkdir()
    url = f"http://{LOCALHOST}:{port}"
    with _child([str(program), "serve"], env, folder / "phoenix.log", url=f"{url}/healthz", limit_s=_PHOENIX_LIMIT_S):
        yield url


@contextlib.contextmanager
def _platform(phoenix: str, folder: Path) -> Iterator[str]:
    """`tokenforge up` that traces to Phoenix; gives its address."""
    port = free_port()
    env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": phoenix}
    command = [sys.executable, "-m", "tokenforge.cli", "up", "--port", str(port)]
    url = f"http://{LOCALHOST}:{port}"
    with _child(command, env, folder / "up.log", url=f"{url}/health/ready", limit_s=60):
        yield url


@contextlib.contextmanager
def _child(command: Sequence[str], env: Mapping[str, str], log: Path, *, url: str, limit_s: float) -> Iterator[None]:
    """A process while the block lasts, from when it answers at `url` on. Raises SystemExit with its last words."""
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=dict(env), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    try:
        until(lambda: process.poll() is not None or _answers(url), limit_s=limit_s, what=command[0])
        if process.poll() is not None:
            raise SystemExit(log.read_text()[-2000:])
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _deploy(platform: str, model: str, runtime: str) -> None:
    """A deployment of one replica, until it is ready."""
    words = ["deploy", model, "--runtime", runtime, "--name", "traced", "--server", platform]
    done = subprocess.run(
        [sys.executable, "-m", "tokenforge.cli", *words],
        capture_output=True, text=True, timeout=_DEPLOY_LIMIT_S, check=False,
    )  # fmt: skip
    if done.returncode and "is there already" not in done.stderr:
        raise SystemExit(done.stderr)

    def is_ready() -> bool:
        with urllib.request.urlopen(f"{platform}/deployments/traced", timeout=10) as answer:
            return bool(json.load(answer)["ready"])

    until(is_ready, limit_s=_DEPLOY_LIMIT_S, what=f"{model} on {runtime}")


def _ask(platform: str, model: str, *, tokens: int) -> Mapping[str, int]:
    """One streamed chat completion; its usage."""
    body = {
        "model": model, "messages": [{"role": "user", "content": "What is a trace?"}], "max_tokens": tokens,
        "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{platform}/v1/chat/completions", json.dumps(body).encode(), headers)
    usage: Mapping[str, int] = {}
    with urllib.request.urlopen(request, timeout=60) as answer:
        for line in answer:
            if line.startswith(b"data: {"):
                usage = json.loads(line[6:]).get("usage") or usage
    return usage


def _trace_of(phoenix: str, usage: Mapping[str, int]) -> list[Span]:
    """The spans of the trace whose generation had so many tokens, once gateway and worker both have sent theirs."""
    end_s = time.monotonic() + _TRACE_LIMIT_S
    while time.monotonic() < end_s:
        with contextlib.suppress(OSError):
            spans = _spans(phoenix)
            wanted = usage["completion_tokens"]
            ours = {s["context"]["trace_id"] for s in spans if _tokens(s, "completion") == wanted}
            found = [s for s in spans if s["context"]["trace_id"] in ours]
            if len(ours) == 1 and {"relay", "finish"} <= {s["name"] for s in found}:
                return found
        time.sleep(0.5)
    raise SystemExit(f"Phoenix shows no whole trace with {usage} within {_TRACE_LIMIT_S:g} s")


def _spans(phoenix: str) -> list[Span]:
    with urllib.request.urlopen(f"{phoenix}/v1/projects/default/spans?limit=1000", timeout=10) as answer:
        spans: list[Span] = json.load(answer)["data"]
        return spans


def _tokens(span: Span, kind: str) -> float:
    """Tokens in Phoenix' own words, which it makes of `gen_ai.usage.*`; NaN where it has none."""
    return float(span["attributes"].get(f"llm.token_count.{kind}", math.nan))


def _print(spans: Sequence[Span]) -> None:
    ids = {s["context"]["span_id"] for s in spans}

    def under(parent: str | None, depth: int) -> None:
        for span in sorted(spans, key=lambda s: str(s["start_time"])):
            mine = span["parent_id"] if span["parent_id"] in ids else None
            if mine == parent:
                tokens = [f"{k} tokens {_tokens(span, k):g}" for k in ("prompt", "completion") if _tokens(span, k) > 0]
                kind = span["span_kind"]
                print(f"{'  ' * depth}{span['name']} [{kind}] {_lasted_s(span) * 1e3:.2f} ms {', '.join(tokens)}")
                under(span["context"]["span_id"], depth + 1)

    under(None, 0)


def _lasted_s(span: Span) -> float:
    """Seconds of a span, from what Phoenix gives: RFC 3339 with microseconds."""
    begin, end = (datetime.fromisoformat(span[name]) for name in ("start_time", "end_time"))
    return (end - begin).total_seconds()


def _faults(spans: Sequence[Span], usage: Mapping[str, int]) -> list[str]:
    """What is not as it should be, in words."""
    by_id = {s["context"]["span_id"]: s for s in spans}
    wrong = []
    for name, parent in _NESTED.items():
        parents = [by_id.get(s["parent_id"] or "", {}).get("name", "none") for s in spans if s["name"] == name]
        if not parents or not all(str(one).startswith(parent) for one in parents):
            wrong.append(f"{name} is within {parents or 'nothing'}, not {parent}")
    (generation,) = [s for s in spans if str(s["name"]).startswith("chat ")]
    for kind in ("prompt", "completion"):
        if _tokens(generation, kind) != usage[f"{kind}_tokens"]:
            wrong.append(f"{kind} tokens are {_tokens(generation, kind):g}, the answer had {usage[f'{kind}_tokens']}")
    if generation["span_kind"] != "LLM":
        wrong.append(f"the generation is of the kind {generation['span_kind']}, not LLM")
    return wrong + _stage_faults(spans)


def _stage_faults(spans: Sequence[Span]) -> list[str]:
    """Leaves, and what of the relay lies outside of the worker's span, against the gateway's span."""
    ids = {s["context"]["span_id"] for s in spans}
    within = {s["parent_id"] for s in spans}
    (root,) = [s for s in spans if s["parent_id"] not in ids]
    (relay,) = [s for s in spans if s["name"] == "relay"]
    (worker,) = [s for s in spans if s["parent_id"] == relay["context"]["span_id"]]
    leaves = sum(_lasted_s(s) for s in spans if s["context"]["span_id"] not in within)
    total = leaves + _lasted_s(relay) - _lasted_s(worker)
    apart = total / _lasted_s(root) - 1
    print(f"stages {total * 1e3:.2f} ms, the whole {_lasted_s(root) * 1e3:.2f} ms, apart by {apart:.3%}")
    return [] if abs(apart) <= _WITHIN else [f"stages add up to {total:.6f} s, not {_lasted_s(root):.6f} s"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phoenix", type=Path, required=True, help="the program `phoenix`")
    parser.add_argument("--runtime", default="vllm")
    parser.add_argument("--model", default="synthetic:tiny")
    parser.add_argument("--keep", action="store_true", help="leave both up until Ctrl-C")
    sys.exit(main(parser.parse_args()))
