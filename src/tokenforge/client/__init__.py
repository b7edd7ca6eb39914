"""Our own API, from the client's side."""
