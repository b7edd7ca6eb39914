"""A runtime plug-in of one page. `runtime.PLUG` is what the entry point names."""
