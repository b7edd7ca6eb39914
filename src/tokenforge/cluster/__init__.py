"""Where workers run: local child processes now."""
