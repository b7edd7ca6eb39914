"""The API server as calls on plain data: get, list, watch, apply, delete. The only file that imports a client.

The client (lightkube) gives what differs from cluster to cluster: kubeconfig, service account, certificates, tokens
that change. Its own watch is not used: see `reflector`.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenforge.domain.errors import ClusterRefused, ClusterUnreachable, Fault, InvalidInput, VersionExpired

if TYPE_CHECKING:
    import httpx2 as httpx

JsonObject = dict[str, Any]

MANAGER = "tokenforge"
"""Who we are among those that write to an object."""

WATCH_S = 30
"""How long one watch lasts. A connection that died without a word is noticed after that and `_ANSWER_LIMIT_S`."""

_PAGE = 500
_UNREADABLE = (ValueError, TypeError, AttributeError)
"""What the client raises for a kubeconfig that is none."""

_ANSWER_LIMIT_S = 15.0
_TOO_NEW = "Too large resource version"
"""What a server says of a version that it has not come to yet, with 504: it is no matter of waiting, but of listing."""


class Api:
    """One API server. Raises ClusterUnreachable where it does not answer, ClusterRefused where it says no."""

    def __init__(self, client: "httpx.AsyncClient") -> None:
        self._client = client

    async def get(self, path: str) -> JsonObject | None:
        """The object, None where there is none."""
        try:
            return await self.call("GET", path)
        except ClusterRefused as error:
            if error.status == 404:
                return None
            raise

    async def list(self, path: str, *, params: Mapping[str, str]) -> tuple[list[JsonObject], str]:
        """All of them, page by page, and the version that they are of."""
        items: list[JsonObject] = []
        more: dict[str, str] = {}
        while True:
            page = await self.call("GET", path, params={**params, "limit": str(_PAGE), **more})
            kind = {"apiVersion": page.get("apiVersion", ""), "kind": str(page.get("kind", "")).removesuffix("List")}
            items.extend({**kind, **item} for item in page.get("items") or [])
            meta = page.get("metadata", {})
            if not meta.get("continue"):
                return items, str(meta.get("resourceVersion", ""))
            more = {"continue": meta["continue"]}

    async def watch(self, path: str, *, params: Mapping[str, str], version: str) -> AsyncIterator[JsonObject]:
        """News since `version`, bookmarks too, until the server ends the stream. Raises VersionExpired."""
        asked = {
            **params, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version,
            "timeoutSeconds": str(WATCH_S),
        }  # fmt: skip
        failures, limit_s = _failures(), WATCH_S + _ANSWER_LIMIT_S
        try:
            async with self._client.stream("GET", path, params=asked, timeout=limit_s) as answer:
                if answer.status_code != 200:
                    await answer.aread()
                    raise _refusal(answer.status_code, answer.text, what=f"watching {path}")
                async for line in answer.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise _refusal(int(status.get("code", 500)), json.dumps(status), what=f"watching {path}")
                    yield event
        except failures as error:
            raise _unreachable(error) from error
        except (ValueError, KeyError) as error:
            raise ClusterUnreachable(f"a watch of {path} was cut within a line: {error}") from error

    async def apply(self, path: str, value: JsonObject, *, is_dry: bool = False, manager: str = MANAGER) -> JsonObject:
        """Server-side apply: what we say is ours, what others say stays theirs."""
        params = {"fieldManager": manager, "force": "true", **({"dryRun": "All"} if is_dry else {})}
        return await self.call("PATCH", path, params=params, body=value, kind="application/apply-patch+yaml")

    async def delete(self, path: str) -> None:
        """Ask for its end, and then for that of all it owns. One that is not there is no error."""
        with contextlib.suppress(_Absent):
            await self.call("DELETE", path, body={"propagationPolicy": "Background"}, absent=_Absent)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: JsonObject | None = None,
        kind: str = "application/json", absent: "type[_Absent] | None" = None,
    ) -> JsonObject:  # fmt: skip
        """One plain request and its answer; `absent` is raised instead of a refusal where nothing is there."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if content is None else {"content-type": kind}
        try:
            answer = await self._client.request(
                method, path, params=dict(params or {}), content=content, headers=headers, timeout=_ANSWER_LIMIT_S
            )
        except _failures() as error:
            raise _unreachable(error) from error
        if answer.status_code == 404 and absent is not None:
            raise absent
        if not 200 <= answer.status_code < 300:
            raise _refusal(answer.status_code, answer.text, what=f"{method} {path}")
        try:
            value = json.loads(answer.content)
        except ValueError as error:
            raise ClusterUnreachable(f"{method} {path}: what answers speaks no JSON: {error}") from error
        return value if isinstance(value, dict) else {}


