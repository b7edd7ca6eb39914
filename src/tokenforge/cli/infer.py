"""`infer`: one prompt, one answer, on the terminal."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from tokenforge.cli.deployments import api_of
from tokenforge.cli.show import print_json
from tokenforge.protocol.sse import SseEvent

_LIMIT_S = 660.0


def run(body: Mapping[str, object], *, server: str | None, as_json: bool) -> int:
    """Ask; the text goes to standard output, its cost to standard error. 1 when a stream failed on its way."""
    api = api_of(server)
    if body["stream"]:
        return _stream(api.events("POST", "/infer", body), as_json=as_json)
    answer: dict[str, Any] = api.call("POST", "/infer", body, limit_s=_LIMIT_S)
    if as_json:
        print_json(answer)
    else:
        print(answer["text"])
        _print_cost(answer)
    return 0


def _stream(events: Iterator[SseEvent], *, as_json: bool) -> int:
    for event in events:
        data = json.loads(event.data)
        if as_json:
            print(json.dumps({"event": event.event, **data}, ensure_ascii=False), flush=True)
            if event.event != "token":
                return 0 if event.event == "done" else 1
        elif event.event == "token":
            sys.stdout.write(data["text"])
            sys.stdout.flush()
        elif event.event == "done":
            sys.stdout.write("\n")
            _print_cost(data)
            return 0
        elif event.event == "error":
            sys.stdout.write("\n")
            print(f"error: {data['detail']}", file=sys.stderr)
            return 1
    print("error: the stream ended before the answer was whole", file=sys.stderr)
    return 1


def _print_cost(answer: Mapping[str, Any]) -> None:
    usage, timings = answer["usage"], answer["timings"]
    first = "-" if timings["ttft_ms"] is None else f"{timings['ttft_ms']:.0f} ms"
    print(
        f"[{answer['runtime']}, {usage['prompt_tokens']} + {usage['completion_tokens']} tokens, "
        f"{answer['finish_reason']}, first token {first}, all {timings['total_ms']:.0f} ms]",
        file=sys.stderr,
    )
