"""The gateway beside its peers: one upstream, one load, one table; and what it does with HTTP that is not HTTP."""
