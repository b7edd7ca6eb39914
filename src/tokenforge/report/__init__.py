"""Pure pages from records and numbers."""
