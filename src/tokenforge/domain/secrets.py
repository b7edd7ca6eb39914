"""Which names stand for secrets, so that what they hold is never shown: not in an error, an answer, a record or a log.

By name alone: a value does not tell that it is a secret. `max_num_batched_tokens` only sounds like one.
"""

import re

HIDDEN = "(hidden)"

_WORDS = frozenset({"key", "apikey", "token", "secret", "password", "authorization", "credential", "credentials"})
_VALUES = frozenset({"env"})
"""Lists of names of secrets; who misreads that writes the secrets themselves."""


def is_secret_name(path: str) -> bool:
    """Whether the last name of a path (`engine_args.openai.api_key`, `env[0]`) is that of a secret."""
    last = re.sub(r"\[\d+\]", "", path).rpartition(".")[2].lower()
    return last in _VALUES or re.split(r"[_-]", last)[-1] in _WORDS
