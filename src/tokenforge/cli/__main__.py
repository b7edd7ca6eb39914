"""`python -m tokenforge.cli`: how our own processes are started."""

from tokenforge.cli.main import run

run()