class _Absent(Exception):
    pass


def connect(kubeconfig: Path | None = None, *, context: str | None = None) -> tuple[Api, str]:
    """The API server of `kubeconfig` (default: the pod's own, else KUBECONFIG, else ~/.kube/config), and its namespace.

    Raises InvalidInput where the client is not installed, or no cluster is named.
    """
    try:
        import msgspec
        import yaml
        from lightkube.config.client_adapter import AsyncClient, ConnectionParams
        from lightkube.config.kubeconfig import KubeConfig
        from lightkube.core.exceptions import ConfigError
    except ImportError as error:
        fault = Fault(
            field="target", value="kubernetes", message="the client for it is not installed",
            hint="pip install 'tokenforge[kubernetes]'",
        )  # fmt: skip
        raise InvalidInput([fault], source="installation") from error
    try:
        config = KubeConfig.from_env() if kubeconfig is None else KubeConfig.from_file(kubeconfig)
        single = config.get(context_name=context)
    except (ConfigError, OSError, LookupError, *_UNREADABLE, yaml.YAMLError, msgspec.MsgspecError) as error:
        fault = Fault(
            field="kubeconfig", value=str(kubeconfig or "KUBECONFIG"), message=" ".join(str(error).split()),
            hint="name a kubeconfig file, or run in a pod with a service account",
        )  # fmt: skip
        raise InvalidInput([fault], source="cluster") from error
    if single is None or single.user is None:
        what = "has no current context" if single is None else "names no user in its current context"
        fault = Fault(field="kubeconfig", value=str(kubeconfig or "KUBECONFIG"), message=what, hint="name one")
        raise InvalidInput([fault], source="cluster")
    return Api(AsyncClient(single, ConnectionParams())), single.namespace


def _failures() -> tuple[type[Exception], ...]:
    """What the client's connection raises when it fails; also an answer that is not whole."""
    import httpx2

    return (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError)


def _unreachable(error: Exception) -> ClusterUnreachable:
    cause = " ".join(str(error).split()) or type(error).__name__
    return ClusterUnreachable(f"the API server does not answer: {cause}", hint="It is asked again")


def _refusal(status: int, text: str, *, what: str) -> ClusterRefused | ClusterUnreachable:
    """A Status object as an error of ours."""
    try:
        value = json.loads(text)
        message, reason = str(value["message"]), str(value.get("reason", ""))
    except (ValueError, KeyError, TypeError):
        message, reason = text[:200], ""
    if status == 410 or _TOO_NEW in message:
        return VersionExpired(message)
    if status in (429, 500, 502, 503, 504) and "admission webhook" not in message:
        return ClusterUnreachable(f"{what}: {status} {message}", hint="It is asked again")
    return ClusterRefused(f"{what}: {message}", code=refusal_code(status, message, reason=reason), status=status)


def refusal_code(status: int, message: str, *, reason: str = "") -> str:
    """Why a cluster says no, in one word of ours."""
    signs = {
        "quota_exceeded": ("exceeded quota",),
        "admission_refused": ("admission webhook", "violates PodSecurity", "denied the request", "is forbidden: "),
    }
    if status == 403 and " cannot " in message:
        return "cluster_forbidden"
    for code, words in signs.items():
        if any(word in message for word in words):
            return code
    return {403: "cluster_forbidden", 409: "conflict", 422: "invalid_input", 400: "invalid_input"}.get(
        status, reason.lower() or "cluster_refused"
    )
