"""How wrong is the load generator itself? A null server of known truth, and the pass that compares stamps with it.

The child process runs `python -m tokenforge.bench.calibration`. Nothing is imported here, so that it is ready at once.
"""
