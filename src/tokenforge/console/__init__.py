"""The console: a page that reads the public API, and nothing of its own."""
