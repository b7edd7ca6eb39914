"""Resolve a Model to a folder; architecture facts; synthetic weights and tokenizers."""
