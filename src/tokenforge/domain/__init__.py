"""The nouns: frozen records and pure rules. Standard library only; nothing here reads a clock or a file."""
