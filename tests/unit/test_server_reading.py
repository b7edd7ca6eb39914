"""What a server says of itself around a trial: read from our worker's words or Prometheus', compared, never guessed."""

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from tokenforge.bench.server_reading import ServerSays, ask_server, read_info, read_metrics, reading_between
from tokenforge.domain.benchmark_record import ServerReading

METRICS = """# HELP vllm:prefix_cache_queries_total Tokens asked for.
vllm:prefix_cache_queries_total{engine="0",model_name="m {x}"} 100.0
vllm:prefix_cache_queries_total{engine="1",model_name="m"} 50.0
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 3.0
vllm:num_preemptions_total 2 1700000000000
process_start_time_seconds 1.7e+09
vllm:something_else_total 9.0
"""


@pytest.fixture
def pages() -> Iterator[tuple[str, dict[str, str]]]:
    """The base URL of a small server, and its pages by path."""
    found: dict[str, str] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = found.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", found
    server.shutdown()
    server.server_close()
    thread.join()


def test_metrics_of_several_engines_are_added_up() -> None:
    says = read_metrics(METRICS)
    assert (says.prefix_queries, says.prefix_hits, says.preemptions) == (150, 3, 2)
    assert says.process == "1700000000.000"


def test_our_worker_is_read_from_its_info_and_others_from_their_metrics(pages: tuple[str, dict[str, str]]) -> None:
    url, found = pages
    assert ask_server(url, {}) is None
    found["/metrics"] = METRICS
    told = ask_server(url, {})
    assert told is not None
    assert told.prefix_hits == 3
    found["/worker/info"] = json.dumps({"instance": "a1", "stats": {"prefix_queries": 7, "prefix_hits": None}})
    assert ask_server(url, {}) == ServerSays(process="a1", prefix_queries=7)


@pytest.mark.parametrize(
    "text", ["{}", "", "vllm:prefix_cache_hits_total{", "process_start_time_seconds often", "\x00"]
)
def test_a_page_that_says_nothing_of_use_is_silent(text: str) -> None:
    assert read_metrics(text).is_silent


def test_a_page_of_another_kind_is_not_taken_for_ours() -> None:
    with pytest.raises(ValueError, match="not an object"):
        read_info("[1]")
    assert read_info('{"stats": "all good", "instance": 5}').is_silent


def test_what_grew_within_a_trial_is_counted() -> None:
    before = ServerSays(process="a", prefix_queries=100, prefix_hits=5)
    after = ServerSays(process="a", prefix_queries=180, prefix_hits=9, preemptions=1)
    assert reading_between(before, after) == ServerReading(restarted=False, prefix_queries=80, prefix_hits=4)


@pytest.mark.parametrize(
    "after",
    [ServerSays(process="b", prefix_queries=180), ServerSays(process="a", prefix_queries=20)],
    ids=["another process", "a counter that went back"],
)
def test_a_server_that_began_anew_is_found_and_nothing_is_counted(after: ServerSays) -> None:
    before = ServerSays(process="a", prefix_queries=100)
    assert reading_between(before, after) == ServerReading(restarted=True)


@pytest.mark.parametrize(("before", "after"), [(None, ServerSays(process="a")), (ServerSays(process="a"), None)])
def test_what_was_not_seen_is_not_judged(before: ServerSays | None, after: ServerSays | None) -> None:
    assert reading_between(before, after) is None


def test_a_server_without_a_process_or_counters_may_have_restarted() -> None:
    before, after = ServerSays(process="a", prefix_hits=1), ServerSays(prefix_queries=4)
    assert reading_between(before, after) == ServerReading(restarted=None)
