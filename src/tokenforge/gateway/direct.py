"""The short way of a request through the gateway, in callbacks: no task, no future, no wait.

It is taken when nothing has to be waited for: a replica has a free place, and a connection to it is open. The answer
then goes back as the worker's bytes come. Whatever is out of the ordinary before a byte has gone out (the replica
fails, refuses, or closed the connection) is left to a task and `relay`, which goes on with what was tried here.
"""

from tokenforge.domain.errors import InvalidInput
from tokenforge.gateway.openai_routes import begin_stream, is_stream, tell_whole, wanted
from tokenforge.gateway.plane import DataPlane, Passage, tell_failure, too_late
from tokenforge.gateway.relay import ELSEWHERE, refusal_of
from tokenforge.gateway.routing import Endpoint
from tokenforge.gateway.upstream_answer import MAX_WHOLE_BYTES, UpstreamAnswer, UpstreamFailed
from tokenforge.gateway.usage import usage_of_stream


def answered_directly(plane: DataPlane, passage: Passage) -> bool:
    """Whether the request is on its way to a worker, and its answer will come by callbacks."""
    try:
        want = wanted(passage)
    except InvalidInput:
        return False  # a task says so
    endpoint = plane.router.take_now(want)
    if endpoint is None:
        return False
    exchange = passage.exchange
    passage.asked_s = plane.clock()
    answer = plane.upstream.ask_now(endpoint.url, passage.path, body=exchange.body, headers=passage.forwarded())
    if answer is None:
        plane.router.release(endpoint)
        return False
    passage.tries = 1
    passage.replica = endpoint.id
    exchange.doing = Direct(plane, passage, endpoint, answer)
    return True


class Direct:
    """One answer on its way back."""

    __slots__ = ("_answer", "_endpoint", "_passage", "_plane")

    def __init__(self, plane: DataPlane, passage: Passage, endpoint: Endpoint, answer: UpstreamAnswer) -> None:
        self._plane = plane
        self._passage = passage
        self._endpoint = endpoint
        self._answer = answer
        answer.listener = self._look

    def cancel(self) -> None:
        """The client has left: so does the worker's connection."""
        self._passage.exchange.outcome = "cancelled"
        self._end()

    def expire(self) -> None:
        """Its time is up."""
        tell_failure(self._passage, too_late(self._passage))
        self._end()

    def _look(self) -> None:
        """The answer has news."""
        answer = self._answer
        try:
            if answer.is_plain and answer.status not in ELSEWHERE and not is_stream(answer):
                self._plane.router.answered(self._endpoint)
                tell_whole(self._passage, self._endpoint, answer, answer.gathered())
                self._end()
            else:
                self._go_on(answer)
        except Exception as error:  # noqa: BLE001 - the edge of a request, as in DataPlane.answer
            if self._passage.exchange.doing is self:
                tell_failure(self._passage, error)
                self._end()

    def _go_on(self, answer: UpstreamAnswer) -> None:
        exchange = self._passage.exchange
        if answer.failure is not None:
            self._failed(answer.failure)
        elif exchange.is_begun:
            if answer.is_ended:
                self._note_usage()
                exchange.end()
                self._end()
        elif answer.status in ELSEWHERE or (answer.status and not is_stream(answer)):
            self._gather(answer)
        elif answer.parts or answer.is_ended:
            self._plane.router.answered(self._endpoint)
            begin_stream(self._plane, self._passage, self._endpoint, answer)
            answer.pass_on_to(exchange)
            if answer.is_ended:
                self._go_on(answer)

    def _gather(self, answer: UpstreamAnswer) -> None:
        """An answer that is not passed on before it is whole."""
        if not answer.is_ended:
            answer.gather()
            if answer.size > MAX_WHOLE_BYTES:
                self._failed(UpstreamFailed(f"the worker's answer has more than {MAX_WHOLE_BYTES} bytes"))
        elif answer.status in ELSEWHERE:
            self._refused(answer)
        else:
            self._plane.router.answered(self._endpoint)
            tell_whole(self._passage, self._endpoint, answer, answer.gathered())
            self._end()

    def _failed(self, failure: UpstreamFailed) -> None:
        plane, passage = self._plane, self._passage
        if self._answer.is_unheard:  # the worker had closed a kept connection in that very moment: no failure
            passage.tries = 0
            self._hand_over()
            return
        plane.router.failed(self._endpoint)
        if passage.exchange.is_begun:
            tell_failure(passage, failure)
            self._end()
        else:
            passage.failure = failure
            self._hand_over(tried=True)

    def _refused(self, answer: UpstreamAnswer) -> None:
        if answer.status == 503:
            self._plane.router.failed(self._endpoint)
        self._passage.refusal = refusal_of(answer, answer.gathered())
        self._hand_over(tried=True)

    def _hand_over(self, *, tried: bool = False) -> None:
        plane, passage = self._plane, self._passage
        self._answer.close()
        plane.router.release(self._endpoint)
        if tried:
            passage.tried = (self._endpoint.id,)
            plane.metrics.retried(passage.path)
        passage.exchange.hand_over()

    def _note_usage(self) -> None:
        answer = self._answer
        self._passage.usage = usage_of_stream(answer.before + answer.last, events=answer.events)

    def _end(self) -> None:
        passage = self._passage
        exchange = passage.exchange
        if passage.usage is None and exchange.is_begun and is_stream(self._answer):
            self._note_usage()
        self._answer.close()
        self._plane.router.release(self._endpoint)
        exchange.done()
