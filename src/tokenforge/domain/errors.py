"""Every error TokenForge raises on purpose: one tree, so a caller can tell whose fault it is and what to do.

A message says what happened, with the value, and the hint says what to do next. Whether a second try can help
is part of the type (`transient`), never a guess from the text. Secrets never enter a message.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenforge.domain.secrets import HIDDEN, is_secret_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with one field of an input.

    `field` is the path as the user wrote it (`workloads[0].qps`), `value` what stood there, `hint` what to write.
    `shown` is the value as it may be told: a field that is named like a secret keeps it.
    """

    field: str
    value: object
    message: str
    hint: str = ""

    @property
    def shown(self) -> object:
        """The value, or that it is hidden."""
        return HIDDEN if self.value is not None and is_secret_name(self.field) else self.value

    def __str__(self) -> str:
        shown = repr(self.shown)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return f"{self.field} = {shown}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class TokenForgeError(Exception):
    """Root of the tree. `code` is stable for programs, the message is for people."""

    code = "internal"
    transient = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class InvalidInput(TokenForgeError):
    """The user's input cannot be used; carries every fault found, not the first alone."""

    code = "invalid_input"

    def __init__(self, faults: Sequence[Fault], *, source: str = "input") -> None:
        self.faults = tuple(faults)
        self.source = source
        lines = "\n".join(f"  - {fault}" for fault in self.faults)
        super().__init__(f"{source} has {len(self.faults)} fault{'s' * (len(self.faults) != 1)}:\n{lines}")


class TooLarge(TokenForgeError):
    """A request body is beyond the size that is read: HTTP 413."""

    code = "too_large"


class NotFound(TokenForgeError):
    """A thing that was named does not exist (a model folder, a trace, a run)."""

    code = "not_found"


class AlreadyExists(TokenForgeError):
    """A name is taken, or an idempotency key was used for another request that is still being answered: HTTP 409."""

    code = "already_exists"


class AlreadyOver(TokenForgeError):
    """What was to be cancelled has ended by itself: HTTP 409."""

    code = "already_over"


class KeyReused(TokenForgeError):
    """An idempotency key came again with another body: HTTP 422. The first answer stands."""

    code = "idempotency_key_reused"


class Unauthorized(TokenForgeError):
    """No API key came with the request, or none that is known: HTTP 401. `is_missing`: none came."""

    code = "invalid_api_key"

    def __init__(self, message: str, *, hint: str = "", is_missing: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.is_missing = is_missing


class Forbidden(TokenForgeError):
    """The caller is known, or trusted, but may not do this: HTTP 403. `scope` is the one that is needed, if any."""

    code = "forbidden"

    def __init__(self, message: str, *, hint: str = "", scope: str = "") -> None:
        super().__init__(message, hint=hint)
        self.scope = scope


class NotEnoughMemory(TokenForgeError):
    """A model's weights are larger than the memory they would have to fit in."""

    code = "not_enough_memory"


class NotEnoughGpus(TokenForgeError):
    """A replica asks for more GPUs than this machine has, or has free. The message says who holds them."""

    code = "insufficient_gpu"


class LeaseLost(TokenForgeError):
    """Another process acts now: what this one was about to write is refused."""

    code = "lease_lost"
    transient = True


class EnvironmentFailed(TokenForgeError):
    """A runtime's isolated environment could not be made (a package is not to be had, the disk is full).

    `last_words` are the final lines of its installer.
    """

    code = "environment_failed"

    def __init__(self, message: str, *, hint: str = "", last_words: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.last_words = tuple(last_words)


class WorkerFailed(TokenForgeError):
    """A worker did not start, or ended on its own. `last_words` are the final lines of its log."""

    code = "worker_failed"

    def __init__(self, message: str, *, hint: str = "", last_words: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.last_words = tuple(last_words)


class TargetUnreachable(TokenForgeError):
    """Nothing that speaks the OpenAI API answers at the URL."""

    code = "target_unreachable"
    transient = True


class ClusterUnreachable(TokenForgeError):
    """The API server of a cluster does not answer, or not as one does; what was wanted is tried again."""

    code = "cluster_unreachable"
    transient = True


class ClusterRefused(TokenForgeError):
    """A cluster answered no. `code` says why: a right, a quota, an admission rule, a schema, a conflict."""

    def __init__(self, message: str, *, code: str, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.status = status


class VersionExpired(ClusterRefused):
    """A watch asked for news since a version that the API server has forgotten: everything must be listed again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="version_expired", status=410)


class PortInUse(TokenForgeError):
    """Another process listens on the port that was asked for."""

    code = "port_in_use"


class StoreFailed(TokenForgeError):
    """Records or artifacts could not be written or read (a full disk, a missing right, a broken file)."""

    code = "store_failed"


class StoreUnavailable(StoreFailed):
    """The database or the artifact store does not answer now (it restarts, the network is cut): try again."""

    code = "store_unavailable"
    transient = True


class RunInterrupted(TokenForgeError):
    """The user, or a signal, ended the run before its plan was done."""

    code = "interrupted"


class RuntimeFault(TokenForgeError):
    """An error of a runtime while it served one request; the four kinds below decide what a caller may do."""


class InvalidRequest(RuntimeFault):
    """The request cannot be served as it is (too long, an option this runtime lacks): HTTP 400, never retried."""

    code = "invalid_request"

    def __init__(self, message: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.field = field


class Overloaded(RuntimeFault):
    """The queue is full: HTTP 429 with Retry-After; the same request may pass later or elsewhere."""

    code = "overloaded"
    transient = True

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LimitReached(Overloaded):
    """An API key is at one of its own limits: HTTP 429 with Retry-After; the server may well be idle."""

    code = "rate_limit_exceeded"


class NotReady(RuntimeFault):
    """The worker is loading its model or draining: HTTP 503 with Retry-After; the same request may pass later."""

    code = "not_ready"
    transient = True

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(RuntimeFault):
    """The answer was not whole when the time for it was up: HTTP 504."""

    code = "deadline_exceeded"
    transient = True


class EngineError(RuntimeFault):
    """The engine failed this one request but lives: HTTP 500, may be retried elsewhere."""

    code = "engine_error"
    transient = True


class EngineDead(RuntimeFault):
    """The engine is gone and its worker must be restarted: HTTP 503."""

    code = "engine_dead"
    transient = True
