"""Every field of a log line, defined once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LogField:
    """One field. `where`: `every line`, or the lines that have it."""

    name: str
    where: str
    text: str


_REQUEST = "a request"

LOG_FIELDS = (
    LogField(name="time", where="every line", text="RFC 3339, UTC, with milliseconds"),
    LogField(name="level", where="every line", text="`debug`, `info`, `warning`, `error`"),
    LogField(name="process", where="every line", text="`gateway`, `control`, `worker`; `command` for all others"),
    LogField(name="logger", where="every line", text="the part of the program that says it"),
    LogField(name="message", where="every line", text="for people; `request` on the line that ends a request"),
    LogField(name="error", where="a failure", text="the error with its trace in the program"),
    LogField(name="request_id", where=_REQUEST, text="the same in every process and in the answer's `x-request-id`"),
    LogField(name="trace_id", where=_REQUEST, text="its trace, where it is traced"),
    LogField(name="path", where=_REQUEST, text="the route"),
    LogField(name="outcome", where=_REQUEST, text="`ok`, `cancelled`, or the code of the error"),
    LogField(name="duration_s", where=_REQUEST, text="from its arrival to its last byte"),
    LogField(name="tries", where="a request, gateway", text="replicas that were asked"),
    LogField(name="deployment", where="a request, gateway", text="the deployment in its URL, if it names one"),
    LogField(name="status", where="a request, gateway", text="the HTTP status, if one was sent"),
    LogField(name="model", where="a request, gateway", text="the model that was asked for"),
    LogField(name="replica", where="a request, gateway", text="the replica that was asked last"),
    LogField(name="routed_s", where="a request, gateway", text="from its arrival until that replica was asked"),
    LogField(name="request_bytes", where="a request, gateway", text="its body"),
    LogField(name="answer_bytes", where="a request, gateway", text="bytes of the answer's body that were sent"),
    LogField(name="counted_by", where="a request, gateway", text="who counted the tokens: `engine`, or `events`"),
    LogField(name="failures_not_told", where="a request, gateway", text="failures before this one, beyond the rate"),
    LogField(name="prompt_tokens", where=_REQUEST, text="as the engine counts them"),
    LogField(name="completion_tokens", where=_REQUEST, text="as the engine counts them"),
    LogField(
        name="prompt", where="a request, worker", text="the body of the request; only with `TOKENFORGE_LOG_PROMPTS=on`"
    ),
)
