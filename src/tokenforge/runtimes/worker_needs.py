"""What a worker process needs beside its engine: one list, part of every recipe that makes an environment of its own.

The ranges are wide on purpose: they must hold together with what vLLM and Transformers pin. Packages of the core
install that a worker never imports (pyarrow, scipy, pydantic, typer) are left out.
"""

WORKER_REQUIREMENTS: tuple[str, ...] = (
    "aiohttp>=3.11",
    "httptools>=0.6.4",
    "jinja2>=3.1",
    "numpy>=1.26",
    "prometheus-client>=0.21",
    "psutil>=6",
    "starlette>=0.46",
    "tokenizers>=0.21",
    "uvicorn>=0.34",
    "uvloop>=0.21",
)
