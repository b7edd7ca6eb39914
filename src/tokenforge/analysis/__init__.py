"""Pure numbers from records."""
