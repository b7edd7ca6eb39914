"""The load generator. Parents call `offer.offer`; the child process runs `python -m tokenforge.bench.driver`.

One process is one thread around one epoll: the schedule is drawn before the start, requests are ready-made bytes, the
kernel stamps what arrives, and HTTP, SSE and JSON are read when nothing is due. Nothing is imported here, because the
child must be ready in a few tens of milliseconds.
"""
