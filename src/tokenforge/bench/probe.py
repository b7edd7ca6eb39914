"""Ask a URL what it is before loading it: is it alive, which models, whose server, what it can do.

Standard library only, so a run against a URL starts its load within a second. Every question has a time limit.
"""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.domain.benchmark import without_userinfo
from tokenforge.domain.errors import Fault, InvalidInput, NotFound, TargetUnreachable

_LIMIT_S = 5.0
_UNUSABLE = (OSError, ValueError, http.client.HTTPException)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a server said of itself.

    `engine` is our worker's RuntimeInfo, or what could be read of another server; None when it says nothing.
    `exact_output` and `continuous_usage`: it understands `ignore_eos`/`min_tokens` and usage in every chunk;
    `token_ids`: it takes prompts as token ids.
    """

    model: str
    window: int | None
    engine: Mapping[str, object] | None
    exact_output: bool = False
    continuous_usage: bool = False
    token_ids: bool = False


def probe_server(url: str, *, model: str | None, headers: Mapping[str, str]) -> Probe:
    """Find out what answers at `url` (the base, with or without `/v1`).

    Raises TargetUnreachable when nothing does, NotFound when it does not serve `model`, and InvalidInput when it
    serves several and none was named.
    """
    base = _without_password(url)
    models = _models(base, headers)
    chosen = _choose(model, models, base)
    window = models[chosen].get("max_model_len")
    known_window = window if isinstance(window, int) else None
    own = _optional(f"{base}/worker/info", headers)
    if own is not None and isinstance(info := own.get("runtime"), dict) and "engine_version" in info:
        return Probe(
            model=chosen, window=_window(info, known_window), engine=info, exact_output=_can_be_exact(info),
            continuous_usage=True, token_ids=bool(info.get("token_level")),
        )  # fmt: skip
    version = _optional(f"{base}/version", headers)
    if version is not None and isinstance(version.get("version"), str) and models[chosen].get("owned_by") == "vllm":
        engine: dict[str, object] = {"engine": "vllm", "engine_version": version["version"], "runtime": "openai"}
        return Probe(
            model=chosen, window=known_window, engine=engine, exact_output=True, continuous_usage=True, token_ids=True
        )
    return Probe(model=chosen, window=known_window, engine=None)


def _without_password(url: str) -> str:
    base = base_url(url)
    if "@" in base.partition("://")[2].partition("/")[0]:
        shown, hint = without_userinfo(base), "leave them out; a key comes from OPENAI_API_KEY"
        raise InvalidInput([Fault(field="--url", value=shown, message="had a user or password in it", hint=hint)])
    return base


def base_url(url: str) -> str:
    """The URL without `/v1` and trailing slashes. Raises InvalidInput for anything but http(s)."""
    if not url.startswith(("http://", "https://")):
        hint = "write http://HOST:PORT or https://HOST"
        value = without_userinfo(url)
        raise InvalidInput([Fault(field="--url", value=value, message="is not an HTTP address", hint=hint)])
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def _models(base: str, headers: Mapping[str, str]) -> dict[str, Mapping[str, object]]:
    url = f"{base}/v1/models"
    try:
        answer = _get(url, headers)
    except urllib.error.HTTPError as error:
        hint = (
            "Set OPENAI_API_KEY to a key it accepts"
            if error.code in {401, 403}
            else "Is this an OpenAI-compatible server?"
        )
        raise TargetUnreachable(f"{url} answered HTTP {error.code}", hint=hint) from error
    except _UNUSABLE as error:
        reason = getattr(error, "reason", error)
        raise TargetUnreachable(f"Nothing usable answers at {url}: {reason}", hint="Is the server up?") from error
    listed = answer.get("data")
    models: dict[str, Mapping[str, object]]
    models = {str(m["id"]): m for m in listed if isinstance(m, dict) and "id" in m} if isinstance(listed, list) else {}
    if not models:
        raise TargetUnreachable(f"{url} lists no model", hint="Is this an OpenAI-compatible server?")
    return models


def _choose(model: str | None, models: Mapping[str, object], base: str) -> str:
    served = ", ".join(sorted(models))
    if model is None and len(models) == 1:
        return next(iter(models))
    if model is None:
        raise InvalidInput([Fault(field="--model", value=None, message=f"is needed: {base} serves {served}")])
    if model not in models:
        raise NotFound(f"{base} does not serve '{model}'", hint=f"It serves: {served}")
    return model


def _window(info: Mapping[str, object], otherwise: int | None) -> int | None:
    window = info.get("max_model_len")
    return window if isinstance(window, int) and window > 0 else otherwise


def _can_be_exact(info: Mapping[str, object]) -> bool:
    can = info.get("capabilities")
    return isinstance(can, dict) and bool(can.get("ignore_eos"))


def _optional(url: str, headers: Mapping[str, str]) -> dict[str, object] | None:
    try:
        return _get(url, headers)
    except _UNUSABLE:
        return None


def _get(url: str, headers: Mapping[str, str]) -> dict[str, object]:
    request = urllib.request.Request(url, headers=dict(headers))
    with urllib.request.urlopen(request, timeout=_LIMIT_S) as response:
        answer = json.loads(response.read(4 << 20))
    if not isinstance(answer, dict):
        raise ValueError("the answer is not a JSON object")
    return answer
