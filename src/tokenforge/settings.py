"""Settings: the only reader of the process environment. Everything below gets values as arguments.

Each field's docstring is its documentation; the variable is the field's name in capitals after `TOKENFORGE_`, except
those that other tools define (named in the text).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.observing import TRACE_HEADERS, LogForm, Observing, read_trace_headers

_MOST_S = 3600.0
_MOST_COUNT = 1024
_SECRET = frozenset({"TOKENFORGE_API_KEY", "TOKENFORGE_DATABASE_URL"})
_MOST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What this process was told by its environment."""

    home: Path
    """`TOKENFORGE_HOME`: environments, models, the run database. Default `~/.local/share/tokenforge` (XDG)."""

    find_links: tuple[str, ...]
    """`PIP_FIND_LINKS` (pip's own): folders or pages with wheels; uv does not read it, so it is passed on."""

    extra_indexes: tuple[str, ...]
    """`PIP_EXTRA_INDEX_URL` (pip's own), passed on likewise."""

    child_env: Mapping[str, str] = field(repr=False)
    """The environment a child process starts from: ours, as it is."""

    openai_api_key: str | None
    """`OPENAI_API_KEY` (OpenAI's own): sent to a server named by URL; never logged, never recorded."""

    server: str | None
    """`TOKENFORGE_SERVER`: the address that client commands speak to; default is what `up` runs here."""

    api_key: str | None = field(repr=False)
    """`TOKENFORGE_API_KEY`: sent to that server; never logged, never recorded, not passed on to child processes."""

    drain_s: float
    """`TOKENFORGE_DRAIN_S`: seconds that requests of a worker that is replaced may go on. Default 30; 0 cuts them."""

    silence_limit_s: float
    """`TOKENFORGE_SILENCE_LIMIT_S`: seconds that a worker may live and not answer until it is replaced. Default 30."""

    most_replicas: int | None
    """`TOKENFORGE_MOST_REPLICAS`: replicas that all deployments of this machine may have together. Default: four for
    each CPU, 8 at least."""

    hold_s: float
    """`TOKENFORGE_HOLD_S`: seconds that a request waits for a place, or for a deployment to wake. Default 300."""

    database_url: str | None = field(repr=False)
    """`TOKENFORGE_DATABASE_URL`: `postgresql://...`, the store of several machines; default is SQLite under the home.
    Never logged, not passed on to child processes."""
    metrics_listen: tuple[str, int] | None
    """`TOKENFORGE_METRICS_LISTEN`: where control and load generators serve their metrics, `HOST:PORT` or `off`.
    Default `127.0.0.1:0`: this machine alone, any free port, told by the gateway's `/metrics/targets`."""

    observing: Observing
    """`TOKENFORGE_LOG=json` writes logs as JSON, one object a line (default `pretty`); `TOKENFORGE_LOG_REQUESTS=on` has
    the gateway log every request, else those that fail; `TOKENFORGE_LOG_PROMPTS=on` has workers log the body.
    `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` (OpenTelemetry's own) turns traces on and says
    where they go; `OTEL_EXPORTER_OTLP_HEADERS` go along, never logged; `OTEL_TRACES_SAMPLER_ARG` is the share of
    requests traced where the caller did not decide (default 1)."""

    kubernetes: Path | None
    """`TOKENFORGE_KUBERNETES`: the settings of a cluster (YAML); with them `target: kubernetes` is taken."""

    seat: tuple[int, str, str, str] | None
    """`JOB_COMPLETION_INDEX`, `POD_NAME`, `POD_UID`, `NODE_NAME` (Kubernetes' own): which pod of a
    Job this process is."""

    group: tuple[int, str] | None
    """`LWS_WORKER_INDEX`, `LWS_LEADER_ADDRESS` (LeaderWorkerSet's own): which pod of a group this is, and where
    its leader is."""

    artifacts_url: str | None
    """`TOKENFORGE_ARTIFACTS_URL`: a folder, or `s3://BUCKET/PREFIX?endpoint=https://...`, where results are kept.
    Default: a folder under the home."""

    s3_env: Mapping[str, str] = field(repr=False)
    """`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` (Amazon's own, with `_FILE` for a file that holds it), `AWS_REGION`,
    `AWS_ENDPOINT_URL`, `AWS_SHARED_CREDENTIALS_FILE`, `AWS_PROFILE`: for that bucket; never logged, never recorded."""
    start_limit_s: float
    """`TOKENFORGE_START_S`: seconds that a worker may take to load its model. Default 900."""

    hub_offline: bool
    """`HF_HUB_OFFLINE` (the hub's own): take models from the local cache only."""

    github_summary: Path | None
    """`GITHUB_STEP_SUMMARY` (GitHub's own): the file a job's summary is appended to, where a command is asked to."""


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read `environ` (the process's own by default)."""
    env = dict(os.environ if environ is None else environ)
    data_home = Path(env.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return Settings(
        home=Path(env.get("TOKENFORGE_HOME") or data_home / "tokenforge").expanduser(),
        find_links=tuple(env.get("PIP_FIND_LINKS", "").split()),
        extra_indexes=tuple(env.get("PIP_EXTRA_INDEX_URL", "").split()),
        child_env={name: value for name, value in env.items() if name not in _SECRET},
        openai_api_key=env.get("OPENAI_API_KEY") or None,
        server=env.get("TOKENFORGE_SERVER") or None,
        api_key=env.get("TOKENFORGE_API_KEY") or None,
        drain_s=_seconds(env, "TOKENFORGE_DRAIN_S", default=30.0),
        silence_limit_s=_seconds(env, "TOKENFORGE_SILENCE_LIMIT_S", default=30.0),
        most_replicas=_count(env, "TOKENFORGE_MOST_REPLICAS"),
        hold_s=_seconds(env, "TOKENFORGE_HOLD_S", default=300.0),
        start_limit_s=_seconds(env, "TOKENFORGE_START_S", default=900.0),
        database_url=env.get("TOKENFORGE_DATABASE_URL") or None,
        metrics_listen=_address(env, "TOKENFORGE_METRICS_LISTEN", default=("127.0.0.1", 0)),
        observing=_observing(env),
        kubernetes=Path(env["TOKENFORGE_KUBERNETES"]) if env.get("TOKENFORGE_KUBERNETES") else None,
        seat=_seat(env),
        group=_group(env),
        artifacts_url=env.get("TOKENFORGE_ARTIFACTS_URL") or None,
        s3_env={name: value for name, value in env.items() if name.startswith("AWS_") or name == "HOME"},
        hub_offline=_is_on(env.get("HF_HUB_OFFLINE", "")),
        github_summary=Path(env["GITHUB_STEP_SUMMARY"]) if env.get("GITHUB_STEP_SUMMARY") else None,
    )


def _seat(env: Mapping[str, str]) -> tuple[int, str, str, str] | None:
    """Number, name, uid and node; None where it is no pod of an Indexed Job."""
    number = env.get("JOB_COMPLETION_INDEX", "")
    if not (number.isascii() and number.isdigit()):
        return None
    return int(number), env.get("POD_NAME", ""), env.get("POD_UID", ""), env.get("NODE_NAME", "")


def _group(env: Mapping[str, str]) -> tuple[int, str] | None:
    """Its number and the leader's address; None where it is in no group."""
    number, leader = env.get("LWS_WORKER_INDEX", ""), env.get("LWS_LEADER_ADDRESS", "")
    return (int(number), leader) if leader and number.isascii() and number.isdigit() else None


def _address(env: Mapping[str, str], name: str, *, default: tuple[str, int]) -> tuple[str, int] | None:
    """`HOST:PORT`, or None for `off`. Raises InvalidInput."""
    text = env.get(name, "")
    if not text:
        return default
    if text.lower() == "off":
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _MOST_PORT:
        hint = "write HOST:PORT, such as 127.0.0.1:9464 (port 0: a free one), or off"
        raise InvalidInput(
            [Fault(field=name, value=text, message="is not an address", hint=hint)], source="environment"
        )
    return host.strip("[]"), int(port)


def _observing(env: Mapping[str, str]) -> Observing:
    """How this process and its workers are observed. Raises InvalidInput with every fault."""
    faults: list[Fault] = []
    form = _log_form(env, faults)
    said = env.get("OTEL_TRACES_SAMPLER_ARG") or "1"
    share = float(said) if re.fullmatch(r"\d{0,3}\.?\d{1,12}", said) else -1.0
    if not 0.0 <= share <= 1.0:
        hint = "write a share from 0 to 1"
        faults.append(Fault(field="OTEL_TRACES_SAMPLER_ARG", value=said, message="is not a share", hint=hint))
    url = _traces_url(env)
    if url is not None and not url.startswith(("http://", "https://")):
        hint = "write http://HOST:PORT; OTLP over gRPC is not spoken here"
        faults.append(Fault(field="OTEL_EXPORTER_OTLP_ENDPOINT", value=url, message="is not a URL", hint=hint))
    if faults:
        raise InvalidInput(faults, source="environment")
    return Observing(
        log_form=form,
        log_requests=_is_on(env.get("TOKENFORGE_LOG_REQUESTS", "")),
        log_prompts=_is_on(env.get("TOKENFORGE_LOG_PROMPTS", "")),
        traces_url=url,
        trace_headers=read_trace_headers(env.get(TRACE_HEADERS, "")),
        trace_share=share,
        visible_gpus=env.get("CUDA_VISIBLE_DEVICES"),
    )


def read_log_form(environ: Mapping[str, str] | None = None) -> LogForm:
    """`TOKENFORGE_LOG` alone, for what must log before the rest is read. Raises InvalidInput."""
    faults: list[Fault] = []
    form = _log_form(os.environ if environ is None else environ, faults)
    if faults:
        raise InvalidInput(faults, source="environment")
    return form


def _log_form(env: Mapping[str, str], faults: list[Fault]) -> LogForm:
    form = env.get("TOKENFORGE_LOG") or LogForm.PRETTY.value
    if form not in set(LogForm):
        faults.append(Fault(field="TOKENFORGE_LOG", value=form, message="is not known", hint="write pretty or json"))
        return LogForm.PRETTY
    return LogForm(form)


def _traces_url(env: Mapping[str, str]) -> str | None:
    """The address for traces itself, or that of all signals with OTLP's path; None where none is said."""
    if exact := env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return exact
    base = env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return f"{base.rstrip('/')}/v1/traces" if base else None


def _is_on(text: str) -> bool:
    return text.lower() in {"1", "true", "yes", "on"}


def _count(env: Mapping[str, str], name: str) -> int | None:
    """A whole number from 1, None where none is set. Raises InvalidInput."""
    text = env.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_COUNT):
        fault = Fault(field=name, value=text, message="is not a number", hint=f"write one from 1 to {_MOST_COUNT}")
        raise InvalidInput([fault], source="environment")
    return int(text)


def _seconds(env: Mapping[str, str], name: str, *, default: float) -> float:
    """A time in seconds, up to an hour. Raises InvalidInput."""
    text = env.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= _MOST_S:
        fault = Fault(field=name, value=text, message="is not a time", hint=f"write seconds, from 0 to {_MOST_S:g}")
        raise InvalidInput([fault], source="environment")
    return value
