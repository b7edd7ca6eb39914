"""A strict HTTP/1.1 server of our own: httptools for the grammar, uvloop for the sockets, nothing in between."""
