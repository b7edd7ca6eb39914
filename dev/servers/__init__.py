"""Real servers for development, tests and benchmarks, from packages alone: no Docker, no root needed, none refused."""
