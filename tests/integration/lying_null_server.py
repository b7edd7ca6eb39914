"""A null server whose log is wrong by 20 ms: it writes a chunk's hand-over down, and hands it over later."""

import sys

from tokenforge.bench.calibration.__main__ import serve
from tokenforge.bench.calibration.null_server import NullServer, Stream

LIE_NS = 20_000_000


class LyingServer(NullServer):
    """Says that every first token left 20 ms before it did."""

    def hand(self, stream: Stream, chunk: bytes) -> tuple[int, int]:
        handed_ns, took_ns = super().hand(stream, chunk)
        return (handed_ns, took_ns) if stream.handed_ns else (handed_ns - LIE_NS, took_ns)


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:], LyingServer))
