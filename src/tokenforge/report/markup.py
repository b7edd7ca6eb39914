"""Words of users and servers inside Markdown: they cannot make markup or end a table's cell."""

_ESCAPES = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "\n": " ", "`": "'"})


def markdown_text(words: str) -> str:
    """The words, harmless."""
    return words.translate(_ESCAPES)
