"""The bytes a null server answers with, made before they are due: HTTP chunks of OpenAI's stream events.

Every token chunk says the same word; it tells nothing of a model, only that a token came.
"""

from dataclasses import dataclass, field

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
)
_TERMINATOR = b"0\r\n\r\n"
_PROMPT_TOKENS = 8


@dataclass(slots=True, kw_only=True)
class ChunkBook:
    """Chunks of one form: chat or completion, with or without usage in each. They are made once and kept."""

    is_chat: bool
    has_usage: bool
    _middle: list[bytes] = field(default_factory=list)

    def token(self, number: int, *, is_last: bool) -> bytes:
        """The chunk of the token `number`, counted from 0."""
        if is_last:
            return self._made(number, finish='"length"')
        while self.has_usage and len(self._middle) <= number:
            self._middle.append(self._made(len(self._middle), finish="null"))
        if not self._middle:
            self._middle.append(self._made(0, finish="null"))
        return self._middle[number if self.has_usage else 0]

    def tail(self, tokens: int) -> bytes:
        """What follows the last token: usage, `[DONE]`, the end of the response."""
        usage = f'{{"choices":[],"usage":{_usage(tokens)}}}'
        return _framed(f"data: {usage}\n\ndata: [DONE]\n\n") + _TERMINATOR

    def _made(self, number: int, *, finish: str) -> bytes:
        what = '"delta":{"content":" word"}' if self.is_chat else '"text":" word"'
        usage = f',"usage":{_usage(number + 1)}' if self.has_usage else ""
        kind = "chat.completion.chunk" if self.is_chat else "text_completion"
        choice = f'{{"index":0,{what},"finish_reason":{finish}}}'
        return _framed(f'data: {{"id":"null","object":"{kind}","choices":[{choice}]{usage}}}\n\n')


def _usage(tokens: int) -> str:
    total = tokens + _PROMPT_TOKENS
    return f'{{"prompt_tokens":{_PROMPT_TOKENS},"completion_tokens":{tokens},"total_tokens":{total}}}'


def _framed(text: str) -> bytes:
    return f"{len(text):x}\r\n{text}\r\n".encode()
